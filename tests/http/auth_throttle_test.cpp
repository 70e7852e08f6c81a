// Time is the test's own: it passes when the test says so.
#include "http/auth_throttle.hpp"
#include "http/errors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <string>

using namespace edgecap::http;
using namespace std::chrono_literals;

namespace {

const std::string client = "192.0.2.1";

class AuthThrottleTest : public testing::Test {
protected:
  auth_throttle make() {
    return auth_throttle{{3, 60s, 5s, 4}, [this] { return now; }};
  }

  std::chrono::steady_clock::time_point now{};
};

} // namespace

TEST_F(AuthThrottleTest, BlocksFromTheLastAllowedFailureOn) {
  auto throttle = make();
  EXPECT_EQ(throttle.failed(client), 0ms);
  EXPECT_EQ(throttle.failed(client), 0ms);
  EXPECT_EQ(throttle.wait_of(client), 0ms);
  EXPECT_EQ(throttle.failed(client), 1s);
  EXPECT_EQ(throttle.wait_of(client), 1s);
  now += 400ms;
  EXPECT_EQ(throttle.wait_of(client), 600ms);
  now += 600ms;
  EXPECT_EQ(throttle.wait_of(client), 0ms);
}

TEST_F(AuthThrottleTest, DoublesTheBlockUpToItsLimit) {
  auto throttle = make();
  throttle.failed(client);
  throttle.failed(client);
  for (const auto block : {1s, 2s, 4s, 5s, 5s}) {
    EXPECT_EQ(throttle.failed(client), block);
    now += block;
  }
}

TEST_F(AuthThrottleTest, StaysAtTheLimitHoweverManyFail) {
  auto throttle = make();
  for (auto i = 0; i < 10'000; ++i) {
    throttle.failed(client);
    now += 5s;
  }
  EXPECT_EQ(throttle.failed(client), 5s);
}

TEST_F(AuthThrottleTest, DoesNotProlongABlockThatHasBegun) {
  auto throttle = make();
  for (auto i = 0; i < 3; ++i)
    throttle.failed(client);
  now += 500ms;
  EXPECT_EQ(throttle.failed(client), 0ms);
  EXPECT_EQ(throttle.wait_of(client), 500ms);
}

TEST_F(AuthThrottleTest, ForgetsWhatIsOlderThanTheWindow) {
  auto throttle = make();
  throttle.failed(client);
  throttle.failed(client);
  now += 60s;
  EXPECT_EQ(throttle.failed(client), 0ms) << "counts from one";
  EXPECT_EQ(throttle.failed(client), 0ms);
  EXPECT_EQ(throttle.failed(client), 1s);
  // The window begins with the end of the block.
  now += 1s + 60s - 1ms;
  EXPECT_EQ(throttle.failed(client), 2s);
  now += 2s + 60s;
  EXPECT_EQ(throttle.failed(client), 0ms);
}

TEST_F(AuthThrottleTest, CountsEachClientForItself) {
  auto throttle = make();
  for (auto i = 0; i < 3; ++i)
    throttle.failed(client);
  EXPECT_EQ(throttle.wait_of("192.0.2.2"), 0ms);
  EXPECT_EQ(throttle.failed("192.0.2.2"), 0ms);
  EXPECT_EQ(throttle.wait_of("::ffff:192.0.2.1"), 1s) << "the same, mapped";
}

TEST_F(AuthThrottleTest, CountsIpv6ByTheFirst64Bits) {
  auto throttle = make();
  throttle.failed("2001:db8:0:1::1");
  throttle.failed("2001:db8:0:1::2");
  throttle.failed("2001:db8:0:1:ffff:ffff:ffff:ffff");
  EXPECT_EQ(throttle.wait_of("2001:0db8:0000:0001::abcd"), 1s);
  EXPECT_EQ(throttle.wait_of("2001:db8:0:2::1"), 0ms);
  EXPECT_EQ(throttle.size(), 1u);
}

TEST_F(AuthThrottleTest, RemembersABoundedNumber) {
  auto throttle = make();
  for (auto i = 0; i < 3; ++i)
    throttle.failed(client);
  for (auto i = 2; i <= 4; ++i)
    throttle.failed("192.0.2." + std::to_string(i));
  EXPECT_EQ(throttle.size(), 4u);
  EXPECT_EQ(throttle.wait_of(client), 1s);
  // What failed last is kept, what failed least recently makes room.
  throttle.failed(client);
  throttle.failed("192.0.2.5");
  EXPECT_EQ(throttle.size(), 4u);
  EXPECT_EQ(throttle.wait_of(client), 1s);
  for (auto i = 0; i < 100'000; ++i)
    throttle.failed("2001:db8:" + std::to_string(i % 10'000) + ":"
                    + std::to_string(i / 10'000) + "::");
  EXPECT_EQ(throttle.size(), 4u);
}

TEST_F(AuthThrottleTest, KeepsToLimitsThatChange) {
  auto throttle = make();
  throttle.failed(client);
  throttle.set_limits({2, 60s, 5s, 4});
  EXPECT_EQ(throttle.failed(client), 1s) << "what it did before counts";
  throttle.set_limits({2, 10s, 5s, 4});
  now += 1s + 10s;
  EXPECT_EQ(throttle.failed(client), 0ms) << "it was forgotten sooner";
}

TEST_F(AuthThrottleTest, CutsBlocksToAShorterLimit) {
  auto throttle = make();
  for (const auto block : {0s, 0s, 1s, 2s, 4s}) {
    EXPECT_EQ(throttle.failed(client), block);
    now += block;
  }
  EXPECT_EQ(throttle.failed(client), 5s);
  now += 1s;
  throttle.set_limits({3, 60s, 2s, 4});
  EXPECT_EQ(throttle.wait_of(client), 1s);
  now += 1s;
  EXPECT_EQ(throttle.wait_of(client), 0ms);
  EXPECT_EQ(throttle.failed(client), 2s);
}

TEST_F(AuthThrottleTest, ForgetsBitByBitWhatIsBeyondALowerLimit) {
  auto throttle = make();
  for (auto i = 1; i <= 4; ++i)
    throttle.failed("192.0.2." + std::to_string(i));
  throttle.set_limits({3, 60s, 5s, 2});
  EXPECT_EQ(throttle.size(), 4u);
  throttle.failed("192.0.2.5");
  EXPECT_EQ(throttle.size(), 3u);
  throttle.failed("192.0.2.6");
  throttle.failed("192.0.2.7");
  EXPECT_EQ(throttle.size(), 2u);
}

TEST_F(AuthThrottleTest, TellsWhenToTryAgain) {
  const auto answer = too_many_failures_response(1001ms);
  EXPECT_EQ(answer.status, 429);
  const auto envelope = nlohmann::json::parse(answer.body);
  EXPECT_EQ(envelope.at("errors").at(0).at("code"), code::too_many_failures);
  using header = std::pair<std::string, std::string>;
  EXPECT_EQ(answer.headers, (std::vector<header>{{"Retry-After", "2"},
                                                 {"retry-after-ms", "1001"}}));
}

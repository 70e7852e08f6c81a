// An interface is left in the mode in which it was found, however its sources
// end. The interface's flags say which one it is in.

#include "tests/support/live_fixture.hpp"

#include <gtest/gtest.h>

#include <net/if.h>

#include <csignal>
#include <fstream>
#include <ios>
#include <utility>

namespace edgecap::capture {
namespace {

using test::eventually;
using test::opened_source;

bool is_promiscuous() {
  std::ifstream in{"/sys/class/net/vb/flags"};
  unsigned flags = 0;
  in >> std::hex >> flags;
  return (flags & IFF_PROMISC) != 0;
}

/// A source has said that it ended before its socket is closed.
bool soon_modest() {
  return eventually([] { return !is_promiscuous(); });
}

class Promiscuous : public test::sharing_fixture {
protected:
  void SetUp() override {
    sharing_fixture::SetUp();
    ASSERT_FALSE(is_promiscuous());
  }

  opened_source open_modest() {
    return open(on("vb"));
  }

  opened_source open_promiscuous() {
    auto options = on("vb");
    options.promiscuous = true;
    return open(std::move(options));
  }

  /// Opens and ends sources, which gives one that ended before the time that
  /// it needs to be closed.
  void let_others_come_and_go() {
    for (int i = 0; i < 5; ++i) {
      auto x = open_modest();
      stop(x);
    }
  }
};

TEST_P(Promiscuous, IsEnteredOnlyOnRequest) {
  auto x = open_modest();
  EXPECT_FALSE(is_promiscuous());
}

TEST_P(Promiscuous, IsLeftAtStop) {
  auto x = open_promiscuous();
  EXPECT_TRUE(is_promiscuous());
  stop(x);
  EXPECT_TRUE(soon_modest());
}

TEST_P(Promiscuous, IsLeftWhenTheHandleIsDropped) {
  auto x = open_promiscuous();
  EXPECT_TRUE(is_promiscuous());
  x.source.reset();
  EXPECT_TRUE(soon_modest());
}

TEST_P(Promiscuous, IsLeftAtThePacketLimit) {
  auto options = on("vb");
  options.promiscuous = true;
  options.packet_limit = 10;
  auto x = open(options);
  EXPECT_TRUE(is_promiscuous());
  send(20);
  await_end(x);
  EXPECT_TRUE(soon_modest());
}

TEST_P(Promiscuous, EndsWithTheSourceThatAskedAlthoughAnotherGoesOn) {
  auto modest = open_modest();
  auto x = open_promiscuous();
  stop(x);
  EXPECT_TRUE(soon_modest());
  send(10);
  stop(modest);
  EXPECT_EQ(modest.sequences(), zero_to(10));
}

TEST_P(Promiscuous, OutlivesASourceThatDidNotAsk) {
  auto modest = open_modest();
  auto x = open_promiscuous();
  stop(modest);
  let_others_come_and_go();
  EXPECT_TRUE(is_promiscuous());
  stop(x);
  EXPECT_TRUE(soon_modest());
}

TEST_P(Promiscuous, EndsWithTheLastOfThoseThatAsked) {
  auto one = open_promiscuous();
  auto other = open_promiscuous();
  stop(one);
  let_others_come_and_go();
  EXPECT_TRUE(is_promiscuous());
  stop(other);
  EXPECT_TRUE(soon_modest());
}

TEST_P(Promiscuous, StaysIfItWasThereBefore) {
  net->ip("link set vb promisc on");
  auto x = open_promiscuous();
  stop(x);
  live.reset(); // Closes everything.
  EXPECT_TRUE(is_promiscuous());
  net->ip("link set vb promisc off");
  EXPECT_FALSE(is_promiscuous()) << "nothing of ours is left";
}

TEST_P(Promiscuous, IsLeftWhenTheProcessIsKilled) {
  live.reset(); // A process that forks should have one thread.
  EXPECT_EXIT(
    {
      start_capture();
      auto x = open_promiscuous();
      if (is_promiscuous())
        std::raise(SIGKILL);
    },
    testing::KilledBySignal(SIGKILL), "");
  EXPECT_TRUE(soon_modest());
}

INSTANTIATE_TEST_SUITE_P(, Promiscuous, test::every_mode, test::name_of);

} // namespace
} // namespace edgecap::capture

#include "http/live_stream.hpp"
#include "tests/support/scripted_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

// One stream between a job and a client: what waits, what is dropped, what is
// reported.
namespace edgecap::http {

namespace {

using test::make_batch;
using testing::ElementsAre;
using testing::Pair;

struct LiveStreamTest : testing::Test {
  /// The bytes of the next piece, or nothing.
  std::optional<std::string> piece() {
    body_piece result;
    if (aut.next(result) != live_state::piece)
      return std::nullopt;
    return std::string{static_cast<const char*>(result.data), result.size};
  }

  live_state state() {
    body_piece ignored;
    return aut.next(ignored);
  }

  /// Whether the streamer is called when it has asked to be.
  void expect_call() {
    aut.on_ready([this] { ++calls; });
  }

  const std::size_t batch_bytes = make_batch(10).size_bytes();
  std::vector<stream_report> reports;
  int calls = 0;
  live_stream aut{3 * batch_bytes,
                  [this](const stream_report& x) { reports.push_back(x); }};
};

} // namespace

TEST_F(LiveStreamTest, GivesHeaderAndBatchesInOrder) {
  EXPECT_EQ(state(), live_state::waiting);
  aut.begin("header");
  const auto batch = make_batch(10);
  EXPECT_TRUE(aut.take(batch));
  EXPECT_EQ(piece(), "header");
  body_piece bytes;
  ASSERT_EQ(aut.next(bytes), live_state::piece);
  EXPECT_EQ(bytes.data, batch.data()) << "passed on, not copied";
  EXPECT_EQ(bytes.size, batch.size_bytes());
  EXPECT_EQ(state(), live_state::waiting);
  aut.end(true);
  EXPECT_EQ(state(), live_state::whole);
  EXPECT_THAT(aut.trailers(),
              ElementsAre(Pair("Edgecap-Packets-Sent", "10"),
                          Pair("Edgecap-Packets-Dropped", "0")));
}

TEST_F(LiveStreamTest, DropsAndCountsWhatHasNoRoom) {
  aut.begin("header");
  for (auto i = 0; i < 5; ++i)
    EXPECT_TRUE(aut.take(make_batch(10))) << "a slow client still follows";
  aut.miss(7);
  EXPECT_EQ(piece(), "header");
  for (auto i = 0; i < 3; ++i)
    EXPECT_TRUE(piece());
  EXPECT_FALSE(piece());
  EXPECT_TRUE(aut.take(make_batch(10)));
  EXPECT_TRUE(piece()) << "it goes on when there is room again";
  EXPECT_THAT(aut.trailers(),
              ElementsAre(Pair("Edgecap-Packets-Sent", "40"),
                          Pair("Edgecap-Packets-Dropped", "27")));
}

TEST_F(LiveStreamTest, TakesABatchThatIsLargerThanItsRoom) {
  EXPECT_TRUE(aut.take(make_batch(100)));
  EXPECT_TRUE(aut.take(make_batch(1)));
  EXPECT_TRUE(piece());
  EXPECT_FALSE(piece()) << "the second one found it full";
}

TEST_F(LiveStreamTest, WakesTheStreamerOncePerQuestion) {
  expect_call();
  EXPECT_EQ(calls, 0);
  aut.begin("header");
  EXPECT_EQ(calls, 1);
  aut.take(make_batch(1));
  EXPECT_EQ(calls, 1) << "it has not asked again";
  expect_call();
  EXPECT_EQ(calls, 2) << "there is something already";
  while (piece()) {
  }
  expect_call();
  aut.end(true);
  EXPECT_EQ(calls, 3);
}

TEST_F(LiveStreamTest, BreaksIfTheJobDied) {
  aut.take(make_batch(1));
  aut.end(false);
  EXPECT_TRUE(piece()) << "what came is sent";
  EXPECT_EQ(state(), live_state::broken);
}

TEST_F(LiveStreamTest, ReportsOnceAndTellsTheJob) {
  aut.begin("header");
  aut.take(make_batch(10));
  piece();
  piece();
  expect_call();
  aut.finished(false);
  aut.finished(false);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].packets_sent, 10u);
  EXPECT_EQ(reports[0].bytes_sent, batch_bytes + 6);
  EXPECT_FALSE(reports[0].complete);
  EXPECT_FALSE(aut.take(make_batch(1)));
  EXPECT_EQ(calls, 0) << "nobody is called after the end";
}

TEST_F(LiveStreamTest, ReportsNothingIfItNeverBegan) {
  aut.abandon();
  EXPECT_FALSE(aut.take(make_batch(1)));
  aut.finished(false);
  EXPECT_TRUE(reports.empty());
}

} // namespace edgecap::http

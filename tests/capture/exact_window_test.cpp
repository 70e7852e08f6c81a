// What is captured under traffic that never pauses begins and ends with the
// right packet. A tun interface receives numbered packets and the test knows
// when each was on its way, so that nothing here depends on how fast anybody
// is.

#include "tests/support/live_fixture.hpp"
#include "tests/support/steady_traffic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace edgecap::capture {
namespace {

using test::eventually;
using test::opened_source;
using test::steady_traffic;
using test::unix_now;

/// A source that notes how much of the traffic was over when it opened.
struct timed_source : opened_source {
  explicit timed_source(const steady_traffic& traffic) {
    heard->when_opened = [this, &traffic] { sent_at_opening = traffic.sent(); };
  }

  std::uint64_t sent_at_opening = 0;
};

class ExactWindow : public test::tun_fixture {
protected:
  /// Fails unless what was delivered has no gap and begins no later than with
  /// the first packet after the opening. Returns the number of the first one
  /// that is missing behind it.
  static std::uint64_t end_of_run(const timed_source& x) {
    const auto taken = x.sequences(0);
    const auto first = x.sent_at_opening + 1; // One may be on its way.
    if (taken.empty())
      return first;
    EXPECT_LE(taken.front(), first);
    EXPECT_EQ(taken, range(taken.front(), taken.front() + taken.size()));
    return taken.back() + 1;
  }

  static void expect_no_drops(const source_counters& counters) {
    EXPECT_EQ(counters.dropped_by_kernel, 0u);
    EXPECT_EQ(counters.dropped_by_us, 0u);
  }
};

TEST_P(ExactWindow, EndsWithTheLastPacketStampedInTime) {
  constexpr unix_ns shortest_window_ns = 50'000'000;
  auto window_ns = shortest_window_ns;
  for (int rounds = 0; rounds < 3;) {
    steady_traffic traffic{*tun};
    timed_source x{traffic};
    auto options = patient(on("tun7"));
    options.not_after = unix_now() + window_ns;
    start(x, options);
    ASSERT_TRUE(eventually([&] { return unix_now() > options.not_after; }));
    ASSERT_TRUE(x.heard->wait_opened());
    traffic.pass_another();
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    expect_no_drops(end.counters);
    const auto& spans = traffic.end();
    const auto next = end_of_run(x);
    ASSERT_LT(next, spans.size());
    EXPECT_GT(spans[next].to, options.not_after) << "it was in time";
    for (const auto& record : x.heard->now().records)
      ASSERT_LE(record.time, options.not_after);
    if (x.heard->now().records.empty())
      window_ns *= 2; // It was over when the source had opened.
    else
      ++rounds;
  }
}

TEST_P(ExactWindow, EndsWithTheLastPacketBeforeStop) {
  steady_traffic traffic{*tun};
  const int rounds = shared() ? 10 : 20; // It opens three sources each time.
  for (int round = 0; round < rounds; ++round) {
    timed_source x{traffic};
    start(x, patient(on("tun7")));
    ASSERT_TRUE(x.heard->wait_records(1));
    const auto sent_at_stop = traffic.sent();
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    expect_no_drops(end.counters);
    EXPECT_GE(end_of_run(x), sent_at_stop);
    EXPECT_EQ(end.counters.packets_matched, x.heard->now().records.size());
  }
}

TEST_P(ExactWindow, TakesTheFirstPacketsUpToTheLimit) {
  steady_traffic traffic{*tun};
  // Within the first batch, at an edge of many small ones, and beyond the first
  // block of the ring.
  for (const std::uint64_t limit : {1u, 2u, 1000u, 20000u}) {
    timed_source x{traffic};
    auto options = patient(on("tun7"));
    options.batch_bytes = 4096;
    options.packet_limit = limit;
    start(x, options);
    const auto end = await_end(x);
    EXPECT_FALSE(end.error);
    expect_no_drops(end.counters);
    end_of_run(x);
    EXPECT_EQ(x.heard->now().records.size(), limit);
  }
}

// All that is sent is in the ring before the first packet is read, so that the
// limit lies in the first block, in later ones, and at the end of the last.
TEST_P(ExactWindow, TakesTheFirstPacketsOfAFullRingUpToTheLimit) {
  constexpr std::uint64_t sent = 3000; // Two blocks of 256 KiB and a part.
  for (const auto limit :
       {std::uint64_t{1}, sent / 6, sent / 2, sent - 1, sent}) {
    auto options = on("vb");
    options.packet_limit = limit;
    options.initial_credit_bytes = 0;
    neighbour_credit_bytes = 0; // Nobody has the ring read.
    // Each interval uses up a block of the ring, however slow we are to send.
    options.ring_bytes = 4u << 20;
    options.wake_interval_ms = 250;
    auto x = open(options);
    send(sent);
    EXPECT_TRUE(x.heard->now().records.empty());
    x.source->grant(test::plenty);
    const auto end = await_end(x);
    EXPECT_FALSE(end.error);
    expect_no_drops(end.counters);
    EXPECT_EQ(x.sequences(), zero_to(limit));
  }
}

TEST_P(ExactWindow, StampsEachPacketWhenItComesIn) {
  steady_traffic traffic{*tun};
  timed_source x{traffic};
  start(x, patient(on("tun7")));
  ASSERT_TRUE(x.heard->wait_records(5000));
  stop(x);
  const auto& spans = traffic.end();
  std::size_t finer_than_microseconds = 0;
  const auto records = x.heard->now().records;
  for (const auto& record : records) {
    const auto& span = spans.at(test::sequence_of(record.data.data(), 0));
    ASSERT_GE(record.time, span.from);
    ASSERT_LE(record.time, span.to);
    finer_than_microseconds += record.time % 1000 != 0 ? 1 : 0;
  }
  EXPECT_GT(finer_than_microseconds, records.size() * 9 / 10)
    << "of a clock of nanoseconds, 999 in 1000";
}

// The window's far end when the interface sets it: whatever the interface took
// is delivered.
TEST_P(ExactWindow, EndsWithTheLastPacketBeforeTheInterfaceWentDown) {
  for (int round = 0; round < 5; ++round) {
    steady_traffic traffic{*tun};
    timed_source x{traffic};
    start(x, patient(on("tun7")));
    ASSERT_TRUE(x.heard->wait_records(1));
    net->ip("link set tun7 down");
    const auto end = await_end(x);
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, capture_errc::interface_down);
    expect_no_drops(end.counters);
    EXPECT_EQ(end_of_run(x), traffic.end().size());
    net->ip("link set tun7 up");
  }
}

INSTANTIATE_TEST_SUITE_P(, ExactWindow, test::every_mode, test::name_of);

} // namespace
} // namespace edgecap::capture

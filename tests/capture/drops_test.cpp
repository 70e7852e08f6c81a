// Packets that are lost are counted, each under who lost it: the kernel whose
// ring was full, the interface, or us. Each loss is provoked alone, and the
// counts add up to what was sent. What a shared ring lost is told to each who
// shared it: nobody knows whose it was, or how many packets each would have
// had.

#include "tests/support/live_fixture.hpp"
#include "tests/support/temp_directory.hpp"

#include <gtest/gtest.h>

#include <sys/mount.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::capture {
namespace {

using test::eventually;
using test::opened_source;
using test::other_port;
using test::plenty;
using test::udp_frame;
using test::wanted_port;

constexpr std::size_t frame_bytes = 1000;

/// Five times what the smallest ring holds.
constexpr std::uint64_t burst = 5000;

const std::string statistics = "/sys/class/net/vb/statistics/";

/// A counter of the interface whose value the test sets. No virtual interface
/// of the kernels at hand drops packets where a network card does.
class played_counter {
public:
  explicit played_counter(const std::string& name) : name_(name) {
    set(0);
    const auto at = statistics + name;
    EXPECT_EQ(::mount(path().c_str(), at.c_str(), nullptr, MS_BIND, nullptr),
              0);
  }

  void set(std::uint64_t value) const {
    std::ofstream{path()} << value << '\n';
  }

private:
  std::string path() const {
    return (directory_.path() / name_).string();
  }

  test::temp_directory directory_;
  std::string name_;
};

/// A source whose reader stands still while the gate is closed.
struct gated_source : opened_source {
  gated_source() {
    heard->when_batch = [this] { std::lock_guard pass{gate}; };
  }

  std::mutex gate;
};

class Drops : public test::sharing_fixture {
protected:
  /// A source with the smallest ring there is.
  static source_options cramped() {
    auto result = on("vb");
    result.ring_bytes = 1u << 20;
    return result;
  }

  /// Starts a source with the smallest ring, and waits until it captures.
  void open_cramped(gated_source& x) {
    start(x, cramped());
    ASSERT_TRUE(x.heard->wait_opened());
  }

  /// Fills the ring several times while nobody reads it.
  void overrun(gated_source& x, std::uint64_t first) {
    std::lock_guard closed{x.gate};
    send_range(first, first + burst, frame_bytes);
  }

  /// Fills the ring several times while nobody may take a packet, and lets `x`
  /// take what is in it.
  void overrun_without_credit(const opened_source& x) {
    send(burst, frame_bytes);
    x.source->grant(plenty);
  }

  /// Fails unless each of the `sent` packets, all of them for `x`, was
  /// delivered once, in order, or counted as dropped, some by a full ring.
  void expect_sum_after_overrun(const opened_source& x,
                                const source_counters& counters,
                                std::uint64_t sent) const {
    expect_sum(x, counters, sent);
    EXPECT_EQ(counters.packets_matched,
              shared() ? std::nullopt : std::optional{sent});
  }

  static void expect_sum(const opened_source& x,
                         const source_counters& counters, std::uint64_t sent) {
    const auto taken = x.sequences();
    EXPECT_EQ(
      std::adjacent_find(taken.begin(), taken.end(), std::greater_equal<>{}),
      taken.end());
    EXPECT_EQ(taken.size() + counters.dropped_by_kernel.value_or(0)
                + counters.dropped_by_us,
              sent);
  }
};

TEST_P(Drops, AreTheKernelsWhileTheReaderIsKeptFromReading) {
  gated_source x;
  open_cramped(x);
  overrun(x, 0);
  const auto counters = stop(x).counters;
  EXPECT_GT(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.dropped_by_interface, 0u);
  expect_sum_after_overrun(x, counters, burst);
}

TEST_P(Drops, AreOursWhileThereIsNoCredit) {
  neighbour_credit_bytes = 0; // Otherwise the ring would be read for them.
  auto options = cramped();
  options.initial_credit_bytes = 0;
  auto x = open(options);
  overrun_without_credit(x);
  const auto counters = stop(x).counters;
  EXPECT_GT(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_interface, 0u);
  expect_sum_after_overrun(x, counters, burst);
}

TEST_P(Drops, AreToldApartInOneSource) {
  neighbour_credit_bytes = 0;
  gated_source x;
  auto options = cramped();
  options.initial_credit_bytes = 0;
  start(x, options);
  ASSERT_TRUE(x.heard->wait_opened());
  overrun_without_credit(x);
  ASSERT_TRUE(eventually([&] {
    return x.heard->now().records.size() + x.source->counters().dropped_by_us
           == burst;
  }));
  const auto ours = x.source->counters().dropped_by_us;
  overrun(x, burst);
  const auto counters = stop(x).counters;
  EXPECT_EQ(counters.dropped_by_us, ours);
  EXPECT_GT(counters.dropped_by_kernel, 0u);
  expect_sum_after_overrun(x, counters, 2 * burst);
}

TEST_P(Drops, AreTheInterfacesSinceTheSourceOpened) {
  const played_counter missed{"rx_missed_errors"};
  const played_counter fifo{"rx_fifo_errors"};
  missed.set(7);
  fifo.set(1);
  auto x = open(on("vb"));
  send(10);
  missed.set(12);
  fifo.set(3);
  const auto counters = stop(x).counters;
  EXPECT_EQ(counters.dropped_by_interface, 7u);
  EXPECT_EQ(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.packets_matched, 10u);
  expect_sum(x, counters, 10);
}

TEST_P(Drops, AreUnknownWhenTheInterfaceCountsAnew) {
  const played_counter missed{"rx_missed_errors"};
  missed.set(7);
  auto x = open(on("vb"));
  missed.set(2);
  EXPECT_EQ(stop(x).counters.dropped_by_interface, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(, Drops, test::every_mode, test::name_of);

class SharedDrops : public Drops {
protected:
  /// Waits until all that was sent to `x` was delivered or dropped.
  static bool all_accounted(const opened_source& x, std::uint64_t sent) {
    return eventually([&] {
      return x.heard->now().records.size()
               + x.source->counters().dropped_by_kernel.value_or(0)
             == sent;
    });
  }
};

TEST_P(SharedDrops, AreToldToEachWhoSharesTheRing) {
  gated_source one;
  open_cramped(one);
  auto other = on("vb");
  other.filter.destination_port = other_port;
  auto two = open(other);
  {
    std::lock_guard closed{one.gate};
    for (std::uint64_t i = 0; i < burst; ++i)
      for (const auto port : {wanted_port, other_port})
        link->post(udp_frame(i, port, frame_bytes));
    link->settle();
  }
  const auto of_two = stop(two).counters;
  const auto of_one = stop(one).counters;
  EXPECT_GT(of_one.dropped_by_kernel, 0u);
  EXPECT_EQ(of_one.dropped_by_kernel, of_two.dropped_by_kernel);
  for (const auto& counters : {of_one, of_two}) {
    EXPECT_EQ(counters.packets_matched, std::nullopt);
    EXPECT_EQ(counters.dropped_by_us, 0u);
  }
  // The first wants what goes to either port.
  const auto mine = one.sequences().size();
  EXPECT_EQ(mine + of_one.dropped_by_kernel.value_or(0), 2 * burst);
  EXPECT_GT(two.sequences().size(), 0u);
  EXPECT_LT(two.sequences().size(), mine);
}

TEST_P(SharedDrops, AreNotToldToThoseWhoCameLater) {
  gated_source early;
  open_cramped(early);
  overrun(early, 0);
  ASSERT_TRUE(all_accounted(early, burst));
  const auto lost = early.source->counters().dropped_by_kernel;
  auto late = open(on("vb"));
  send_range(burst, burst + 10, frame_bytes);
  const auto counters = stop(late).counters;
  EXPECT_EQ(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.packets_matched, 10u);
  EXPECT_EQ(late.sequences(), range(burst, burst + 10));
  EXPECT_EQ(stop(early).counters.dropped_by_kernel, lost);
}

// The interface counted more when the source came than it does now.
TEST_P(SharedDrops, AreUnknownWhenTheInterfaceCountsAnewSinceTheSourceCame) {
  const played_counter missed{"rx_missed_errors"};
  const auto early = open(on("vb"));
  missed.set(7);
  auto late = open(on("vb"));
  missed.set(2);
  EXPECT_EQ(stop(late).counters.dropped_by_interface, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(, SharedDrops, test::shared_modes, test::name_of);

} // namespace
} // namespace edgecap::capture

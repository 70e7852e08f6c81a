// Packets that are lost are counted, each under who lost it: the kernel whose
// ring was full, the interface, or us. Each loss is provoked alone, and the
// counts add up to what was sent.

#include "tests/support/live_fixture.hpp"
#include "tests/support/temp_directory.hpp"

#include <gtest/gtest.h>

#include <sys/mount.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace edgecap::capture {
namespace {

using test::eventually;
using test::opened_source;

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

class Drops : public test::live_fixture {
protected:
  /// A source with the smallest ring there is.
  static source_options cramped() {
    auto result = on("vb");
    result.ring_bytes = 1u << 20;
    return result;
  }

  /// Fails unless each of the `sent` packets was delivered once, in order, or
  /// counted as dropped.
  static void expect_sum(const opened_source& x,
                         const source_counters& counters, std::uint64_t sent) {
    const auto taken = x.sequences();
    EXPECT_EQ(
      std::adjacent_find(taken.begin(), taken.end(), std::greater_equal<>{}),
      taken.end());
    EXPECT_EQ(taken.size() + counters.dropped_by_kernel.value_or(0)
                + counters.dropped_by_us,
              sent);
    EXPECT_EQ(counters.packets_matched, sent);
  }
};

TEST_F(Drops, AreTheKernelsWhileTheReaderIsKeptFromReading) {
  std::mutex gate;
  opened_source x;
  x.heard->when_batch = [&] { std::lock_guard pass{gate}; };
  start(x, cramped());
  ASSERT_TRUE(x.heard->wait_opened());
  {
    std::lock_guard closed{gate};
    send(burst, frame_bytes);
  }
  const auto counters = stop(x).counters;
  EXPECT_GT(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.dropped_by_interface, 0u);
  expect_sum(x, counters, burst);
}

TEST_F(Drops, AreOursWhileThereIsNoCredit) {
  auto options = cramped();
  options.initial_credit_bytes = 0;
  auto x = open(options);
  send(burst, frame_bytes);
  x.source->grant(std::uint64_t{1} << 40);
  const auto counters = stop(x).counters;
  EXPECT_GT(counters.dropped_by_us, 0u);
  EXPECT_EQ(counters.dropped_by_kernel, 0u);
  EXPECT_EQ(counters.dropped_by_interface, 0u);
  expect_sum(x, counters, burst);
}

TEST_F(Drops, AreToldApartInOneSource) {
  std::mutex gate;
  opened_source x;
  x.heard->when_batch = [&] { std::lock_guard pass{gate}; };
  auto options = cramped();
  options.initial_credit_bytes = 0;
  start(x, options);
  ASSERT_TRUE(x.heard->wait_opened());
  send(burst, frame_bytes);
  x.source->grant(std::uint64_t{1} << 40);
  ASSERT_TRUE(eventually([&] {
    return x.heard->now().records.size() + x.source->counters().dropped_by_us
           == burst;
  }));
  const auto ours = x.source->counters().dropped_by_us;
  {
    std::lock_guard closed{gate};
    send_range(burst, 2 * burst, frame_bytes);
  }
  const auto counters = stop(x).counters;
  EXPECT_EQ(counters.dropped_by_us, ours);
  EXPECT_GT(counters.dropped_by_kernel, 0u);
  expect_sum(x, counters, 2 * burst);
}

TEST_F(Drops, AreTheInterfacesSinceTheSourceOpened) {
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
  expect_sum(x, counters, 10);
}

TEST_F(Drops, AreUnknownWhenTheInterfaceCountsAnew) {
  const played_counter missed{"rx_missed_errors"};
  missed.set(7);
  auto x = open(on("vb"));
  missed.set(2);
  EXPECT_EQ(stop(x).counters.dropped_by_interface, std::nullopt);
}

} // namespace
} // namespace edgecap::capture

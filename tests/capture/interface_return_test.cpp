// An interface goes away and comes back: the sources that were on it end with
// the reason and all that they captured, and new ones know nothing of that.

#include "tests/support/live_fixture.hpp"

#include <gtest/gtest.h>

#include <net/if.h>

#include <vector>

namespace edgecap::capture {
namespace {

using test::opened_source;
using test::udp_packet;
using test::wanted_port;

class InterfaceReturn : public test::tun_fixture {
protected:
  void receive(std::uint64_t first, std::uint64_t end) {
    for (auto i = first; i < end; ++i)
      tun->receive(udp_packet(i, wanted_port, 100));
  }

  /// Deletes the interface and makes another one of the same name.
  void replace_interface() {
    const auto index = ::if_nametoindex("tun7");
    tun.reset();
    tun.emplace(*net, "tun7");
    ASSERT_NE(::if_nametoindex("tun7"), index);
  }

  static void expect_lost(opened_source& x, capture_errc why,
                          const std::vector<std::uint64_t>& sequences) {
    const auto end = await_end(x);
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, why) << end.error->message;
    EXPECT_EQ(x.sequences(0), sequences);
    EXPECT_EQ(end.counters.packets_matched, sequences.size());
    EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
  }

  void expect_stops_with(opened_source& x,
                         const std::vector<std::uint64_t>& sequences) {
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(x.sequences(0), sequences);
    EXPECT_EQ(end.counters.packets_matched, sequences.size());
    EXPECT_EQ(end.counters.dropped_by_interface, 0u);
  }
};

TEST_P(InterfaceReturn, CapturesOnAnotherOfTheSameName) {
  for (int round = 0; round < 5; ++round) {
    auto before = open(on("tun7"));
    receive(0, 100);
    replace_interface();
    expect_lost(before, capture_errc::no_such_interface, zero_to(100));
    auto after = open(on("tun7"));
    receive(100, 150);
    expect_stops_with(after, range(100, 150));
  }
}

TEST_P(InterfaceReturn, CapturesOnTheNewOneWhileTheOldSourceStillEnds) {
  auto before = open(on("tun7"));
  receive(0, 100);
  replace_interface();
  auto after = open(on("tun7"));
  receive(100, 150);
  expect_lost(before, capture_errc::no_such_interface, zero_to(100));
  receive(150, 200);
  expect_stops_with(after, range(100, 200));
}

TEST_P(InterfaceReturn, CapturesAgainAfterItWasDown) {
  for (int round = 0; round < 5; ++round) {
    auto before = open(on("tun7"));
    receive(0, 100);
    net->ip("link set tun7 down");
    expect_lost(before, capture_errc::interface_down, zero_to(100));
    net->ip("link set tun7 up");
    auto after = open(on("tun7"));
    receive(100, 150);
    expect_stops_with(after, range(100, 150));
  }
}

// It has what came in before. It may have what came in when the interface was
// up again, until it hears of that; the error says that something is missing.
TEST_P(InterfaceReturn, EndsASourceWhoseInterfaceWasDownForAMoment) {
  auto before = open(on("tun7"));
  receive(0, 100);
  net->ip("link set tun7 down");
  net->ip("link set tun7 up");
  receive(100, 150);
  auto after = open(on("tun7"));
  receive(150, 200);
  ASSERT_TRUE(before.heard->wait_ended());
  const auto taken = before.sequences(0).size();
  EXPECT_GE(taken, 100u);
  expect_lost(before, capture_errc::interface_down, zero_to(taken));
  expect_stops_with(after, range(150, 200));
}

TEST_P(InterfaceReturn, EndsEverySourceOfTheInterface) {
  std::vector<opened_source> all;
  for (int i = 0; i < 10; ++i)
    all.push_back(open(on("tun7")));
  receive(0, 100);
  replace_interface();
  for (auto& x : all)
    expect_lost(x, capture_errc::no_such_interface, zero_to(100));
}

TEST_P(InterfaceReturn, LeavesSourcesOfOtherInterfacesAlone) {
  auto other = open(on("vb"));
  auto before = open(on("tun7"));
  send_range(0, 50, 100);
  replace_interface();
  expect_lost(before, capture_errc::no_such_interface, {});
  send_range(50, 100, 100);
  EXPECT_FALSE(stop(other).error);
  EXPECT_EQ(other.sequences(), zero_to(100));
}

INSTANTIATE_TEST_SUITE_P(, InterfaceReturn, test::every_mode, test::name_of);

} // namespace
} // namespace edgecap::capture

// The kernel counts a socket's old program and its new one at once, against
// net.core.optmem_max. How much that is depends on the kernel, which makes
// longer programs of ours; so the tests ask it what there has to be room for,
// and leave just that.

#include "capture/kernel_classifier.hpp"
#include "capture/union_filter.hpp"
#include "tests/support/filter_sockets.hpp"
#include "tests/support/live_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

namespace edgecap::capture {
namespace {

using test::opened_source;
using test::port_of;
using test::udp_frame;

constexpr auto setting = "/proc/sys/net/core/optmem_max";

/// More than anything here takes.
constexpr std::size_t plenty_of_room = 1u << 20;

class ProgramRoom : public test::sharing_fixture {
protected:
  ProgramRoom() {
    brings_neighbours = false;
  }

  void SetUp() override {
    sharing_fixture::SetUp();
    if (!std::ofstream{setting}) // Before Linux 6.9 it is the whole host's.
      GTEST_SKIP() << "this kernel has no net.core.optmem_max per namespace";
  }

  /// Programs that are attached from now on have so many bytes for the old one
  /// and the new one.
  static void leave_room(std::size_t bytes) {
    std::ofstream{setting} << bytes;
  }

  /// The least with which a socket without a program takes this one.
  template <class Program>
  static std::size_t room_for(const Program& program) {
    std::size_t refused = 0, enough = plenty_of_room;
    while (enough - refused > 1) {
      const auto middle = refused + (enough - refused) / 2;
      leave_room(middle);
      try {
        const test::kernel_filter socket{program};
        enough = middle;
      } catch (const std::exception&) {
        refused = middle;
      }
    }
    leave_room(plenty_of_room);
    return enough;
  }

  /// The same for what some sources share, each of which wants a port, and for
  /// the shortest of programs at the same time. It is too little for a program
  /// that one of them has alone in place of that.
  std::size_t room_to_share(const std::vector<std::uint16_t>& ports) const {
    std::vector<flow_match> filters;
    for (const auto number : ports)
      filters.push_back(match_of(port(number).filter).value());
    auto result = room_for(compile_union(filters, {}).value().program);
    if (mode == test::sharing::classifier) {
      const auto classifier
        = kernel_classifier::create(filter_layout::ethernet, 64);
      result = std::max(result, room_for(classifier.value()));
    }
    return result + room_for(bpf_program{{BPF_RET | BPF_K, 0, 0, 1}});
  }

  static source_options port(std::uint16_t number, std::uint32_t one_in = 1) {
    auto result = patient(on("vb"));
    result.filter.destination_port = number;
    result.sampling_one_in = one_in;
    return result;
  }

  /// Sends `n` numbered frames to each of the ports, by turns.
  void send_to(const std::vector<std::uint16_t>& ports, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i)
      for (const auto number : ports)
        link->post(udp_frame(i, number, 100));
    link->settle();
  }

  /// All that was captured has to be the port's, one of `one_in` of `sent`.
  static void expect_sample(const opened_source& x, std::uint16_t number,
                            double sent, double one_in) {
    const auto records = x.heard->now().records;
    EXPECT_TRUE(
      std::all_of(records.begin(), records.end(), [=](const auto& each) {
        return port_of(each.data.data()) == number;
      }));
    const auto p = 1 / one_in;
    EXPECT_NEAR(static_cast<double>(records.size()), sent * p,
                6 * std::sqrt(sent * p * (1 - p)));
  }

  /// One is sampled, of two that share the interface with room for `bytes`; the
  /// other one goes, and another one comes.
  void expect_each_its_own(std::size_t bytes) {
    leave_room(bytes);
    constexpr std::uint64_t n = 2000;
    auto sample = open(port(1000, 100));
    auto whole = open(port(1001));
    await_sharing("vb");
    send_to({1000, 1001, 1002}, n);
    EXPECT_FALSE(stop(whole).error);
    expect_sample(whole, 1001, n, 1);
    send_to({1000, 1001, 1002}, n); // Alone, but that is news.
    await_ticks();
    send_to({1000, 1001, 1002}, n);
    auto next = open(port(1002));
    await_sharing("vb");
    send_to({1000, 1001, 1002}, n);
    EXPECT_FALSE(stop(next).error);
    expect_sample(next, 1002, n, 1);
    EXPECT_FALSE(stop(sample).error);
    expect_sample(sample, 1000, 4 * n, 100);
  }
};

// Neither of two rows' union and a row's own program can be put in the place of
// the other while that is there.
TEST_P(ProgramRoom, IsForOneOfTwoPrograms) {
  expect_each_its_own(room_to_share({1000, 1001}));
}

// The classifier comes when there is a union already.
TEST_P(ProgramRoom, IsForAUnionOrTheClassifier) {
  std::vector<std::uint16_t> ports;
  for (std::uint16_t i = 0; i < 20; ++i)
    ports.push_back(static_cast<std::uint16_t>(2000 + i));
  leave_room(room_to_share(ports));
  std::vector<opened_source> all;
  for (const auto number : ports)
    all.push_back(start(port(number)));
  for (auto& x : all)
    ASSERT_TRUE(x.heard->wait_opened());
  await_sharing("vb");
  send_to(ports, 10);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    EXPECT_FALSE(stop(all[i]).error);
    expect_sample(all[i], ports[i], 10, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(, ProgramRoom, test::shared_modes, test::name_of);

/// Without the classifier, which cannot always be had here.
class LittleProgramRoom : public ProgramRoom {};

TEST_P(LittleProgramRoom, IsEnough) {
  for (const std::size_t bytes : {8192, 12288, 20480}) {
    SCOPED_TRACE(bytes);
    expect_each_its_own(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(, LittleProgramRoom,
                         testing::Values(test::sharing::union_filter),
                         test::name_of);

} // namespace
} // namespace edgecap::capture

// Many sources on one interface share its socket, with the classifier in the
// kernel and without: each gets what it would get alone.

#include "capture/kernel_classifier.hpp"
#include "tests/support/fairness.hpp"
#include "tests/support/live_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::capture {
namespace {

using test::eventually;
using test::opened_source;
using test::plenty;
using test::port_of;
using test::sequence_of;
using test::udp_frame;

/// Packet sockets in the namespace, but for those of the test's traffic.
std::ptrdiff_t sockets() {
  std::ifstream in{"/proc/net/packet"};
  constexpr auto heading_and_traffic = 3;
  return std::count(std::istreambuf_iterator<char>{in}, {}, '\n')
         - heading_and_traffic;
}

class SharedInterface : public test::sharing_fixture {
protected:
  SharedInterface() {
    brings_neighbours = false;
  }

  static source_options port(std::uint16_t number) {
    auto result = patient(on("vb"));
    result.filter.destination_port = number;
    return result;
  }

  /// Sends `n` numbered frames to each of the ports, by turns, when the kernel
  /// filters for all.
  void send_to(const std::vector<std::uint16_t>& ports, std::uint64_t n) {
    await_sharing("vb");
    for (std::uint64_t i = 0; i < n; ++i)
      for (const auto number : ports)
        link->post(udp_frame(i, number, 100));
    link->settle();
  }

  static bool all_to(const opened_source& x, std::uint16_t number) {
    const auto records = x.heard->now().records;
    return std::all_of(records.begin(), records.end(), [=](const auto& each) {
      return port_of(each.data.data()) == number;
    });
  }

  /// So many sources, each with a packet of its own.
  void serve(std::size_t sources) {
    constexpr std::uint16_t first = 10000;
    std::vector<opened_source> all;
    for (std::size_t i = 0; i < sources; ++i) {
      all.push_back(start(port(static_cast<std::uint16_t>(first + i))));
      if (i == 1)
        await_sharing("vb");
    }
    for (auto& x : all)
      ASSERT_TRUE(x.heard->wait_opened());
    EXPECT_EQ(sockets(), 1);
    for (std::size_t i = 0; i < sources; ++i)
      link->post(udp_frame(i, static_cast<std::uint16_t>(first + i), 100));
    link->settle();
    for (auto& x : all)
      x.source->stop();
    for (std::size_t i = 0; i < sources; ++i) {
      EXPECT_FALSE(await_end(all[i]).error);
      EXPECT_EQ(all[i].sequences(), std::vector<std::uint64_t>{i});
    }
  }
};

TEST_P(SharedInterface, GivesEachWhatItsFilterMatches) {
  auto first = open(port(1000));
  auto second = open(port(1001));
  auto same = open(port(1001));
  auto everything = open(on("vb"));
  auto nothing = open(port(1002));
  EXPECT_EQ(sockets(), 1);
  send_to({1000, 1001, 1003}, 100);
  for (auto* each : {&first, &second, &same}) {
    const auto end = stop(*each);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(each->sequences(), zero_to(100));
    EXPECT_EQ(end.counters.packets_matched, 100u);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
    EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
  }
  EXPECT_TRUE(all_to(first, 1000));
  EXPECT_TRUE(all_to(second, 1001));
  EXPECT_EQ(stop(everything).counters.packets_matched, 300u);
  EXPECT_EQ(everything.heard->now().records.size(), 300u);
  EXPECT_EQ(stop(nothing).counters.packets_matched, 0u);
  EXPECT_TRUE(eventually([] { return sockets() == 0; }));
}

TEST_P(SharedInterface, CutsForEachAtItsOwnSnaplen) {
  auto longer = port(1000);
  auto shorter = port(1000);
  longer.snaplen_bytes = 90;
  shorter.snaplen_bytes = 20;
  auto x = open(longer);
  auto y = open(shorter);
  send_to({1000}, 1);
  stop(x);
  stop(y);
  const auto sent = udp_frame(0, 1000, 100);
  const auto expect_cut = [&](const opened_source& each, std::ptrdiff_t size) {
    const auto records = each.heard->now().records;
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].data, test::bytes(sent.begin(), sent.begin() + size));
    EXPECT_EQ(records[0].original_length, 100u);
  };
  expect_cut(x, 90);
  expect_cut(y, 20);
}

// Others come and go all the time, under traffic, and nobody loses a packet or
// gets one twice.
TEST_P(SharedInterface, DisturbsNobodyWhenOthersComeAndGo) {
  test::tun_interface tun{*net, "tun7"};
  std::uint64_t sent = 0;
  const auto send_until = [&](const std::function<bool()>& happened) {
    do {
      tun.receive(test::udp_packet(sent, test::other_port, 60));
      tun.receive(test::udp_packet(sent++, test::wanted_port, 60));
    } while (!happened());
  };
  const auto expect_no_gap = [&](opened_source& x) {
    x.source->stop();
    send_until([&] { return x.heard->now().end.has_value(); });
    const auto counters = await_end(x).counters;
    EXPECT_EQ(counters.dropped_by_us, 0u);
    EXPECT_EQ(counters.dropped_by_kernel, 0u);
    const auto seen = x.sequences(0);
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(seen, range(seen.front(), seen.back() + 1));
    EXPECT_EQ(counters.packets_matched, seen.size());
  };
  auto resident = open(patient(wanted_on("tun7")));
  for (int round = 0; round < 20; ++round) {
    auto guest = start(patient(wanted_on("tun7")));
    send_until([&] { return guest.heard->now().records.size() >= 10; });
    expect_no_gap(guest);
  }
  expect_no_gap(resident);
}

TEST_P(SharedInterface, WaitsForNobodyWhoHasNoCredit) {
  auto options = port(1000);
  options.initial_credit_bytes = 1;
  auto poor = open(options);
  auto rich = open(port(1000));
  send_to({1000}, 100);
  ASSERT_TRUE(rich.heard->wait_records(100));
  poor.source->grant(plenty);
  send_to({1000}, 10);
  const auto end = stop(poor);
  EXPECT_EQ(end.counters.dropped_by_us, 99u);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
  EXPECT_EQ(end.counters.packets_matched, 110u);
  EXPECT_EQ(poor.heard->now().records.size(), 11u);
  EXPECT_EQ(stop(rich).counters.dropped_by_us, 0u);
  EXPECT_EQ(rich.heard->now().records.size(), 110u);
}

// What came in before a source, or after its stop, lies in one ring with what
// is for it, and would match its filter.
TEST_P(SharedInterface, GivesEachItsOwnPartOfTheRing) {
  auto options = patient(on("vb"));
  options.initial_credit_bytes = 0;
  options.wake_interval_ms = 1000; // All lies in one block, as a rule.
  auto early = open(options);
  auto whole = open(options);
  await_sharing("vb");
  send_range(0, 100, 100);
  auto late = open(options);
  send_range(100, 200, 100);
  early.source->stop();
  open(options); // That was not yet done when `stop` returned, but it is now.
  send_range(200, 300, 100);
  early.source->grant(plenty);
  EXPECT_EQ(await_end(early).counters.packets_matched, 200u);
  EXPECT_EQ(early.sequences(), zero_to(200));
  // Some of theirs was read already, and is lost.
  const auto expect_matched = [](opened_source& x, std::uint64_t n) {
    x.source->grant(plenty);
    const auto counters = stop(x).counters;
    EXPECT_EQ(counters.packets_matched, n);
    EXPECT_EQ(x.sequences().size() + counters.dropped_by_us, n);
  };
  expect_matched(late, 200);
  expect_matched(whole, 300);
}

TEST_P(SharedInterface, EndsEachAtItsOwnLimit) {
  std::vector<opened_source> all;
  for (std::uint64_t limit = 1; limit <= 20; ++limit) {
    auto options = port(1000);
    options.packet_limit = limit;
    all.push_back(open(options));
  }
  send_to({1000}, 20);
  for (std::uint64_t limit = 1; limit <= 20; ++limit) {
    auto& x = all[limit - 1];
    EXPECT_FALSE(await_end(x).error);
    EXPECT_EQ(x.sequences(), zero_to(limit));
  }
}

// The kernel tosses one coin, at the highest rate that anybody wants.
TEST_P(SharedInterface, GivesEachItsOwnSamplingRate) {
  constexpr std::uint64_t sent = 20000;
  const std::vector<std::uint32_t> rates{2, 10, 10, 50};
  std::vector<opened_source> all;
  for (const auto rate : rates) {
    auto options = port(1000);
    options.sampling_one_in = rate;
    all.push_back(open(options));
  }
  send_to({1000}, sent);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const auto end = stop(all[i]);
    const auto p = 1.0 / rates[i];
    // Six standard deviations of a binomial distribution.
    EXPECT_NEAR(static_cast<double>(all[i].sequences().size()), sent * p,
                6 * std::sqrt(sent * p * (1 - p)));
    EXPECT_EQ(end.counters.packets_matched, std::nullopt);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
  }
}

// One wants twice as much as the other of the same packets: the kernel draws
// for the one, if it draws, and user space from that for the other. Each part
// of what was sent is a sample by itself; some are longer than others, as the
// p-values of counts are few otherwise.
TEST_P(SharedInterface, SamplesFairlyAtTwoRates) {
  constexpr std::size_t samples = 1000;
  std::vector<std::uint64_t> lengths;
  std::vector<std::size_t> part_of; // Each packet.
  for (std::size_t i = 0; i < samples; ++i) {
    lengths.push_back(391 + i % 20);
    part_of.insert(part_of.end(), lengths[i], i);
  }
  const auto sent = part_of.size();
  test::expect_fair([&](test::p_values& found) {
    const std::vector<std::uint32_t> rates{2, 4};
    std::vector<opened_source> all;
    for (const auto rate : rates) {
      auto options = port(1000);
      options.sampling_one_in = rate;
      all.push_back(open(options));
    }
    send_to({1000}, sent);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const auto end = stop(all[i]);
      EXPECT_EQ(end.counters.dropped_by_us, 0u);
      EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
      const auto taken = all[i].sequences();
      test::fairness judge;
      auto next = taken.begin();
      std::uint64_t first = 0;
      for (std::size_t part = 0; part < samples; ++part) {
        std::vector<std::uint64_t> sample;
        for (; next != taken.end() && part_of[*next] == part; ++next)
          sample.push_back(*next - first);
        judge.add(sample, lengths[part]);
        first += lengths[part];
      }
      const auto name = " at 1 in " + std::to_string(rates[i]);
      for (const auto& [by, p] : judge.judge())
        found[by + name] = p;
      const auto n = static_cast<double>(sent), chance = 1.0 / rates[i];
      found["of the count" + name]
        = test::normal_p((static_cast<double>(taken.size()) - n * chance)
                         / std::sqrt(n * chance * (1 - chance)));
    }
  });
}

// A sampled source that joins one that wants all gets its own rate as well, and
// the other loses nothing.
TEST_P(SharedInterface, SamplesForOneAndNotForTheOther) {
  constexpr std::uint64_t sent = 20000;
  auto whole = open(port(1000));
  auto options = port(1000);
  options.sampling_one_in = 10;
  auto sample = open(options);
  send_to({1000}, sent);
  stop(sample);
  EXPECT_NEAR(static_cast<double>(sample.sequences().size()), sent * 0.1,
              6 * std::sqrt(sent * 0.09));
  stop(whole);
  EXPECT_EQ(whole.sequences(), zero_to(sent));
}

// Without a classifier nobody tosses a coin while there are two; what was let
// in then waits in the ring, and it happens again before that is read.
TEST_P(SharedInterface, SamplesWhatWaitedWhileOthersCameAndWent) {
  constexpr std::uint64_t sent = 5000, rounds = 3;
  const auto poor = [](std::uint16_t number) {
    auto result = port(number);
    result.initial_credit_bytes = 0;
    return result;
  };
  auto options = poor(1000);
  options.sampling_one_in = 100;
  auto sample = open(options);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const auto other = open(poor(1001));
    send_to({1000}, sent);
  }
  const auto last = open(poor(1001));
  sample.source->grant(plenty);
  const auto end = stop(sample);
  EXPECT_EQ(end.counters.dropped_by_us, 0u);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
  constexpr auto mean = sent * rounds * 0.01;
  EXPECT_NEAR(static_cast<double>(sample.sequences().size()), mean,
              6 * std::sqrt(mean * 0.99));
}

TEST_P(SharedInterface, StillCountsWhatWaitsWhenAnotherComes) {
  constexpr std::uint64_t sent = 100;
  auto options = port(1000);
  options.initial_credit_bytes = 0;
  auto x = open(options);
  const auto matched = [&] { return x.source->counters().packets_matched; };
  for (std::uint64_t i = 0; i < sent; ++i)
    link->post(udp_frame(i, 1000, 100));
  link->settle();
  ASSERT_TRUE(eventually([&] { return matched() == sent; }));
  options.filter.destination_port = std::uint16_t{1001};
  const auto other = open(options);
  await_ticks();
  EXPECT_EQ(matched(), sent);
  x.source->grant(plenty);
  EXPECT_EQ(stop(x).counters.packets_matched, sent);
  EXPECT_EQ(x.sequences(), zero_to(sent));
}

TEST_P(SharedInterface, EndsAllWhenItIsDeleted) {
  auto x = open(port(1000));
  auto y = open(on("vb"));
  send_to({1000}, 10);
  net->ip("link delete vb");
  for (auto* each : {&x, &y}) {
    const auto end = await_end(*each);
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, capture_errc::no_such_interface);
    EXPECT_EQ(each->sequences(), zero_to(10));
  }
}

TEST_P(SharedInterface, RefusesABadFilterAndGoesOn) {
  auto x = open(port(1000));
  auto y = open(port(1001));
  auto options = on("vb");
  options.filter.source_address = "nonsense";
  auto bad = start(options);
  const auto end = await_end(bad);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::bad_filter);
  send_to({1000, 1001}, 10);
  stop(x);
  stop(y);
  EXPECT_EQ(x.sequences(), zero_to(10));
  EXPECT_EQ(y.sequences(), zero_to(10));
}

TEST_P(SharedInterface, ServesThousands) {
  serve(5000);
}

// A classifier that is full is given up for a union.
TEST_P(SharedInterface, ServesMoreThanAClassifierHolds) {
  std::atomic<int> given_up{0};
  live_capture::options how;
  how.use_classifier = mode == test::sharing::classifier;
  how.on_fallback = [&](const capture_error&) { ++given_up; };
  live.emplace(how);
  serve(kernel_classifier::max_keys + 10);
  live.reset();
  EXPECT_EQ(given_up, how.use_classifier ? 1 : 0);
}

INSTANTIATE_TEST_SUITE_P(, SharedInterface, test::shared_modes, test::name_of);

class WarmInterface : public test::live_fixture {
protected:
  void SetUp() override {
    idle_time = std::chrono::hours{1};
    live_fixture::SetUp();
  }
};

TEST_F(WarmInterface, IsUsedAgain) {
  for (int round = 0; round < 3; ++round) {
    auto x = open(wanted_on("vb"));
    EXPECT_EQ(sockets(), 1);
    send(10);
    const auto end = stop(x);
    EXPECT_EQ(x.sequences(), zero_to(10));
    EXPECT_EQ(end.counters.packets_matched, 10u);
    send(10); // For nobody.
  }
  EXPECT_EQ(sockets(), 1);
  live.reset();
  EXPECT_TRUE(eventually([] { return sockets() == 0; }));
}

TEST_F(WarmInterface, IsNotTakenForAnotherOfItsName) {
  auto before = open(wanted_on("vb"));
  net->ip("link set vb name vc");
  net->add_veth("x", "vb");
  auto after = open(wanted_on("vb"));
  EXPECT_EQ(sockets(), 2);
  send(10); // To what is vc now.
  EXPECT_FALSE(stop(after).error);
  EXPECT_FALSE(stop(before).error);
  EXPECT_EQ(before.sequences(), zero_to(10));
  EXPECT_TRUE(after.sequences().empty());
}

TEST_F(WarmInterface, IsOpenedAnewAfterItWasLost) {
  auto x = open(wanted_on("vb"));
  net->ip("link set vb down");
  EXPECT_TRUE(await_end(x).error);
  net->ip("link set vb up");
  auto y = open(wanted_on("vb"));
  EXPECT_TRUE(eventually([] { return sockets() == 1; }));
  EXPECT_FALSE(stop(y).error);
}

} // namespace
} // namespace edgecap::capture

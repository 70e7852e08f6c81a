// What a compiled filter matches is asked of the kernel: each program is
// attached to a socket, each packet is sent to it, and what arrives has
// matched. A socket pair of AF_UNIX shows a program the bytes as they are and
// needs no rights; what depends on the kernel's view of a real interface (the
// tags that it takes out, protocol and direction of a packet) is asked of
// packet sockets in a network namespace.

#include "capture/filter.hpp"
#include "tests/support/fairness.hpp"
#include "tests/support/filter_page.hpp"
#include "tests/support/filter_sockets.hpp"
#include "tests/support/netns.hpp"
#include "tests/support/packets.hpp"
#include "tests/support/traffic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/if_ether.h>
#include <sys/socket.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::capture {

namespace {

using test::bytes;
using test::compiled;
using test::filter_page;
using test::interface_filter;
using test::kernel_filter;
using test::packet_class;
using test::packet_named;
using testing::HasSubstr;

// -- asking the kernel --------------------------------------------------------

/// Names of the page's filters that match `packet`.
std::set<std::string> matching_filters(const bytes& packet,
                                       filter_layout layout) {
  std::set<std::string> result;
  filter_options options;
  options.layout = layout;
  for (const auto& [name, fields] : filter_page().filters)
    if (kernel_filter{compiled(fields, options)}.keeps(packet) > 0)
      result.insert(name);
  return result;
}

// -- the matrix ---------------------------------------------------------------

TEST(FilterMatrix, PageAndCodeKnowTheSamePackets) {
  std::set<std::string> in_code, on_page;
  for (const auto& x : test::packet_classes())
    in_code.insert(x.name);
  for (const auto& [name, filters] : filter_page().matched_by)
    on_page.insert(name);
  EXPECT_EQ(in_code, on_page);
  EXPECT_GE(filter_page().filters.size(), 19u);
}

TEST(FilterMatrix, HoldsOnEthernet) {
  for (const auto& x : test::packet_classes())
    EXPECT_EQ(
      matching_filters(test::ethernet_frame(x), filter_layout::ethernet),
      filter_page().matched_by.at(x.name))
      << x.name;
}

TEST(FilterMatrix, HoldsOnRawIp) {
  for (const auto& x : test::packet_classes()) {
    const auto is_ip = x.ethertype == ETH_P_IP || x.ethertype == ETH_P_IPV6;
    if (!x.tags.empty() || !is_ip)
      continue;
    EXPECT_EQ(matching_filters(x.network, filter_layout::raw_ip),
              filter_page().matched_by.at(x.name))
      << x.name;
  }
}

/// Sends every packet over a real link, with another tag around it that the
/// kernel takes out, and without.
void check_matrix_on_interface(filter_layout layout, int socket_type) {
  test::scoped_network_namespace space;
  space.add_veth("near", "far");
  test::traffic_link traffic{"near", "far"};
  filter_options options;
  options.layout = layout;
  std::vector<std::unique_ptr<interface_filter>> filters;
  for (const auto& [name, fields] : filter_page().filters)
    filters.push_back(std::make_unique<interface_filter>(
      "far", socket_type, compiled(fields, options)));
  for (const auto& x : test::packet_classes())
    for (const auto outer_tag : {true, false}) {
      // Without an outer tag the kernel would take the packet's own.
      if (!outer_tag && !x.tags.empty())
        continue;
      auto sent = x;
      if (outer_tag)
        sent.tags.insert(sent.tags.begin(), ETH_P_8021Q);
      traffic.send(test::ethernet_frame(sent));
      std::set<std::string> matching;
      for (std::size_t i = 0; i < filters.size(); ++i)
        if (filters[i]->matched() == 1)
          matching.insert(filter_page().filters[i].first);
      EXPECT_EQ(matching, filter_page().matched_by.at(x.name))
        << x.name << (outer_tag ? ", tagged" : "");
    }
}

TEST(FilterMatrix, HoldsOnALiveInterface) {
  check_matrix_on_interface(filter_layout::ethernet, SOCK_RAW);
}

TEST(FilterMatrix, HoldsOnACookedInterface) {
  check_matrix_on_interface(filter_layout::cooked, SOCK_DGRAM);
}

TEST(Filter, TellsDirections) {
  test::scoped_network_namespace space;
  space.add_veth("near", "far");
  test::traffic_link traffic{"near", "far"};
  filter_options incoming;
  incoming.incoming_only = true;
  for (const auto& fields :
       {filter_fields{},
        filter_fields{"192.0.2.1", "198.51.100.7", 5000, 53, 17}}) {
    const interface_filter leaving{"near", SOCK_RAW, compiled(fields)};
    const interface_filter unwanted{"near", SOCK_RAW,
                                    compiled(fields, incoming)};
    const interface_filter arriving{"far", SOCK_RAW,
                                    compiled(fields, incoming)};
    traffic.send(test::ethernet_frame(packet_named("udp4")));
    EXPECT_EQ(leaving.matched(), 1);
    EXPECT_EQ(unwanted.matched(), 0);
    EXPECT_EQ(arriving.matched(), 1);
  }
}

TEST(Filter, KeepsSnaplenBytes) {
  filter_options options;
  options.snaplen_bytes = 33;
  const auto frame = test::ethernet_frame(packet_named("udp4"));
  EXPECT_EQ(kernel_filter{compiled({}, options)}.keeps(frame), 33u);
  options.snaplen_bytes = 262144;
  EXPECT_EQ(kernel_filter{compiled({}, options)}.keeps(frame), frame.size());
}

TEST(Filter, ReadsNothingBeyondThePacket) {
  const auto frame = test::ethernet_frame(packet_named("udp4 options"));
  const auto tuple = filter_fields{"192.0.2.1", "198.51.100.7", 5000, 53, 17};
  const kernel_filter filter{compiled(tuple)};
  const std::size_t ports_end = 14 + 28 + 4;
  for (std::size_t size = 1; size < frame.size(); ++size) {
    const bytes cut(frame.begin(), frame.begin() + static_cast<long>(size));
    EXPECT_EQ(filter.keeps(cut), size >= ports_end ? size : 0) << size;
  }
}

TEST(Filter, ComparesEveryByteOfAnAddress) {
  auto packet = packet_named("udp6");
  filter_fields fields;
  fields.source_address = "2001:db8::1";
  fields.destination_address = "2001:db8::7";
  const kernel_filter filter{compiled(fields)};
  EXPECT_GT(filter.keeps(test::ethernet_frame(packet)), 0u);
  for (std::size_t i = 8; i < 40; ++i) {
    auto other = packet;
    other.network[i] ^= std::byte{1};
    EXPECT_EQ(filter.keeps(test::ethernet_frame(other)), 0u) << i;
  }
}

TEST(Filter, IsShort) {
  // A longer program costs every packet of the host more time, and memory of
  // the socket (net.core.optmem_max). Walking IPv6 headers takes the most.
  for (const auto& [name, fields] : filter_page().filters) {
    const auto size = compiled(fields).size();
    RecordProperty("instructions of " + name, static_cast<int>(size));
    EXPECT_LE(size, name == "tuple4" ? 64u : 400u) << name;
  }
}

// -- sampling -----------------------------------------------------------------

TEST(Sampling, ComesAsNearToOneInNAsPossible) {
  for (const auto n : {2u, 3u, 7u, 10u, 1000u, 999983u, 4294967295u}) {
    filter_options options;
    options.sampling_one_in = n;
    const auto program = compiled({}, options);
    const auto load
      = std::find_if(program.begin(), program.end(), [](const sock_filter& x) {
          return x.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM);
        });
    ASSERT_LT(load + 1, program.end());
    const auto chance = (load + 1)->k / std::exp2(32);
    EXPECT_LE(std::abs(chance - 1.0 / n), std::exp2(-33)) << n;
  }
}

TEST(Sampling, IsLeftOutWhenEveryPacketIsWanted) {
  EXPECT_EQ(compiled({}).size(), 2u);
}

// Counts in all, per flow, per time and the gaps between packets are what
// independent draws with the same chance give.
void judge_draws(test::p_values& found) {
  constexpr unsigned one_in = 8, flows = 40, times = 10, rounds = 4000;
  constexpr double total = double{flows} * rounds, chance = 1.0 / one_in;
  filter_options options;
  options.sampling_one_in = one_in;
  const kernel_filter filter{compiled({{}, {}, {}, {}, 17}, options)};
  const auto frame = test::ethernet_frame(packet_named("udp4"));
  std::vector<double> per_flow(flows), per_time(times), per_gap(40);
  double kept = 0;
  std::size_t gap = 0;
  for (unsigned round = 0; round < rounds; ++round)
    for (unsigned flow = 0; flow < flows; ++flow, ++gap) {
      if (filter.keeps(frame) == 0)
        continue;
      ++kept;
      ++per_flow[flow];
      ++per_time[round * times / rounds];
      ++per_gap[std::min(gap, per_gap.size() - 1)];
      gap = static_cast<std::size_t>(-1);
    }
  found["of the count"] = test::normal_p(
    (kept - total * chance) / std::sqrt(total * chance * (1 - chance)));
  const auto spread = [&](const std::vector<double>& counts) {
    double result = 0;
    for (const auto x : counts) {
      const auto expected = total / static_cast<double>(counts.size()) * chance;
      result += (x - expected) * (x - expected) / (expected * (1 - chance));
    }
    return result;
  };
  found["by flow"] = test::chi_square_p(spread(per_flow), flows);
  found["by time"] = test::chi_square_p(spread(per_time), times);
  double gaps = 0;
  for (std::size_t i = 0; i < per_gap.size(); ++i) {
    const auto last = i + 1 == per_gap.size();
    const auto expected = kept * std::pow(1 - chance, static_cast<double>(i))
                          * (last ? 1 : chance);
    gaps += (per_gap[i] - expected) * (per_gap[i] - expected) / expected;
  }
  found["by gap"]
    = test::chi_square_p(gaps, static_cast<double>(per_gap.size() - 1));
}

TEST(Sampling, IsFairAndIndependent) {
  test::expect_fair(judge_draws);
}

/// Judges a thousand samples of what matches a filter, while as much comes that
/// does not if there is an `other`.
void judge_samples(test::p_values& found, const filter_fields& fields,
                   const bytes& wanted, const bytes* other) {
  constexpr std::uint64_t samples = 1000, offered = 1200;
  constexpr unsigned one_in = 4;
  filter_options options;
  options.sampling_one_in = one_in;
  const kernel_filter filter{compiled(fields, options)};
  test::fairness judge;
  std::size_t kept = 0;
  for (std::uint64_t sample = 0; sample < samples; ++sample) {
    std::vector<std::uint64_t> taken;
    for (std::uint64_t i = 0; i < offered; ++i) {
      if (filter.keeps(wanted) > 0)
        taken.push_back(i);
      if (other) {
        ASSERT_EQ(filter.keeps(*other), 0u);
      }
    }
    judge.add(taken, offered);
    kept += taken.size();
  }
  found = judge.judge();
  constexpr double total = samples * offered, chance = 1.0 / one_in;
  found["of the count"]
    = test::normal_p((static_cast<double>(kept) - total * chance)
                     / std::sqrt(total * chance * (1 - chance)));
}

void expect_fair_samples(const filter_fields& fields, const bytes& wanted,
                         const bytes* other) {
  test::expect_fair([&](test::p_values& found) {
    judge_samples(found, fields, wanted, other);
  });
}

TEST(Sampling, IsFairAThousandTimes) {
  expect_fair_samples({}, test::ethernet_frame(packet_named("udp4")), nullptr);
}

TEST(Sampling, IsFairAThousandTimesUnderAFilter) {
  const auto other = test::ethernet_frame(packet_named("tcp4"));
  expect_fair_samples({"192.0.2.1", "198.51.100.7", 5000, 53, 17},
                      test::ethernet_frame(packet_named("udp4")), &other);
}

TEST(Sampling, TakesNoPacketThatDoesNotMatch) {
  filter_options options;
  options.sampling_one_in = 2;
  const kernel_filter filter{compiled({{}, {}, {}, {}, 6}, options)};
  const auto frame = test::ethernet_frame(packet_named("udp4"));
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(filter.keeps(frame), 0u);
}

// -- what is refused ----------------------------------------------------------

std::vector<filter_fault> faults_of_source(const std::string& address) {
  filter_fields fields;
  fields.source_address = address;
  return validate(fields);
}

TEST(FilterValidation, AcceptsAddresses) {
  for (const auto* x :
       {"0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "::1", "2001:db8::1",
        "2001:DB8:0:0:0:0:0:1", "ff02::1", "::192.0.2.1", "64:ff9b::192.0.2.1"})
    EXPECT_TRUE(faults_of_source(x).empty()) << x;
}

TEST(FilterValidation, RefusesWhatIsNoAddress) {
  for (const auto* x : {"",
                        " ",
                        "1.2.3",
                        "1.2.3.4.5",
                        "01.2.3.4",
                        "1.2.3.004",
                        "256.1.1.1",
                        "1.2.3.4 ",
                        " 1.2.3.4",
                        "1.2.3.4/32",
                        "0x7f.0.0.1",
                        "2130706433",
                        "1.2.3.4 or host 5.6.7.8",
                        "localhost",
                        "fe80::1%eth0",
                        "fe80::1%1",
                        "[::1]",
                        "::1/128",
                        ":::",
                        "1::2::3",
                        "12345::",
                        "2001:db8::1 ",
                        "\xff\xfe"}) {
    const auto faults = faults_of_source(x);
    ASSERT_EQ(faults.size(), 1u) << x;
    EXPECT_EQ(faults[0].field, "source_address");
    EXPECT_THAT(faults[0].message, HasSubstr("is neither an IPv4 nor"));
  }
  EXPECT_EQ(faults_of_source(std::string{"192.0.2.1\0", 10}).size(), 1u);
  EXPECT_EQ(faults_of_source(std::string{"192.0.2.1\0.evil", 15}).size(), 1u);
}

TEST(FilterValidation, QuotesTheValueSafely) {
  const auto faults = faults_of_source("a\"b\\\n\xc3" + std::string(500, 'x'));
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_THAT(faults[0].message,
              testing::StartsWith("\"a\\x22b\\x5c\\x0a\\xc3xxx"));
  EXPECT_LT(faults[0].message.size(), 250u);
}

TEST(FilterValidation, SaysWhatToWriteForAMappedAddress) {
  const auto faults = faults_of_source("::ffff:192.0.2.1");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].message,
            "\"::ffff:192.0.2.1\" is an IPv4-mapped address, which no packet "
            "carries; write 192.0.2.1");
}

TEST(FilterValidation, RefusesMixedFamilies) {
  const auto faults = validate({"192.0.2.1", "2001:db8::7", {}, {}, {}});
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].field, "destination_address");
  EXPECT_EQ(faults[0].message,
            "\"2001:db8::7\" is an IPv6 address but source_address "
            "\"192.0.2.1\" is an IPv4 address; no packet has both");
}

TEST(FilterValidation, RefusesPortsWhereThereAreNone) {
  const auto faults = validate({{}, {}, 53, 80, 1});
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].field, "protocol");
  EXPECT_THAT(faults[0].message,
              HasSubstr("1 has no ports but source_port 53 and "
                        "destination_port 80 is given"));
  for (unsigned protocol = 0; protocol < 256; ++protocol) {
    const auto has_ports = protocol == 6 || protocol == 17 || protocol == 33
                           || protocol == 132 || protocol == 136;
    const auto number = static_cast<std::uint8_t>(protocol);
    EXPECT_EQ(validate({{}, {}, 53, {}, number}).empty(), has_ports);
    EXPECT_EQ(validate({{}, {}, {}, 53, number}).empty(), has_ports);
    EXPECT_TRUE(validate({{}, {}, {}, {}, number}).empty());
  }
}

TEST(FilterValidation, ReportsEveryFault) {
  const auto faults = validate({"x", "y", 1, {}, 2});
  ASSERT_EQ(faults.size(), 3u);
  EXPECT_EQ(faults[0].field, "source_address");
  EXPECT_EQ(faults[1].field, "destination_address");
  EXPECT_EQ(faults[2].field, "protocol");
  const auto program = compile({"x", "y", 1, {}, 2}, {});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().code, capture_errc::bad_filter);
  for (const auto& x : faults)
    EXPECT_THAT(program.error().message, HasSubstr(x.field + ": " + x.message));
}

TEST(FilterValidation, RefusesOptionsThatMatchNothing) {
  filter_options options;
  options.sampling_one_in = 0;
  EXPECT_EQ(compile({}, options).error().code, capture_errc::bad_filter);
  options = {};
  options.snaplen_bytes = 0;
  EXPECT_EQ(compile({}, options).error().code, capture_errc::bad_filter);
}

} // namespace

} // namespace edgecap::capture

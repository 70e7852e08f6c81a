// Four judges decide whether a packet matches a filter: the program of one
// filter, the program of many, the table in the kernel, and the table in user
// space. The first one is held against docs/filter.md by filter_test.cpp; here
// the others are held against it, on every packet of that page and on random
// ones.

#include "capture/flow_table.hpp"
#include "capture/kernel_classifier.hpp"
#include "capture/packet_ring.hpp"
#include "capture/union_filter.hpp"
#include "tests/support/filter_page.hpp"
#include "tests/support/filter_sockets.hpp"
#include "tests/support/netns.hpp"
#include "tests/support/packets.hpp"
#include "tests/support/traffic.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::capture {

namespace {

using test::bytes;
using test::compiled;
using test::ethernet_frame;
using test::filter_page;
using test::interface_filter;
using test::kernel_filter;
using test::packet_named;

constexpr std::uint32_t whole = 262144;

flow_match parsed(const filter_fields& fields) {
  std::vector<filter_fault> faults;
  auto result = parse(fields, faults);
  if (!faults.empty())
    throw std::runtime_error{faults.front().message};
  return result;
}

bpf_program union_of(const std::vector<flow_match>& filters,
                     union_options options = {}) {
  const auto result = compile_union(filters, options).value();
  EXPECT_EQ(result.precision, union_precision::exact);
  return result.program;
}

/// Rows that match a packet, in order.
std::vector<std::uint32_t> rows_of(const flow_table& table,
                                   const flow& packet) {
  std::vector<std::uint32_t> result;
  table.for_each_match(packet, [&](const auto& x) { result.push_back(x.id); });
  std::sort(result.begin(), result.end());
  return result;
}

/// What a frame says from which the kernel took no tag.
flow flow_of(const bytes& frame, link_type link = link_type::ethernet) {
  return read_flow(link, frame.data(), frame.size(), max_vlan_tags);
}

bool operator==(const flow& x, const flow& y) {
  return words_of(x.key) == words_of(y.key) && x.extensions == y.extensions;
}

/// A flow table with one row for each filter of the page, numbered like them.
flow_table table_of_page() {
  flow_table result;
  std::uint32_t id = 0;
  for (const auto& [name, fields] : filter_page().filters)
    result.insert(parsed(fields), {id++, every_packet});
  return result;
}

std::set<std::string> names_of(const std::vector<std::uint32_t>& rows) {
  std::set<std::string> result;
  for (const auto row : rows)
    result.insert(filter_page().filters[row].first);
  EXPECT_EQ(result.size(), rows.size());
  return result;
}

/// Tests of the table in the kernel.
class Classifier : public testing::Test {
protected:
  void SetUp() override {
    const auto result = kernel_classifier::create(filter_layout::ethernet, 1);
    if (!result && result.error().code == capture_errc::not_permitted)
      GTEST_SKIP() << result.error().message;
    ASSERT_TRUE(result) << result.error().message;
  }

  static kernel_classifier make(filter_layout layout
                                = filter_layout::ethernet) {
    auto result = kernel_classifier::create(layout, whole);
    if (!result)
      throw std::runtime_error{result.error().message};
    return std::move(*result);
  }
};

void insert(kernel_classifier& to, const flow_match& match,
            sampling_threshold threshold = every_packet) {
  if (auto ok = to.insert(match, threshold); !ok)
    throw std::runtime_error{ok.error().message};
}

void erase(kernel_classifier& from, const flow_match& match,
           sampling_threshold threshold = every_packet) {
  if (auto ok = from.erase(match, threshold); !ok)
    throw std::runtime_error{ok.error().message};
}

// -- the page -----------------------------------------------------------------

/// The packets of the page as `layout` shows them, with what matches them.
std::vector<std::pair<bytes, std::set<std::string>>>
packets_for(filter_layout layout) {
  std::vector<std::pair<bytes, std::set<std::string>>> result;
  for (const auto& x : test::packet_classes()) {
    const auto is_ip = x.ethertype == ETH_P_IP || x.ethertype == ETH_P_IPV6;
    const auto& matching = filter_page().matched_by.at(x.name);
    if (layout == filter_layout::ethernet)
      result.emplace_back(ethernet_frame(x), matching);
    else if (x.tags.empty() && is_ip)
      result.emplace_back(x.network, matching);
  }
  return result;
}

constexpr std::array offline_layouts{
  std::pair{filter_layout::ethernet, link_type::ethernet},
  std::pair{filter_layout::raw_ip, link_type::raw}};

TEST(FlowTable, DecidesAsThePageSays) {
  const auto table = table_of_page();
  for (const auto& [layout, link] : offline_layouts)
    for (const auto& [packet, matching] : packets_for(layout))
      EXPECT_EQ(names_of(rows_of(table, flow_of(packet, link))), matching);
}

TEST(UnionFilter, DecidesAsThePageSays) {
  for (const auto& [layout, link] : offline_layouts)
    for (const auto& [name, fields] : filter_page().filters) {
      union_options options;
      options.layout = layout;
      const kernel_filter filter{union_of({parsed(fields)}, options)};
      for (const auto& [packet, matching] : packets_for(layout))
        EXPECT_EQ(filter.keeps(packet),
                  matching.count(name) == 1 ? packet.size() : 0)
          << name;
    }
}

TEST_F(Classifier, DecidesAsThePageSaysAndForgetsWhatIsErased) {
  for (const auto& [layout, link] : offline_layouts) {
    auto classifier = make(layout);
    const kernel_filter filter{classifier};
    const auto packets = packets_for(layout);
    for (const auto& [name, fields] : filter_page().filters) {
      insert(classifier, parsed(fields));
      for (const auto& [packet, matching] : packets)
        EXPECT_EQ(filter.keeps(packet),
                  matching.count(name) == 1 ? packet.size() : 0)
          << name;
      erase(classifier, parsed(fields));
      for (const auto& [packet, matching] : packets)
        EXPECT_EQ(filter.keeps(packet), 0u) << name;
    }
  }
}

// -- interfaces ---------------------------------------------------------------

/// The three judges in the kernel, on one interface.
struct interface_judges {
  interface_judges(const std::string& interface, int type,
                   const filter_fields& fields, filter_layout layout)
    : classifier(kernel_classifier::create(layout, whole).value()) {
    filter_options one;
    one.layout = layout;
    union_options many;
    many.layout = layout;
    insert(classifier, parsed(fields));
    filters.push_back(std::make_unique<interface_filter>(
      interface, type, compiled(fields, one)));
    filters.push_back(std::make_unique<interface_filter>(
      interface, type, union_of({parsed(fields)}, many)));
    filters.push_back(
      std::make_unique<interface_filter>(interface, type, classifier));
  }

  /// What they say of the last packet, all alike.
  bool matched() const {
    std::set<int> result;
    for (const auto& x : filters)
      result.insert(x->matched());
    EXPECT_EQ(result.size(), 1u);
    return *result.begin() == 1;
  }

  kernel_classifier classifier;
  std::vector<std::unique_ptr<interface_filter>> filters;
};

using judges_by_name
  = std::vector<std::pair<std::string, std::unique_ptr<interface_judges>>>;

judges_by_name judges_on(const std::string& interface, int type,
                         filter_layout layout) {
  judges_by_name result;
  for (const auto& [name, fields] : filter_page().filters)
    result.emplace_back(name, std::make_unique<interface_judges>(
                                interface, type, fields, layout));
  return result;
}

std::set<std::string> ask(const judges_by_name& judges) {
  std::set<std::string> result;
  for (const auto& [name, judge] : judges)
    if (judge->matched())
      result.insert(name);
  return result;
}

/// Everything on an interface, as user space sees it.
class user_judge {
public:
  user_judge(const std::string& interface, link_type link)
    : link_(link), ring_(open(interface, link)) {}

  /// Filters of the page that match the next packet.
  std::set<std::string> next() {
    std::optional<std::set<std::string>> result;
    while (!result) {
      pollfd wait{ring_.descriptor(), POLLIN, 0};
      if (::poll(&wait, 1, 10'000) != 1)
        throw std::runtime_error{"no packet within 10 s"};
      ring_.read([&](const packet_view& x) {
        result = names_of(
          rows_of(table_, read_flow(link_, x.data, x.header.captured_length)));
        return false;
      });
    }
    return *result;
  }

private:
  static packet_ring open(const std::string& interface, link_type link) {
    ring_options options;
    options.interface = interface;
    options.interface_index = ::if_nametoindex(interface.c_str());
    options.link = link;
    options.wake_interval_ms = 1;
    auto result = packet_ring::open(options).value();
    EXPECT_TRUE(result.attach({{BPF_RET | BPF_K, 0, 0, whole}}));
    return result;
  }

  link_type link_;
  packet_ring ring_;
  flow_table table_ = table_of_page();
};

/// Sends every packet over a real link, with another tag around it that the
/// kernel takes out, and without.
void check_page_on_veth(filter_layout layout, link_type link, int type) {
  test::scoped_network_namespace space;
  space.add_veth("near", "far");
  test::traffic_link traffic{"near", "far"};
  const auto receiving = judges_on("far", type, layout);
  const auto sending = judges_on("near", type, layout);
  user_judge user{"far", link};
  for (const auto& x : test::packet_classes())
    for (const auto outer_tag : {true, false}) {
      // Without an outer tag the kernel would take the packet's own.
      if (!outer_tag && !x.tags.empty())
        continue;
      auto sent = x;
      if (outer_tag)
        sent.tags.insert(sent.tags.begin(), ETH_P_8021Q);
      traffic.send(ethernet_frame(sent));
      const auto& matching = filter_page().matched_by.at(x.name);
      EXPECT_EQ(ask(receiving), matching) << x.name;
      const auto seen = user.next();
      // Linux 6.10 and later tell a SOCK_DGRAM socket the protocol behind tags
      // that are still in the packet, and so hide them from user space.
      if (type == SOCK_RAW || x.tags.empty()) {
        EXPECT_EQ(seen, matching) << x.name;
      }
      // There the tags are still in the packet; that the judges agree is
      // enough.
      ask(sending);
    }
}

TEST_F(Classifier, AgreesOnALiveInterface) {
  check_page_on_veth(filter_layout::ethernet, link_type::ethernet, SOCK_RAW);
}

TEST_F(Classifier, AgreesOnACookedInterface) {
  check_page_on_veth(filter_layout::cooked, link_type::linux_sll, SOCK_DGRAM);
}

TEST_F(Classifier, AgreesOnATunnel) {
  test::scoped_network_namespace space;
  const test::tun_interface tun{space, "tun7"};
  const auto judges = judges_on("tun7", SOCK_RAW, filter_layout::raw_ip);
  user_judge user{"tun7", link_type::raw};
  for (const auto& x : test::packet_classes()) {
    // tun refuses what does not begin with an IP version.
    const auto version = std::to_integer<unsigned>(x.network[0]) >> 4;
    if (!x.tags.empty() || (version != 4 && version != 6)
        || (x.ethertype != ETH_P_IP && x.ethertype != ETH_P_IPV6))
      continue;
    tun.receive(x.network);
    const auto& matching = filter_page().matched_by.at(x.name);
    EXPECT_EQ(ask(judges), matching) << x.name;
    EXPECT_EQ(user.next(), matching) << x.name;
  }
}

// -- random filters and packets -----------------------------------------------

/// Random, but the same in each run; EDGECAP_TEST_SEED makes another.
class generator {
public:
  generator() {
    if (const auto* seed = std::getenv("EDGECAP_TEST_SEED"))
      random_.seed(std::stoul(seed));
  }

  unsigned below(std::size_t n) {
    return static_cast<unsigned>(random_() % n);
  }

  bool chance(unsigned percent) {
    return below(100) < percent;
  }

  /// A filter that packets are likely to match in part.
  filter_fields filter() {
    static constexpr std::array sources{"192.0.2.1", "192.0.2.9", "2001:db8::1",
                                        "2001:db8::1:1"};
    static constexpr std::array destinations{"198.51.100.7", "198.51.100.71",
                                             "2001:db8::7", "2001:db8:1::7"};
    filter_fields result;
    const auto family = below(3);
    if (family < 2 && chance(60))
      result.source_address = sources[family * 2 + (chance(80) ? 0 : 1)];
    if (family < 2 && chance(60))
      result.destination_address
        = destinations[family * 2 + (chance(80) ? 0 : 1)];
    if (chance(30))
      result.source_port = chance(80) ? 5000 : 53;
    if (chance(30))
      result.destination_port = chance(80) ? 53 : 5000;
    const auto with_ports = result.source_port || result.destination_port;
    if (chance(with_ports ? 50 : 70))
      result.protocol = protocol(with_ports);
    return result;
  }

  /// A packet of the page that something was done to.
  bytes packet(bool with_link_layer) {
    const auto& all = test::packet_classes();
    const auto& x = all[below(all.size())];
    auto result = with_link_layer ? ethernet_frame(x) : x.network;
    for (auto changes = below(4); changes > 0; --changes)
      change(result);
    return result;
  }

private:
  std::uint8_t protocol(bool with_ports) {
    static constexpr std::array<std::uint8_t, 16> all{
      6, 17, 33, 132, 136, 0, 43, 44, 51, 60, 135, 139, 140, 1, 58, 50};
    return all[below(with_ports ? 5 : all.size())];
  }

  void change(bytes& packet) {
    // Nearly all that is looked at is in front.
    const auto at = below(std::min<std::size_t>(packet.size(), 100));
    switch (below(4)) {
    case 0:
      packet[at] = static_cast<std::byte>(below(256));
      break;
    case 1: // Headers of another kind, or of another length.
      packet[at] = static_cast<std::byte>(
        chance(70) ? protocol(false) : static_cast<std::uint8_t>(below(4)));
      break;
    case 2:
      packet.resize(1 + below(packet.size()));
      break;
    default:
      packet[at] ^= static_cast<std::byte>(1u << below(8));
      break;
    }
  }

  std::mt19937 random_;
};

TEST_F(Classifier, AgreesOnRandomFiltersAndPackets) {
  generator random;
  std::size_t decisions = 0, matches = 0, extensions = 0;
  for (int round = 0; round < 24; ++round) {
    const auto& [layout, link] = offline_layouts.at(round % 2);
    filter_options one;
    one.layout = layout;
    union_options many;
    many.layout = layout;
    many.snaplen_bytes = 1;
    flow_table table;
    auto classifier = make(layout);
    classifier.set_snaplen(1);
    std::vector<flow_match> filters;
    std::vector<kernel_filter> judges;
    for (auto left = 1 + random.below(40); left > 0; --left) {
      const auto fields = random.filter();
      const auto match = parsed(fields);
      // One of these hides what all others do.
      if (match.everything() && !random.chance(5))
        continue;
      table.insert(match,
                   {static_cast<std::uint32_t>(filters.size()), every_packet});
      filters.push_back(match);
      insert(classifier, match);
      judges.emplace_back(compiled(fields, one));
    }
    const auto shapes
      = std::count_if(filters.begin(), filters.end(),
                      [](const auto& x) { return !x.everything(); });
    const kernel_filter in_kernel{classifier};
    const kernel_filter together{union_of(filters, many)};
    for (int i = 0; i < 150; ++i) {
      const auto packet = random.packet(layout == filter_layout::ethernet);
      std::vector<std::uint32_t> expected;
      for (std::uint32_t id = 0; id < judges.size(); ++id)
        if (judges[id].keeps(packet) > 0)
          expected.push_back(id);
      const auto seen = flow_of(packet, link);
      EXPECT_EQ(rows_of(table, seen), expected);
      for (const auto* judge : {&in_kernel, &together}) {
        const auto kept = judge->take(packet);
        EXPECT_EQ(!kept.empty(), !expected.empty());
        // With a snaplen of 1 there is still all that the decision needs.
        if (!kept.empty() && shapes > 0) {
          EXPECT_TRUE(flow_of(kept, link) == seen);
        }
      }
      decisions += judges.size();
      matches += expected.size();
      extensions += seen.extensions != 0;
    }
  }
  // The packets are not all alike.
  EXPECT_GT(matches, decisions / 50);
  EXPECT_LT(matches, decisions / 2);
  EXPECT_GT(extensions, 100u);
}

// -- many rows ----------------------------------------------------------------

/// A filter for each shape that there is, which the page's UDP packets match.
std::vector<flow_match> every_shape() {
  std::vector<flow_match> result;
  const auto ipv4 = parsed({"192.0.2.1", "198.51.100.7", 5000, 53, 17});
  const auto ipv6 = parsed({"2001:db8::1", "2001:db8::7", 5000, 53, 17});
  for (const auto family : {ip_family::any, ip_family::ipv4, ip_family::ipv6})
    for (unsigned fields = 1; fields < field_combinations; ++fields) {
      auto x = family == ip_family::ipv6 ? ipv6 : ipv4;
      x.family = family;
      if ((fields & field_source) == 0)
        x.source.reset();
      if ((fields & field_destination) == 0)
        x.destination.reset();
      if ((fields & field_source_port) == 0)
        x.source_port.reset();
      if ((fields & field_destination_port) == 0)
        x.destination_port.reset();
      if ((fields & field_protocol) == 0)
        x.protocol.reset();
      if (family != ip_family::any || (!x.source && !x.destination))
        result.push_back(x);
    }
  return result;
}

TEST_F(Classifier, HoldsEveryShapeAtOnce) {
  const auto filters = every_shape();
  ASSERT_EQ(filters.size(), 31u + 31 + 7);
  auto classifier = make();
  flow_table table;
  const kernel_filter filter{classifier};
  for (std::uint32_t id = 0; id < filters.size(); ++id) {
    insert(classifier, filters[id]);
    table.insert(filters[id], {id, every_packet});
  }
  const auto udp4 = ethernet_frame(packet_named("udp4"));
  const auto udp6 = ethernet_frame(packet_named("udp6"));
  for (std::uint32_t id = 0; id < filters.size(); ++id) {
    std::size_t v4 = 0, v6 = 0;
    for (auto left = id; left < filters.size(); ++left) {
      v4 += filters[left].family != ip_family::ipv6;
      v6 += filters[left].family != ip_family::ipv4;
    }
    EXPECT_EQ(rows_of(table, flow_of(udp4)).size(), v4);
    EXPECT_EQ(rows_of(table, flow_of(udp6)).size(), v6);
    EXPECT_EQ(filter.keeps(udp4) > 0, v4 > 0);
    EXPECT_EQ(filter.keeps(udp6) > 0, v6 > 0);
    erase(classifier, filters[id]);
    EXPECT_TRUE(table.erase(filters[id], id));
    EXPECT_FALSE(table.erase(filters[id], id));
  }
  EXPECT_EQ(filter.keeps(udp4), 0u);
  EXPECT_EQ(table.size(), 0u);
}

/// Filters that are all different and match none of the page's packets.
flow_match stranger(std::uint32_t number) {
  flow_match result;
  result.family = ip_family::ipv4;
  result.source.emplace();
  std::memcpy(result.source->data(), &number, sizeof number);
  result.source_port = 1;
  return result;
}

TEST_F(Classifier, HoldsAsManyFiltersAsItSays) {
  auto classifier = make();
  flow_table table;
  for (std::uint32_t i = 0; i < kernel_classifier::max_keys; ++i) {
    ASSERT_TRUE(classifier.insert(stranger(i), every_packet));
    table.insert(stranger(i), {i, every_packet});
  }
  const auto udp = parsed({{}, {}, {}, {}, 17});
  const auto one_more = classifier.insert(udp, every_packet);
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().message, "add a filter to the classifier: it has "
                                      "8192 different ones already");
  const auto frame = ethernet_frame(packet_named("udp4"));
  const kernel_filter filter{classifier};
  EXPECT_EQ(filter.keeps(frame), 0u);
  insert(classifier, stranger(5)); // Not a different one.
  insert(classifier, parsed({}));  // Not in the kernel's map.
  EXPECT_EQ(filter.keeps(frame), frame.size());
  erase(classifier, parsed({}));
  erase(classifier, stranger(7));
  insert(classifier, udp);
  EXPECT_EQ(filter.keeps(frame), frame.size());
  EXPECT_EQ(rows_of(table, flow_of(frame)).size(), 0u);
  table.insert(udp, {9, every_packet});
  EXPECT_EQ(rows_of(table, flow_of(frame)), std::vector<std::uint32_t>{9});
}

TEST_F(Classifier, KeepsAKeyAsLongAsARowHasIt) {
  auto classifier = make();
  flow_table table;
  const kernel_filter filter{classifier};
  const auto frame = ethernet_frame(packet_named("udp4"));
  for (const auto& match :
       {parsed({}), parsed({"192.0.2.1", {}, {}, {}, {}})}) {
    for (std::uint32_t id = 0; id < 3; ++id) {
      insert(classifier, match);
      table.insert(match, {id, every_packet});
    }
    for (std::uint32_t id = 0; id < 3; ++id) {
      EXPECT_EQ(filter.keeps(frame), frame.size());
      EXPECT_EQ(rows_of(table, flow_of(frame)).size(), 3 - id);
      erase(classifier, match);
      table.erase(match, id);
    }
    EXPECT_EQ(filter.keeps(frame), 0u);
  }
}

// -- sampling, counts and snaplen ---------------------------------------------

/// How many of so many packets are kept.
std::size_t kept_of(const kernel_filter& filter, const bytes& frame,
                    std::size_t packets) {
  std::size_t result = 0;
  for (; packets > 0; --packets)
    result += filter.keeps(frame) > 0;
  return result;
}

TEST_F(Classifier, SamplesByTheHighestThreshold) {
  auto classifier = make();
  const kernel_filter filter{classifier};
  const auto frame = ethernet_frame(packet_named("udp6 hop-by-hop"));
  // As good as never, and each reaches the packet in another way.
  const auto rarely = threshold_of(0xffffffff);
  const auto half = threshold_of(2);
  for (const auto& one :
       {parsed({}), parsed({{}, {}, {}, {}, 0}), parsed({{}, {}, {}, {}, 17}),
        parsed({{}, {}, {}, 53, {}})})
    for (const auto& other : {one, parsed({"2001:db8::1", {}, {}, {}, {}})}) {
      insert(classifier, one, rarely);
      EXPECT_EQ(kept_of(filter, frame, 100), 0u);
      insert(classifier, other, half);
      const auto kept = kept_of(filter, frame, 2000);
      EXPECT_GT(kept, 850u); // Six standard deviations.
      EXPECT_LT(kept, 1150u);
      insert(classifier, other, every_packet);
      EXPECT_EQ(kept_of(filter, frame, 100), 100u);
      erase(classifier, other, every_packet);
      EXPECT_LT(kept_of(filter, frame, 100), 100u);
      erase(classifier, other, half);
      EXPECT_EQ(kept_of(filter, frame, 100), 0u);
      erase(classifier, one, rarely);
    }
}

TEST_F(Classifier, ChangesTheSnaplenOfASocket) {
  auto classifier = make();
  const kernel_filter filter{classifier};
  const auto frame = ethernet_frame(packet_named("udp4"));
  insert(classifier, parsed({}));
  for (const auto snaplen : {1u, 60u, 61u, 262144u}) {
    classifier.set_snaplen(snaplen);
    EXPECT_EQ(filter.keeps(frame),
              std::min<std::size_t>(snaplen, frame.size()));
  }
  // Now it has to look for ports, and so will user space.
  insert(classifier, parsed({{}, {}, 1, {}, {}}));
  classifier.set_snaplen(1);
  EXPECT_EQ(filter.keeps(frame), 14u + 20 + 4);
}

TEST_F(Classifier, OutlivesItsObjectOnASocket) {
  auto classifier = std::make_unique<kernel_classifier>(make());
  insert(*classifier, parsed({{}, {}, {}, {}, 17}));
  const kernel_filter filter{*classifier};
  classifier.reset();
  EXPECT_GT(filter.keeps(ethernet_frame(packet_named("udp4"))), 0u);
  EXPECT_EQ(filter.keeps(ethernet_frame(packet_named("tcp4"))), 0u);
}

// -- unions that are too long -------------------------------------------------

TEST(UnionFilter, BecomesCoarserThanItsFilters) {
  std::vector<flow_match> filters;
  for (std::uint32_t i = 0; i < 300; ++i)
    filters.push_back(stranger(i));
  const auto tcp4 = ethernet_frame(packet_named("tcp4"));
  const auto icmp4 = ethernet_frame(packet_named("icmp4"));
  const auto udp6 = ethernet_frame(packet_named("udp6"));
  union_options options;
  auto result = compile_union(filters, options).value();
  EXPECT_EQ(result.precision, union_precision::exact);
  EXPECT_EQ(kernel_filter{result.program}.keeps(tcp4), 0u);
  for (std::uint32_t i = 300; i < 5000; ++i)
    filters.push_back(stranger(i));
  result = compile_union(filters, options).value();
  EXPECT_EQ(result.precision, union_precision::protocols);
  EXPECT_GT(kernel_filter{result.program}.keeps(tcp4), 0u);
  EXPECT_EQ(kernel_filter{result.program}.keeps(icmp4), 0u);
  EXPECT_EQ(kernel_filter{result.program}.keeps(udp6), 0u);
  options.max_instructions = 1;
  result = compile_union(filters, options).value();
  EXPECT_EQ(result.precision, union_precision::none);
  EXPECT_GT(kernel_filter{result.program}.keeps(icmp4), 0u);
  EXPECT_GT(kernel_filter{result.program}.keeps(udp6), 0u);
}

TEST(UnionFilter, TakesNothingWithoutFilters) {
  const kernel_filter filter{union_of({})};
  EXPECT_EQ(filter.keeps(ethernet_frame(packet_named("udp4"))), 0u);
}

TEST(UnionFilter, Samples) {
  union_options options;
  options.threshold = threshold_of(2);
  const kernel_filter filter{union_of({parsed({{}, {}, {}, {}, 17})}, options)};
  const auto kept = kept_of(filter, ethernet_frame(packet_named("udp4")), 2000);
  EXPECT_GT(kept, 850u); // Six standard deviations.
  EXPECT_LT(kept, 1150u);
}

} // namespace

} // namespace edgecap::capture

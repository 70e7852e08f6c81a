#include "tests/support/packets.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace edgecap::test {

namespace {

constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;

// -- putting bytes together ---------------------------------------------------

bytes operator+(bytes x, const bytes& y) {
  x.insert(x.end(), y.begin(), y.end());
  return x;
}

bytes raw(std::initializer_list<unsigned> values) {
  bytes result;
  for (const auto x : values)
    result.push_back(static_cast<std::byte>(x));
  return result;
}

bytes half(std::size_t x) {
  return {static_cast<std::byte>(x >> 8), static_cast<std::byte>(x)};
}

bytes fill(std::size_t size, unsigned value = 'x') {
  return bytes(size, static_cast<std::byte>(value));
}

// -- upper layers -------------------------------------------------------------

/// How every protocol with ports begins.
bytes ports(std::uint16_t source = 5000, std::uint16_t destination = 53) {
  return half(source) + half(destination);
}

bytes udp(std::uint16_t source = 5000, std::uint16_t destination = 53) {
  return ports(source, destination) + half(28) + half(0) + fill(20);
}

bytes tcp() {
  return ports() + raw({0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0})
         + fill(20);
}

bytes sctp() {
  return ports() + raw({0, 0, 0, 1, 0, 0, 0, 0}) + fill(20);
}

bytes dccp() {
  return ports() + raw({4, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 1}) + fill(20);
}

bytes echo_request(unsigned type) {
  return raw({type, 0, 0, 0, 0, 1, 0, 1}) + fill(20);
}

// -- IPv4 ---------------------------------------------------------------------

struct ipv4 {
  unsigned protocol = 17;
  bytes payload;
  bytes options{};          ///< A multiple of four bytes.
  std::size_t fragment = 0; ///< Flags and offset.
  bytes source = raw({192, 0, 2, 1});
  bytes destination = raw({198, 51, 100, 7});
  int total_length = -1; ///< -1: what it is.
};

bytes build(const ipv4& x) {
  const auto header = 20 + x.options.size();
  const auto total = x.total_length < 0
                       ? header + x.payload.size()
                       : static_cast<std::size_t>(x.total_length);
  return raw({static_cast<unsigned>(0x40 + header / 4), 0}) + half(total)
         + half(1) + half(x.fragment) + raw({64, x.protocol, 0, 0}) + x.source
         + x.destination + x.options + x.payload;
}

bytes ipv4_of(unsigned protocol, const bytes& payload) {
  return build({protocol, payload});
}

/// The packet that tunnels carry.
bytes inner_udp() {
  return ipv4_of(17, udp());
}

/// A packet between the ends of a tunnel.
bytes tunnelled(unsigned protocol, const bytes& payload) {
  ipv4 x{protocol, payload};
  x.source = raw({203, 0, 113, 10});
  x.destination = raw({203, 0, 113, 20});
  return build(x);
}

// -- IPv6 ---------------------------------------------------------------------

bytes ipv6_address(unsigned last) {
  return raw({0x20, 0x01, 0x0d, 0xb8}) + fill(11, 0) + raw({last});
}

bytes ipv6_of(unsigned next_header, const bytes& payload,
              int payload_length = -1) {
  const auto length = payload_length < 0
                        ? payload.size()
                        : static_cast<std::size_t>(payload_length);
  return raw({0x60, 0, 0, 0}) + half(length) + raw({next_header, 64})
         + ipv6_address(1) + ipv6_address(7) + payload;
}

/// Hop-by-hop options, destination options, routing, mobility, HIP, Shim6.
bytes extension(unsigned next_header, unsigned more_units = 0) {
  return raw({next_header, more_units, 1, 4, 0, 0, 0, 0})
         + fill(std::size_t{more_units} * 8, 0);
}

bytes fragment(unsigned next_header, unsigned offset_and_flags) {
  return raw({next_header, 0}) + half(offset_and_flags) + raw({0, 0, 0, 1});
}

bytes authentication(unsigned next_header) {
  return raw({next_header, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}) + fill(12, 9);
}

/// UDP behind so many destination options.
bytes chain_of(unsigned headers) {
  bytes result = udp();
  for (unsigned i = 0; i < headers; ++i)
    result = extension(i == 0 ? 17 : 60) + result;
  return ipv6_of(60, result);
}

// -- the classes --------------------------------------------------------------

packet_class v4(const char* name, bytes network,
                std::vector<std::uint16_t> tags = {}) {
  return {name, std::move(tags), ethertype_ipv4, std::move(network)};
}

packet_class v6(const char* name, bytes network,
                std::vector<std::uint16_t> tags = {}) {
  return {name, std::move(tags), ethertype_ipv6, std::move(network)};
}

std::vector<packet_class> ipv4_classes() {
  ipv4 reply{17, udp(53, 5000)};
  std::swap(reply.source, reply.destination);
  ipv4 no_ports{17, ports() + fill(22, 0)};
  no_ports.total_length = 20;
  ipv4 giant{17, udp()};
  giant.total_length = 0;
  auto wrong_header = inner_udp();
  wrong_header[0] = std::byte{0x44};
  auto wrong_version = inner_udp();
  wrong_version[0] = std::byte{0x55};
  auto cut_header = inner_udp();
  cut_header.resize(19);
  auto cut_ports = inner_udp();
  cut_ports.resize(23);
  return {
    v4("udp4", inner_udp()),
    v4("tcp4", ipv4_of(6, tcp())),
    v4("sctp4", ipv4_of(132, sctp())),
    v4("dccp4", ipv4_of(33, dccp())),
    v4("udplite4", ipv4_of(136, udp())),
    v4("icmp4", ipv4_of(1, echo_request(8))),
    v4("icmpv6 in ipv4", ipv4_of(58, echo_request(128))),
    v4("ah4(udp)", ipv4_of(51, authentication(17) + udp())),
    v4("udp4 reply", build(reply)),
    v4("udp4 other ports", ipv4_of(17, udp(5001, 54))),
    v4("udp4 options", build({17, udp(), raw({148, 4, 0, 0, 1, 1, 1, 0})})),
    v4("udp4 first fragment", build({17, udp(), {}, 0x2000})),
    v4("udp4 later fragment", build({17, udp(), {}, 100})),
    v4("udp4 giant", build(giant)),
    v4("udp4 ports in padding", build(no_ports)),
    v4("udp4 cut in ports", cut_ports),
    v4("udp4 cut in header", cut_header),
    v4("ipv4 header length 16", wrong_header),
    v4("ipv4 version 5", wrong_version),
    v4("udp4 tag 8100", inner_udp(), {0x8100}),
    v4("udp4 tag 9100", inner_udp(), {0x9100}),
    v4("udp4 tags 88a8 8100", inner_udp(), {0x88a8, 0x8100}),
    v4("udp4 three tags", inner_udp(), {0x88a8, 0x8100, 0x8100}),
  };
}

std::vector<packet_class> ipv6_classes() {
  const auto routing = extension(17, 2);
  const auto three = extension(60) + extension(43) + routing;
  auto cut_header = ipv6_of(17, udp());
  cut_header.resize(39);
  auto cut_ports = ipv6_of(17, udp());
  cut_ports.resize(43);
  return {
    v6("udp6", ipv6_of(17, udp())),
    v6("tcp6", ipv6_of(6, tcp())),
    v6("icmp6", ipv6_of(58, echo_request(128))),
    v6("icmp in ipv6", ipv6_of(1, echo_request(8))),
    v6("esp6", ipv6_of(50, raw({0, 0, 0, 1, 0, 0, 0, 1}) + fill(24))),
    v6("udp6 hop-by-hop", ipv6_of(0, extension(17) + udp())),
    v6("udp6 three headers", ipv6_of(0, three + udp())),
    v6("udp6 ah", ipv6_of(51, authentication(17) + udp())),
    v6("udp6 mobility hip shim6",
       ipv6_of(135, extension(139) + extension(140) + extension(17) + udp())),
    v6("udp6 eight headers", chain_of(8)),
    v6("udp6 nine headers", chain_of(9)),
    v6("udp6 first fragment", ipv6_of(44, fragment(17, 1) + udp())),
    v6("udp6 later fragment", ipv6_of(44, fragment(17, 0x320) + udp())),
    v6("fragment header in padding",
       ipv6_of(60, extension(44) + fragment(17, 0x320) + udp(), 8)),
    v6("options in later fragment",
       ipv6_of(44, fragment(60, 0x320) + extension(17) + udp())),
    v6("udp6 giant", ipv6_of(17, udp(), 0)),
    v6("udp6 ports in padding",
       ipv6_of(0, extension(17) + ports() + fill(6), 8)),
    v6("udp6 header in padding",
       ipv6_of(60, extension(60) + extension(17) + udp(), 8)),
    v6("udp6 cut in ports", cut_ports),
    v6("udp6 cut in header", cut_header),
    v6("udp6 tag 8100", ipv6_of(17, udp()), {0x8100}),
  };
}

std::vector<packet_class> other_classes() {
  const auto macs = fill(12, 2);
  const auto error = raw({3, 3, 0, 0, 0, 0, 0, 0}) + inner_udp();
  const auto arp = raw({0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1})
                   + raw({192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 198, 51, 100, 7});
  const auto llc = raw({0xaa, 0xaa, 3, 0, 0, 0, 8, 0}) + inner_udp();
  return {
    v4("gre(udp4)", tunnelled(47, raw({0, 0, 8, 0}) + inner_udp())),
    v4("ipip(udp4)", tunnelled(4, inner_udp())),
    v4("vxlan(udp4)", tunnelled(17, ports(1, 4789) + half(0) + half(0)
                                      + raw({8, 0, 0, 0, 0, 0, 1, 0}) + macs
                                      + half(ethertype_ipv4) + inner_udp())),
    v4("icmp error quoting udp4", tunnelled(1, error)),
    {"mpls(udp4)", {}, 0x8847, raw({0, 1, 1, 64}) + inner_udp()},
    {"pppoe(udp4)",
     {},
     0x8864,
     raw({0x11, 0, 0, 1, 0, 50, 0, 0x21}) + inner_udp()},
    {"snap(udp4)", {}, static_cast<std::uint16_t>(llc.size()), llc},
    {"arp", {}, 0x0806, arp},
  };
}

} // namespace

const std::vector<packet_class>& packet_classes() {
  static const auto result = [] {
    auto all = ipv4_classes();
    for (auto& x : ipv6_classes())
      all.push_back(x);
    for (auto& x : other_classes())
      all.push_back(x);
    return all;
  }();
  return result;
}

const packet_class& packet_named(const std::string& name) {
  const auto& all = packet_classes();
  return *std::find_if(all.begin(), all.end(),
                       [&](const auto& x) { return x.name == name; });
}

bytes ethernet_frame(const packet_class& packet) {
  auto result = raw({2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 1});
  const auto outermost
    = packet.tags.empty() ? packet.ethertype : packet.tags.front();
  return result + half(outermost) + cooked_payload(packet);
}

bytes cooked_payload(const packet_class& packet) {
  bytes result;
  for (std::size_t i = 0; i < packet.tags.size(); ++i)
    result = result + half(5)
             + half(i + 1 < packet.tags.size() ? packet.tags[i + 1]
                                               : packet.ethertype);
  return result + packet.network;
}

} // namespace edgecap::test

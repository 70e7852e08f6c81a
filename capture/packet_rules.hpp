#pragma once

#include "capture/flow_match.hpp"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace edgecap::capture {

// How a packet is read to find what docs/filter.md says of it; the same for
// everything that decides whether it matches.

/// VLAN tags that may stand inside a frame, besides the one that the kernel
/// takes out of it before a filter runs.
inline constexpr std::uint32_t max_vlan_tags = 2;

/// QinQ as it was before 802.1ad, still on the wire.
inline constexpr std::uint16_t ethertype_old_qinq = 0x9100;

inline constexpr std::array<std::uint16_t, 3> vlan_ethertypes{
  ETH_P_8021Q, ETH_P_8021AD, ethertype_old_qinq};

/// IPv6 extension headers that are walked to find the upper-layer protocol.
/// The order that RFC 8200 (4.1) recommends has six before the upper layer.
inline constexpr std::uint32_t max_extension_headers = 8;

/// Extension headers of the format of RFC 6564: next header, then length in
/// units of eight bytes without the first. Mobility (RFC 6275), HIP (RFC 7401)
/// and Shim6 (RFC 5533) follow it.
inline constexpr std::array<std::uint8_t, 6> plain_extension_headers{
  IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_MH, 139, 140};

/// Every extension header. The two that are not plain come last.
inline constexpr std::array<std::uint8_t, 8> extension_headers{
  IPPROTO_HOPOPTS,  IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_MH, 139, 140,
  IPPROTO_FRAGMENT, IPPROTO_AH};

/// End of a packet whose header does not say its length (0: GSO, jumbogram).
/// An offset may be added to it without overflow.
inline constexpr std::uint32_t far_away = 0xffff0000;

/// What a protocol number means to who walks from header to header: 1 + its
/// index in `extension_headers`, `header_with_ports`, or 0.
using header_kinds = std::array<std::uint8_t, 256>;

inline constexpr std::uint8_t header_with_ports = 0x80;

constexpr header_kinds make_header_kinds() {
  header_kinds result{};
  for (std::size_t i = 0; i < extension_headers.size(); ++i)
    result[extension_headers[i]] = static_cast<std::uint8_t>(i + 1);
  for (const auto protocol : port_protocols)
    result[protocol] = header_with_ports;
  return result;
}

inline constexpr header_kinds kind_of_header = make_header_kinds();

} // namespace edgecap::capture

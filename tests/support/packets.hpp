#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgecap::test {

using bytes = std::vector<std::byte>;

/// A packet of a class that filters should treat alike, taken apart where its
/// link layer ends.
struct packet_class {
  std::string name; ///< As in docs/filter.md.
  /// TPIDs of the VLAN tags in the frame, outermost first.
  std::vector<std::uint16_t> tags;
  std::uint16_t ethertype = 0; ///< Of `network`; below 1536: a length.
  bytes network; ///< What follows the ethertype, with padding of the frame.
};

/// One packet of every class that docs/filter.md speaks of. Where a class does
/// not say otherwise, packets go from 192.0.2.1 or 2001:db8::1, port 5000, to
/// 198.51.100.7 or 2001:db8::7, port 53.
const std::vector<packet_class>& packet_classes();

/// The packet of the class with this name, which must be there.
const packet_class& packet_named(const std::string& name);

/// The packet as an Ethernet frame to nobody's address.
bytes ethernet_frame(const packet_class& packet);

/// What follows the ethertype of the outermost tag or, without tags, of the
/// frame: what a SOCK_DGRAM packet socket sees.
bytes cooked_payload(const packet_class& packet);

} // namespace edgecap::test

#pragma once

#include "capture/packet_batch.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace edgecap::capture {

/// Size of a LINUX_SLL2 header (pcap-linktype(7)).
inline constexpr std::size_t sll2_header_bytes = 20;

/// A record as LINUX_SLL2 has it: a header instead of the one that the packet
/// came with.
struct sll2_record {
  std::array<std::byte, sll2_header_bytes> link_header{};
  /// Bytes of the packet that the new header stands for.
  std::uint32_t skipped_bytes = 0;
  /// Lengths with the new header; the captured one is at most
  /// `max_captured_length`.
  std::uint32_t captured_length = 0;
  std::uint32_t original_length = 0;
};

/// True if packets of this link type can be turned into LINUX_SLL2.
bool converts_to_sll2(link_type link);

/// Turns one packet into LINUX_SLL2.
///
/// - Ethernet: the payload begins behind the ethertype; VLAN tags stay in it,
///   the outermost one's ethertype is the protocol. 802.3 frames have protocol
///   4 (LLC) or 1 (Novell). The packet type is broadcast, multicast or "to
///   us": a frame does not say which way it went.
/// - Raw IP: nothing is taken away, the protocol is told by the IP version.
/// - LINUX_SLL: the same fields in another order.
///
/// A header that is cut counts as filled up with zeros; an Ethernet frame
/// without ethertype has protocol 0.
/// @pre `converts_to_sll2(link)` and `header.captured_length` bytes at `data`.
sll2_record to_sll2(link_type link, std::uint32_t interface_index,
                    const record_header& header, const std::byte* data);

} // namespace edgecap::capture

#pragma once

#include "capture/classifier.h"
#include "capture/packet_batch.hpp"
#include "capture/packet_rules.hpp"

#include <cstddef>
#include <cstdint>

namespace edgecap::capture {

/// What a packet says of the fields of a filter.
struct flow {
  /// The fields that the packet has, and its family; `family_any` if it is not
  /// IP or its IP header is damaged. The protocol is that of the upper layer.
  flow_key key{};
  /// Bit i: `extension_headers[i]` is in the chain of its IPv6 headers, and so
  /// among its protocols.
  std::uint8_t extensions = 0;

  bool is_ip() const {
    return key.family != family_any;
  }
};

/// Reads a packet as `packet_ring` shows it: with the VLAN tag that the kernel
/// took out. It finds what the program of `compile` finds in the kernel, of
/// which that saw the whole packet: how far one has to look depends on the
/// packet, some 60 bytes as a rule and more than 16000 for the worst chain of
/// headers. `kernel_classifier` and `compile_union` therefore keep that much
/// of each packet, whatever the snaplen.
/// @param link Of the record; in any but Ethernet, raw IP and LINUX_SLL there
///        is no IP to be found.
/// @param size Bytes at `data`.
/// @param max_tags VLAN tags that are stepped over: one less if it is known
///        that the kernel took none out.
flow read_flow(link_type link, const std::byte* data, std::size_t size,
               std::uint32_t max_tags = max_vlan_tags + 1);

} // namespace edgecap::capture

#pragma once

#include "capture/packet_batch.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Blocks of a pcapng file in host byte order
// (draft-ietf-opsawg-pcapng, section numbers of which stand in the source).
namespace edgecap::capture {

using pcapng_block = std::vector<std::byte>;

/// Longest interface name that is written; the rest is cut off.
inline constexpr std::size_t max_interface_name_bytes = 255;

/// Begins the file. The length of its one section is left open.
pcapng_block pcapng_section();

/// Describes an interface; interfaces have numbers in the order of these, from
/// 0. Time stamps are nanoseconds.
/// @param name Empty for none.
pcapng_block pcapng_interface(link_type link, std::uint32_t snaplen_bytes,
                              const std::string& name);

/// Where the snaplen stands in a block of `pcapng_interface`.
inline constexpr std::size_t pcapng_snaplen_offset = 12;

/// What is known of an interface's traffic; absent is unknown.
struct pcapng_counts {
  std::optional<std::uint64_t> received, dropped_by_interface,
    dropped_by_kernel;
};

/// States an interface's counts as they were at `time`.
pcapng_block pcapng_statistics(std::uint32_t interface, unix_ns time,
                               const pcapng_counts& counts);

/// What stands before a packet's bytes.
struct pcapng_packet_header {
  std::uint32_t block_type = 6;
  std::uint32_t block_length = 0;
  std::uint32_t interface = 0;
  std::uint32_t time_high = 0;
  std::uint32_t time_low = 0;
  std::uint32_t captured_length = 0;
  std::uint32_t original_length = 0;
};

static_assert(sizeof(pcapng_packet_header) == 28);

/// The header of a packet's block. Behind the bytes come zeros up to a
/// multiple of four, then `block_length` once more.
pcapng_packet_header pcapng_packet(std::uint32_t interface,
                                   const record_header& header);

} // namespace edgecap::capture

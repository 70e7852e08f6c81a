#pragma once

#include <cstdint>

// What this program is to the other nodes of a fleet. Not known when its parts
// are compiled but when they are linked, so that tests can put together
// programs of other versions, which have to work with this one.
namespace edgecap {

/// As in `--version`.
extern const char* const program_version;

/// The protocol that it speaks as a node, and the oldest that it understands as
/// a collector. 2 has the correction of clocks.
extern const std::uint32_t node_protocol;
extern const std::uint32_t oldest_node_protocol;

/// The first protocol that can correct the stamps of packets.
inline constexpr std::uint32_t correcting_node_protocol = 2;

} // namespace edgecap

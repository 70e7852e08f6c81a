#pragma once

#include "capture/packet_batch.hpp"

#include <caf/fwd.hpp>

#include <cstdint>
#include <string>

// How a batch crosses the network between a node and its collector: link type,
// size, and the records as they are in memory. Both ends have the same byte
// order: `fault_of(node_hello)` sees to that.
namespace edgecap::capture {

/// Largest batch that is taken from another process, in bytes: the largest
/// that may be configured for a node that sends, and one record more, for a
/// single large packet makes a larger batch.
inline constexpr std::uint32_t max_wire_batch_bytes
  = (1u << 20) + max_captured_length
    + static_cast<std::uint32_t>(sizeof(record_header));

/// Writes a batch. Fails on one larger than `max_wire_batch_bytes`.
caf::error inspect(caf::serializer& sink, packet_batch& x);

/// Reads a batch. What is no batch becomes an empty one, which nobody sends:
/// an error would have CAF drop the message without a word.
caf::error inspect(caf::deserializer& source, packet_batch& x);

/// For logs.
std::string to_string(const packet_batch& x);

} // namespace edgecap::capture

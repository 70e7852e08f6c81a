#pragma once

#include <cstdint>

namespace edgecap::capture {

/// The chance that a packet is kept, as a bound: it is kept if a random number
/// of 32 bits is smaller. Higher is more.
using sampling_threshold = std::uint32_t;

/// Keeps every packet, without asking for a random number.
inline constexpr sampling_threshold every_packet = 0xffffffff;

/// The nearest that a 32-bit random number comes to one in N.
/// @pre `one_in` is at least 1.
constexpr sampling_threshold threshold_of(std::uint32_t one_in) {
  return one_in == 1 ? every_packet
                     : static_cast<sampling_threshold>(
                       ((std::uint64_t{1} << 32) + one_in / 2) / one_in);
}

} // namespace edgecap::capture

#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace bench {

// In step with generator.bpf.c.
inline constexpr std::size_t profile_lengths = 16;
inline constexpr std::uint32_t largest_frame = 1514;

/// Frame lengths without the checksum, which packets have in turn.
/// @throws std::runtime_error if it is not 60, 1514 or mixed (of 16, nine of
///         60, five of 590, two of 1514 bytes).
inline std::array<std::uint32_t, profile_lengths>
lengths_of(const std::string& profile) {
  if (profile == "mixed")
    return {60, 590, 60, 60,   590, 60,  1514, 60,
            60, 590, 60, 1514, 60,  590, 60,   590};
  if (profile != "60" && profile != "1514")
    throw std::runtime_error("PROFILE is 60, 1514 or mixed");
  std::array<std::uint32_t, profile_lengths> result{};
  result.fill(static_cast<std::uint32_t>(std::stoul(profile)));
  return result;
}

} // namespace bench

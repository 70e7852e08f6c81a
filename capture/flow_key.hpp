#pragma once

#include "capture/classifier.h"
#include "capture/flow_match.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgecap::capture {

/// Which shapes rows have: bit `fields` of the number at `family`.
using flow_shapes = std::array<std::uint32_t, flow_families>;

/// Shapes with any of `fields`.
constexpr std::uint32_t shapes_with(unsigned fields) {
  std::uint32_t result = 0;
  for (unsigned shape = 0; shape < field_combinations; ++shape)
    if ((shape & fields) != 0)
      result |= std::uint32_t{1} << shape;
  return result;
}

/// The key of all rows with this filter.
flow_key key_of(const flow_match& match);

/// What is left of a packet's key where a row asks only for some `fields`: the
/// bits that are set in the result.
flow_key mask_of(unsigned fields);

/// A key as numbers, which are faster to compare.
using flow_words = std::array<std::uint64_t, sizeof(flow_key) / 8>;

inline flow_words words_of(const flow_key& key) {
  flow_words result;
  std::memcpy(result.data(), &key, sizeof key);
  return result;
}

/// Spreads keys over a hash table: multilinear hashing, so that what a field
/// adds can be worked out once for all keys of a packet. Fields that are 0 add
/// nothing.
struct flow_hash {
  /// Odd and unforeseeable, so that nobody knows which keys collide.
  flow_words factors{};

  /// What words `first` to `last` - 1 add.
  std::uint64_t sum(const flow_words& x, std::size_t first,
                    std::size_t last) const {
    std::uint64_t result = 0;
    for (auto i = first; i < last; ++i)
      result += x[i] * factors[i];
    return result;
  }

  /// Makes the hash of the sum over all words: the upper bits of that have seen
  /// every bit of the key.
  static std::size_t finish(std::uint64_t sum) {
    sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15;
    return sum ^ sum >> 32;
  }

  std::size_t operator()(const flow_words& x) const {
    return finish(sum(x, 0, x.size()));
  }
};

/// One with factors of its own.
flow_hash make_flow_hash();

static_assert(sizeof(flow_key) == 40);

} // namespace edgecap::capture

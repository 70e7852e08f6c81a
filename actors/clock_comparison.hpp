#pragma once

#include "actors/node_types.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

namespace edgecap {

/// What another host's clock shows more than ours, from questions that were
/// answered with its time. An answer was given at some moment of its round
/// trip, so the shortest of the last ones tells most (as in NTP, RFC 5905 10).
class clock_comparison {
public:
  /// Answers that are remembered: a drifting clock is followed that closely.
  static constexpr std::size_t remembered = 16;

  /// Takes an answer.
  /// @param asked When the question was sent, by our clock.
  /// @param round_trip Until the answer came, by a clock that is never set.
  /// @param theirs What the other clock showed.
  void add(unix_ns asked, std::chrono::nanoseconds round_trip, unix_ns theirs);

  /// What is known; empty before the first answer.
  std::optional<clock_reading> reading() const;

private:
  std::array<clock_reading, remembered> last_{};
  std::size_t count_ = 0; ///< Of all that came.
};

} // namespace edgecap

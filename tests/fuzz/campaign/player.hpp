#pragma once

#include "tests/fuzz/campaign/scenario.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace edgecap::fuzz {

/// What is played against.
struct target {
  std::uint16_t port = 0; ///< On 127.0.0.1.
  /// A client that neither gets an answer nor is closed for so long, hangs.
  std::chrono::milliseconds patience{30000};
  /// Ids that take the places of `ended_job` and `running_job`.
  std::string ended_job;
  std::string running_job;
};

/// What came of a scenario.
struct outcome {
  std::string fault; ///< What the server did wrong; empty if nothing.
  std::string bytes; ///< The end of what it sent, if there is a fault.
  std::array<std::uint32_t, 600> statuses{};
  /// An answer was due, and the connection ended instead.
  bool closed_unanswered = false;
};

/// Plays a scenario on a connection of its own.
/// @param client_number tells clients apart: each has an address of its own, so
///        that limits per address are met by few.
/// @throws std::system_error if no connection can be made
outcome play(const scenario& what, const target& server,
             std::uint64_t client_number);

} // namespace edgecap::fuzz

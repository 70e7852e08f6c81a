#pragma once

#include "tests/fuzz/campaign/dice.hpp"

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace edgecap::fuzz {

/// What a client does when it has sent everything.
enum class farewell {
  half_close, ///< Shuts its side and reads what comes, to the end.
  wait,       ///< Reads until the server has had enough.
  reset,      ///< Resets the connection, whatever may be under way.
  leave,      ///< Closes without reading.
};

/// Bytes that a client sends, and the answers that it then waits for.
struct exchange {
  /// Each is sent by a call of its own: mostly a segment of its own.
  std::vector<std::string> segments;
  /// One for each answer that must come, unless an earlier one closes: whether
  /// it is to HEAD. Empty if nobody can say what must come.
  std::vector<bool> awaited;
};

/// What one client does on one connection.
struct scenario {
  std::vector<exchange> exchanges;
  farewell end = farewell::half_close;
  std::size_t requests = 0; ///< That went into it.

  /// Whether anything in it may be a HEAD request, whose answer has no body.
  bool may_ask_head() const;
};

/// Makes a scenario; the same for the same choices.
/// @param corpus inputs to take bytes from
scenario make_scenario(dice random, const std::vector<std::string>& corpus);

/// Writes a scenario so that `read_scenario` reads the same.
void write_scenario(std::ostream& out, const scenario& what);

/// @throws std::runtime_error if it is none.
scenario read_scenario(std::istream& in);

} // namespace edgecap::fuzz

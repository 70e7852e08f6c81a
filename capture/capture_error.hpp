#pragma once

#include <tl/expected.hpp>

#include <string>
#include <utility>

namespace edgecap::capture {

/// What went wrong in the capture layer, coarse enough to act upon.
enum class capture_errc {
  no_such_interface = 1, ///< The interface does not exist (any more).
  interface_down,        ///< The interface exists but is not up.
  not_permitted,         ///< The process lacks a capability.
  bad_filter,            ///< The filter contradicts itself or is too long.
  unsupported_link_type, ///< No merge is defined for the link type.
  io,                    ///< A system call failed; the text has its words.
  no_space,              ///< One failed because the disk is full.
  bad_savefile,          ///< A savefile is cut or not a savefile.
  not_supported,         ///< This kernel cannot do it.
};

/// An error says what was attempted, on what, and the system's words:
/// "open interface eth7: No such device".
struct capture_error {
  capture_errc code = capture_errc::io;
  std::string message;

  friend bool operator==(const capture_error& x, const capture_error& y) {
    return x.code == y.code && x.message == y.message;
  }
};

/// Result type of every fallible function of this layer.
template <class T>
using expected = tl::expected<T, capture_error>;

/// Builds the unexpected side of an `expected`.
inline tl::unexpected<capture_error> fail(capture_errc code,
                                          std::string message) {
  return tl::unexpected<capture_error>{capture_error{code, std::move(message)}};
}

} // namespace edgecap::capture

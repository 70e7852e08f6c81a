#pragma once

#include "actors/store_error.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace edgecap {

/// Looks at every page of an index while that is in use: over a connection of
/// its own that only reads, in a thread of its own that gives way to others.
/// Until it has ended, what is written to the index stays in its log as well.
class index_check {
public:
  /// Called once, in that thread, unless the check is stopped before: fails
  /// with `damaged` and SQLite's words if the index is not whole, and with
  /// another code if it could not be looked at.
  using verdict_function = std::function<void(const stored<void>& verdict)>;

  /// Begins to check.
  /// @param vfs Name of the SQLite VFS that reads the place; empty for SQLite's
  ///        own.
  static stored<std::unique_ptr<index_check>>
  begin(const std::filesystem::path& file, const std::string& vfs,
        verdict_function tell);

  index_check(const index_check&) = delete;
  index_check& operator=(const index_check&) = delete;

  /// Stops the check if it has not ended; does not wait for its end otherwise
  /// than for the page that is being read.
  ~index_check();

private:
  class impl;

  explicit index_check(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace edgecap

#pragma once

#include "capture/capture_error.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

// How the parts of storage that know no actors fail, and where they can be
// made to fail.
namespace edgecap {

/// What went wrong, coarse enough to act upon.
enum class store_errc : std::uint8_t {
  unavailable = 1, ///< The index or the file system refused.
  full,            ///< No space is left on the device, or too little.
  quota,           ///< An account, or all of them, may keep no more.
  damaged,         ///< A file does not hold what it must hold.
};

/// An error says what was attempted, on what, and the system's words:
/// "write /var/lib/edgecap/jobs/…/run-0.pcap: No space left on device".
struct store_error {
  store_errc code = store_errc::unavailable;
  std::string message;
};

/// Result type of every fallible function of the index and the files.
template <class T>
using stored = tl::expected<T, store_error>;

/// What an error of the capture layer is here.
inline store_errc code_of(const capture::capture_error& x) {
  return x.code == capture::capture_errc::no_space ? store_errc::full
                                                   : store_errc::unavailable;
}

/// Builds the unexpected side of a `stored`.
inline tl::unexpected<store_error> store_failure(store_errc code,
                                                 std::string message) {
  return tl::unexpected<store_error>{store_error{code, std::move(message)}};
}

/// The points at which a disk can refuse a job, in the order in which the job
/// passes them.
enum class storage_step : std::uint8_t {
  insert,  ///< The row of a new job becomes durable.
  append,  ///< A batch is written to a run.
  resume,  ///< The row says that an interrupted job goes on.
  close,   ///< The row says `sealing`, with the job's last counts.
  merge,   ///< The next slice of the runs is merged into `.part` files.
  publish, ///< The `.part` files get their names.
  commit,  ///< The row says `succeeded` or `failed`.
  clean,   ///< The runs are removed.
};

/// Asked before each step; an error makes the step fail with it, whatever the
/// disk would have said. Empty in production: for tests that want a step to
/// fail by its name. A single call, or a crash in it, is the simulated disk's
/// to play (tests/support/README.md).
using fault_plan = std::function<std::optional<store_error>(
  storage_step step, const std::string& id)>;

} // namespace edgecap

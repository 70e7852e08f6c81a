#pragma once

#include <caf/atom.hpp>
#include <caf/error.hpp>
#include <caf/make_message.hpp>

#include <cstdint>
#include <string>

namespace edgecap {

/// Every way in which the engine refuses or fails. Codes are for programs, the
/// text beside them is for people.
enum class errc : std::uint8_t {
  unknown_job = 1,     ///< No such job in that account.
  unknown_system,      ///< No such system is configured.
  rate_limited,        ///< The allowance is used up; carries the wait.
  too_many_jobs,       ///< The limit of running jobs is reached.
  not_ready,           ///< The job has no savefile yet.
  no_savefile,         ///< The job ended without the savefile asked for.
  storage_unavailable, ///< The index or the file system refused.
  storage_full,        ///< Less free space than the configured floor.
  no_interface,        ///< The interface cannot be captured on.
  shutting_down,       ///< The process is about to end.
  not_running,         ///< The job captures no more.
  too_many_followers,  ///< As many follow the job as may.
  invalid_options,     ///< An actor was started with impossible options.
  key_reused,          ///< The idempotency key belongs to another request.
  storage_lost,        ///< The storage directory is not there any more.
  quota_reached,       ///< The account, or all of them, may keep no more.
  index_damaged,       ///< The index does not hold what it must hold.
  node_refused,        ///< The fleet does not take this node.
};

/// Name of the code, as logged.
std::string to_string(errc x);

/// An error with its text.
caf::error make_error(errc code, std::string text);

/// What an allowance is, and when there is some of it again.
struct exhausted_allowance {
  std::uint32_t limit = 0;          ///< Operations per window.
  std::uint32_t window_s = 0;       ///< Length of the window.
  std::uint64_t retry_after_ms = 0; ///< Until the next attempt may succeed.
};

/// `errc::rate_limited` with what a client needs to know of the allowance.
caf::error make_rate_limited(std::string text,
                             const exhausted_allowance& allowance);

/// An error taken apart, for those who speak to the outside.
struct failure {
  /// Empty when the error is not one of ours (a timeout, a dead actor): see
  /// `timeout`.
  bool ours = false;
  errc code = errc::storage_unavailable;
  bool timeout = false;
  std::string text;
  exhausted_allowance exhausted; ///< For `errc::rate_limited`.
};

/// Takes any error of the actor layer apart.
failure describe(const caf::error& err);

} // namespace edgecap

CAF_ERROR_CODE_ENUM(edgecap::errc, "edgecap")

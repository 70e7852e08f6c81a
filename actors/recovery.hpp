#pragma once

#include "actors/seal.hpp"
#include "actors/store_error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edgecap {

/// What a start-up found and did.
struct recovery_report {
  std::uint64_t kept = 0;          ///< Open jobs that ended `succeeded`.
  std::uint64_t failed = 0;        ///< Open jobs that ended `failed`.
  std::vector<job_record> resumed; ///< Open jobs that are to capture on.
  /// Open jobs that could not be ended, because the index refused.
  std::vector<std::string> unresolved;
};

/// Why a job that an earlier process left open before it was sealed ends now:
/// the first that had come true. Nothing if it can capture on.
std::optional<end_reason> due_end(const job_record& record, unix_ns now);

/// Takes up what the last process had not ended, whatever ended that; to be
/// called before anything is served. Jobs that were capturing and may go on are
/// `pending` again, with what their runs hold; whoever calls sees to it that
/// they do. No single job makes it fail, an index that cannot be read does. All
/// else that a crash may leave is for `inspection`.
stored<recovery_report> recover(storage_parts& parts);

/// What a finished job still has of its files.
enum class savefile_state : std::uint8_t {
  whole,
  without_pcapng, ///< The pcapng file was not whole, and is removed.
  lost,           ///< The job is `failed` now, and its message says why.
};

/// Compares a `succeeded` job's files with its row, and has the row say,
/// durably, what there is. Fails if the directory is another one now.
stored<savefile_state> verify(storage_parts& parts, const stored_savefile& x);

/// Ends one job that an earlier process left open: keeps what its runs hold,
/// or the savefile if that stands already. Fails if the index refuses.
stored<job_record> resolve(storage_parts& parts, const std::string& id);

} // namespace edgecap

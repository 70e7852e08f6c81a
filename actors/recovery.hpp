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
  std::uint64_t kept = 0;   ///< Open jobs that ended `succeeded`.
  std::uint64_t failed = 0; ///< Open jobs that ended `failed`.
  std::uint64_t lost = 0;   ///< Terminal jobs whose savefile was not whole.
  std::uint64_t strays = 0; ///< Jobs whose left-over files were removed.
  std::vector<job_record> resumed; ///< Open jobs that are to capture on.
  /// Open jobs that could not be ended, because the index refused.
  std::vector<std::string> unresolved;
};

/// Why a job that an earlier process left open before it was sealed ends now:
/// the first that had come true. Nothing if it can capture on.
std::optional<end_reason> due_end(const job_record& record, unix_ns now);

/// Brings index and files to agree after whatever ended the last process; to
/// be called before anything is served. Jobs that were capturing and may go on
/// are `pending` again, with what their runs hold; whoever calls sees to it
/// that they do. No single job makes it fail, an index or a directory that
/// cannot be read does.
stored<recovery_report> recover(storage_parts& parts);

/// Compares a `succeeded` job's files with its row. Returns whether the job
/// still has its savefile; if not, it is `failed` now, durably, and its message
/// says why. A pcapng file that is not whole is removed, and the job goes on
/// without it.
stored<bool> verify(storage_parts& parts, const stored_savefile& x);

/// Ends one job that an earlier process left open: keeps what its runs hold,
/// or the savefile if that stands already. Fails if the index refuses.
stored<job_record> resolve(storage_parts& parts, const std::string& id);

} // namespace edgecap

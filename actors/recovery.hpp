#pragma once

#include "actors/seal.hpp"
#include "actors/store_error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgecap {

/// What a start-up found and did.
struct recovery_report {
  std::uint64_t kept = 0;   ///< Open jobs that ended `succeeded`.
  std::uint64_t failed = 0; ///< Open jobs that ended `failed`.
  std::uint64_t lost = 0;   ///< Terminal jobs whose savefile was not whole.
  std::uint64_t strays = 0; ///< Jobs whose left-over files were removed.
  /// Open jobs that could not be ended, because the index refused.
  std::vector<std::string> unresolved;
};

/// Brings index and files to agree after whatever ended the last process; to
/// be called before anything is served. No single job makes it fail, an index
/// or a directory that cannot be read does.
stored<recovery_report> recover(storage_parts& parts);

/// Ends one job that an earlier process left open: keeps what its runs hold,
/// or the savefile if that stands already. Fails if the index refuses.
stored<job_record> resolve(storage_parts& parts, const std::string& id);

} // namespace edgecap

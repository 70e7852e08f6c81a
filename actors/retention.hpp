#pragma once

#include "actors/download_leases.hpp"
#include "actors/job_index.hpp"
#include "actors/storage_limits.hpp"
#include "actors/store_error.hpp"

#include <cstddef>
#include <vector>

namespace edgecap {

/// Returns at most `limit` finished jobs that are to be removed now, those that
/// finished first first: those that are too old or, if there are none, as many
/// as are beyond the number of jobs and the sum of bytes that are kept. What is
/// being downloaded is passed over and counts as removed: it will be, and
/// nobody else has to go for it.
/// @param today The date, which ages are reckoned from.
/// @param now The clock of the leases.
stored<std::vector<stored_savefile>>
expired_jobs(job_index& index, const storage_limits& limits,
             download_leases& leases, unix_ns today,
             download_leases::time_point now, std::size_t limit);

} // namespace edgecap

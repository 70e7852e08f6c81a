#include "actors/retention.hpp"

#include <algorithm>
#include <limits>

namespace edgecap {

namespace {

std::uint64_t less(std::uint64_t x, std::uint64_t y) {
  return x - std::min(x, y);
}

} // namespace

stored<std::vector<stored_savefile>>
expired_jobs(job_index& index, const storage_limits& limits,
             download_leases& leases, unix_ns today,
             download_leases::time_point now, std::size_t limit) {
  std::vector<stored_savefile> result;
  const auto is_held = [&](const stored_savefile& x) {
    return leases.hold(x.id, now, limits.download_hold);
  };
  const auto take = [&](stored_savefile& x) {
    if (result.size() < limit && !is_held(x))
      result.push_back(std::move(x));
  };
  // So many that those which are held back do not hide the others.
  const auto looked_at = limit + leases.size();
  const std::chrono::nanoseconds age = limits.max_age;
  auto old = index.finished_before(today - age.count(), looked_at);
  if (!old)
    return old;
  std::for_each(old->begin(), old->end(), take);
  if (!result.empty())
    return result;
  const auto totals = index.totals();
  if (!totals)
    return tl::unexpected<store_error>{totals.error()};
  auto jobs = less(totals->finished_jobs, limits.max_jobs);
  auto bytes = less(totals->savefile_bytes, limits.max_bytes);
  if (jobs == 0 && bytes == 0)
    return result;
  // Where there are too many bytes only, jobs without files may stay.
  auto oldest
    = jobs > 0
        ? index.finished_before(std::numeric_limits<unix_ns>::max(), looked_at)
        : index.oldest_savefiles(looked_at);
  if (!oldest)
    return oldest;
  for (auto& x : *oldest) {
    const auto size = x.savefile_bytes + x.pcapng_bytes;
    if (jobs == 0 && (bytes == 0 || size == 0))
      continue;
    jobs = less(jobs, 1);
    bytes = less(bytes, size);
    take(x);
  }
  return result;
}

} // namespace edgecap

#include "actors/download_leases.hpp"

#include <algorithm>

namespace edgecap {

void download_leases::add(const std::string& id,
                          const capture::shared_descriptor& file,
                          time_point now) {
  if (leases_.size() >= max_jobs && leases_.count(id) == 0) {
    prune(now);
    if (leases_.size() >= max_jobs)
      return;
  }
  auto& x = leases_[id];
  is_over(x, now); // drops those that have ended, so that there are few
  x.downloads.emplace_back(file);
  x.last_open = now;
}

bool download_leases::hold(const std::string& id, time_point now,
                           std::chrono::seconds max_hold) {
  const auto i = leases_.find(id);
  if (i == leases_.end())
    return false;
  if (is_over(i->second, now)) {
    leases_.erase(i);
    return false;
  }
  auto& due_since = i->second.due_since;
  if (!due_since)
    due_since = now;
  return now - *due_since < max_hold;
}

void download_leases::prune(time_point now) {
  for (auto i = leases_.begin(); i != leases_.end();)
    i = is_over(i->second, now) ? leases_.erase(i) : std::next(i);
}

void download_leases::forget(const std::string& id) {
  leases_.erase(id);
}

bool download_leases::is_over(lease& x, time_point now) {
  auto& open = x.downloads;
  open.erase(std::remove_if(open.begin(), open.end(),
                            [](const auto& file) { return file.expired(); }),
             open.end());
  if (!open.empty())
    x.last_open = now;
  return now - x.last_open > continuation_time;
}

} // namespace edgecap

#include "http/deadline_list.hpp"

#include <utility>
#include <vector>

namespace edgecap::http {

deadline_list::added deadline_list::add(time_point when,
                                        std::weak_ptr<timed> what) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto place
    = entries_.insert(entries_.end(), entry{when, std::move(what)});
  return {place, !std::exchange(watched_, true)};
}

void deadline_list::remove(handle which) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.erase(which);
}

bool deadline_list::expire(time_point now) {
  // They remove themselves, which takes the lock.
  std::vector<std::shared_ptr<timed>> late;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& each : entries_)
      if (each.when <= now)
        if (auto what = each.what.lock())
          late.push_back(std::move(what));
  }
  for (const auto& each : late)
    each->time_out();
  const std::lock_guard<std::mutex> lock(mutex_);
  watched_ = !entries_.empty();
  return watched_;
}

} // namespace edgecap::http

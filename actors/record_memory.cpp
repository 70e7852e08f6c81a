#include "actors/record_memory.hpp"

#include <utility>

namespace edgecap {

const job_record* record_memory::find(const std::string& id) {
  const auto i = places_.find(id);
  if (i == places_.end())
    return nullptr;
  records_.splice(records_.begin(), records_, i->second);
  return &*i->second;
}

void record_memory::add(job_record record) {
  forget(record.id);
  if (places_.size() >= capacity_) {
    places_.erase(records_.back().id);
    records_.pop_back();
  }
  records_.push_front(std::move(record));
  places_.emplace(records_.front().id, records_.begin());
}

void record_memory::forget(const std::string& id) {
  const auto i = places_.find(id);
  if (i == places_.end())
    return;
  const auto place = i->second;
  places_.erase(i);
  records_.erase(place);
}

} // namespace edgecap

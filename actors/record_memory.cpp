#include "actors/index_memory.hpp"

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

shared_job_page page_memory::find(const list_query& query) const {
  const auto i = pages_.find(key_of(query));
  return i == pages_.end() ? nullptr : i->second;
}

void page_memory::add(const list_query& query, shared_job_page page) {
  if (pages_.size() >= capacity_)
    pages_.clear();
  pages_.emplace(key_of(query), std::move(page));
}

void page_memory::forget() {
  pages_.clear();
}

page_memory::key page_memory::key_of(const list_query& x) {
  return {x.account_id, x.status, x.type, x.page, x.per_page};
}

} // namespace edgecap

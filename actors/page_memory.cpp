#include "actors/page_memory.hpp"

#include <utility>

namespace edgecap {

shared_job_page page_memory::find(const list_query& query) const {
  const auto i = pages_.find(key_of(query));
  return i == pages_.end() ? nullptr : i->second;
}

void page_memory::add(const list_query& query, shared_job_page page) {
  std::size_t interfaces = 0;
  for (const auto& job : page->jobs)
    interfaces += job.interfaces.size();
  if (interfaces > max_interfaces)
    return;
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

#include "http/page_cache.hpp"

#include "http/json.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::http {

response page_cache::response_of(const shared_job_page& page,
                                 const list_query& query) {
  if (const auto known = find(page))
    return *known;
  auto answer = std::make_shared<const response>(page_response(*page, query));
  if (answer->body.size() > max_bytes)
    return *answer;
  entry added{page, answer};
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entries_.size() < max_pages) {
    entries_.push_back(std::move(added));
  } else {
    entries_[oldest_] = std::move(added);
    oldest_ = (oldest_ + 1) % max_pages;
  }
  return *answer;
}

std::shared_ptr<const response>
page_cache::find(const shared_job_page& page) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto i
    = std::find_if(entries_.begin(), entries_.end(),
                   [&page](const entry& x) { return x.page == page; });
  return i == entries_.end() ? nullptr : i->answer;
}

} // namespace edgecap::http

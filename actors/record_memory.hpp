#pragma once

#include "actors/job_types.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace edgecap {

/// Jobs that were read from the index or written to it, so that the ones that
/// clients follow are not looked up again and again. Whoever uses it is the only
/// writer of the index, and forgets a job before it changes.
class record_memory {
public:
  /// Remembers at most `capacity` jobs, > 0; those used last stay.
  explicit record_memory(std::size_t capacity) : capacity_(capacity) {}

  /// The pointer holds until the next change.
  const job_record* find(const std::string& id);

  /// Adds a job that is not remembered.
  void add(job_record record);

  /// Before each change, whatever becomes of it.
  void forget(const std::string& id);

  std::size_t size() const {
    return places_.size();
  }

private:
  using list = std::list<job_record>;

  std::size_t capacity_;
  list records_; ///< Used last first.
  /// Keys are the ids in records_.
  std::unordered_map<std::string_view, list::iterator> places_;
};

/// The pages of lists that were read since the last change of any job.
class page_memory {
public:
  /// Remembers at most `capacity` pages, > 0, of up to 50 jobs each.
  explicit page_memory(std::size_t capacity) : capacity_(capacity) {}

  /// Returns null if it does not know the page.
  shared_job_page find(const list_query& query) const;

  void add(const list_query& query, shared_job_page page);

  /// Before each change, whatever becomes of it.
  void forget();

private:
  using key = std::tuple<std::string, std::string, std::string, std::uint32_t,
                         std::uint32_t>;

  static key key_of(const list_query& x);

  std::size_t capacity_;
  std::map<key, shared_job_page> pages_;
};

} // namespace edgecap

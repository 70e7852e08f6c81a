#pragma once

#include "actors/job_types.hpp"

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace edgecap {

/// Some finished jobs, so that those which clients ask for again and again need
/// not be looked up. Whoever uses it sees to it that no job in it changes.
class record_memory {
public:
  /// Remembers at most `capacity` jobs, > 0; those used last stay.
  explicit record_memory(std::size_t capacity) : capacity_(capacity) {}

  /// The pointer holds until the next change.
  const job_record* find(const std::string& id);

  /// Adds a job, in place of what was remembered of it.
  void add(job_record record);

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

} // namespace edgecap

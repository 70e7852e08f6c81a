#pragma once

#include "actors/job_types.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

namespace edgecap {

/// The pages of lists that were read since the last change of any job.
class page_memory {
public:
  /// Remembers at most `capacity` pages, > 0, of up to 50 jobs each.
  explicit page_memory(std::size_t capacity) : capacity_(capacity) {}

  /// Returns null if it does not know the page.
  shared_job_page find(const list_query& query) const;

  /// Remembers a page, unless its jobs have more than `max_interfaces`.
  void add(const list_query& query, shared_job_page page);

  static constexpr std::size_t max_interfaces = 4096;

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

#pragma once

#include "actors/job_types.hpp"
#include "http/message.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace edgecap::http {

/// Remembers the text of the pages of lists that were answered last. The engine
/// answers the same page, not an equal one, for as long as nothing has changed,
/// so that clients who look at their captures again and again cost one
/// rendering. Usable on any thread.
class page_cache {
public:
  /// Texts that are remembered, at most, and the longest of them: one of
  /// captures on few interfaces has 50 KiB or so.
  static constexpr std::size_t max_pages = 16;
  static constexpr std::size_t max_bytes = 1u << 20;

  /// The answer to `query`, which `page` is the engine's answer to.
  response response_of(const shared_job_page& page, const list_query& query);

private:
  struct entry {
    shared_job_page page; ///< Kept, so that nobody else has its address.
    std::shared_ptr<const response> answer;
  };

  std::shared_ptr<const response> find(const shared_job_page& page) const;

  mutable std::mutex mutex_; // Guards the others.
  std::vector<entry> entries_;
  std::size_t oldest_ = 0; ///< What is overwritten next.
};

} // namespace edgecap::http

#include "capture/ring_reserve.hpp"

#include <utility>

namespace edgecap::capture {

ring_reserve::ring_reserve(helper_pool& helpers, ring_options like,
                           std::size_t size)
  : helpers_(helpers), like_(std::move(like)), size_(size) {
  std::lock_guard guard{mutex_};
  refill();
}

std::optional<packet_ring> ring_reserve::take(const ring_options& options) {
  if (!packet_ring::interchangeable(like_, options))
    return std::nullopt;
  std::lock_guard guard{mutex_};
  std::optional<packet_ring> result;
  if (!rings_.empty()) {
    result.emplace(std::move(rings_.back()));
    rings_.pop_back();
  }
  refill();
  return result;
}

/// @pre The mutex is held.
void ring_reserve::refill() {
  for (; rings_.size() + coming_ < size_; ++coming_)
    helpers_.post([this] { make_one(); });
}

void ring_reserve::make_one() {
  auto made = packet_ring::make(like_);
  std::lock_guard guard{mutex_};
  --coming_;
  // Without it, whoever finds none here makes one, and hears why not.
  if (made)
    rings_.push_back(std::move(*made));
}

} // namespace edgecap::capture

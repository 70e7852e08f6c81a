#include "capture/ring_reserve.hpp"

#include <utility>

namespace edgecap::capture {

ring_reserve::ring_reserve(helper_pool& helpers, ring_options like,
                           std::size_t size)
  : helpers_(helpers), like_(std::move(like)), size_(size) {
  refill();
}

std::optional<packet_ring> ring_reserve::take(const ring_options& options) {
  if (!packet_ring::interchangeable(like_, options))
    return std::nullopt;
  std::lock_guard guard{mutex_};
  if (rings_.empty())
    return std::nullopt;
  std::optional<packet_ring> result{std::move(rings_.back())};
  rings_.pop_back();
  return result;
}

void ring_reserve::refill() {
  std::lock_guard guard{mutex_};
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

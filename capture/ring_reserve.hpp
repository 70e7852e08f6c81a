#pragma once

#include "capture/helper_pool.hpp"
#include "capture/packet_ring.hpp"

#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

namespace edgecap::capture {

/// Rings that are made, but belong to no interface yet: who opens one with such
/// a ring need not wait for the kernel's RCU grace period. They cost memory,
/// and no time, since no packet meets them. Thread-safe.
class ring_reserve {
public:
  /// Has helpers make the rings.
  /// @param helpers Has to be stopped before the reserve goes.
  /// @param like What the rings are made with; the interface does not count.
  ring_reserve(helper_pool& helpers, ring_options like, std::size_t size);

  /// A ring that can be bound with these options, if there is one.
  std::optional<packet_ring> take(const ring_options& options);

  /// Has helpers make what is missing. That takes milliseconds of a processor,
  /// so that it is no part of `take`: whoever calls that is in a hurry.
  void refill();

private:
  void make_one();

  helper_pool& helpers_;
  const ring_options like_;
  const std::size_t size_;
  std::mutex mutex_; // Guards the next two.
  std::vector<packet_ring> rings_;
  std::size_t coming_ = 0; ///< Rings that helpers make.
};

} // namespace edgecap::capture

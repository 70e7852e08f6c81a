#pragma once

#include "actors/messages.hpp"

#include <caf/actor_clock.hpp>

#include <chrono>
#include <optional>

namespace edgecap {

/// Has an actor tick only when there is something to do, and once for all who
/// want it to: for each tick CAF wakes the thread of its clock twice.
class ticker {
public:
  /// Sends `tick` to `self` after so long, if none is under way that comes
  /// earlier.
  template <class Self>
  void tick_in(Self* self, std::chrono::milliseconds time) {
    const auto due = self->clock().now() + time;
    if (due_ && *due_ <= due)
      return;
    due_ = due;
    self->delayed_send(self, time, atom::tick_v);
  }

  /// Whether a `tick` that has come is due: an earlier one may have come in its
  /// place.
  template <class Self>
  bool take(Self* self) {
    if (!due_ || self->clock().now() < *due_)
      return false;
    due_.reset();
    return true;
  }

private:
  std::optional<caf::actor_clock::time_point> due_;
};

} // namespace edgecap

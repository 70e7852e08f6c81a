#pragma once

#include "actors/follower.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace edgecap {

/// Those who follow one job, and what they are told. All see one link type, as
/// in the savefile: the one that all interfaces have, otherwise LINUX_SLL2.
/// Belongs to the job's actor.
class live_feed {
public:
  /// Bytes of packets that wait for the last interface to open, while somebody
  /// follows; those beyond are missed.
  static constexpr std::size_t max_waiting_bytes = 4u << 20;

  live_feed() = default;
  live_feed(const live_feed&) = delete;
  live_feed& operator=(const live_feed&) = delete;

  /// Whoever still follows learns that the job died.
  ~live_feed();

  void add(follower_ptr who);

  std::size_t size() const {
    return followers_.size();
  }

  /// No interface will open any more; these are the link types of those that
  /// did. Later calls have no effect.
  void settle(const std::set<capture::link_type>& links);

  /// Passes packets on. No follower costs more than a queue's place.
  void take(const capture::packet_batch& packets);

  /// The capture is over.
  void finish();

private:
  void wait(const capture::packet_batch& packets);
  void deliver(const capture::packet_batch& packets);
  void begin(follower& who) const;
  void miss(std::uint64_t packets) const;

  std::vector<follower_ptr> followers_;
  std::optional<capture::link_type> link_;
  std::vector<capture::packet_batch> waiting_;
  std::size_t waiting_bytes_ = 0;
};

} // namespace edgecap

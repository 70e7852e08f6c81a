#pragma once

#include "capture/descriptor.hpp"

#include <caf/actor_clock.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace edgecap {

/// Which jobs are being downloaded, so that retention leaves their files alone
/// for a while. A download lasts as long as somebody holds its descriptor: that
/// needs no message, and none can be lost. Used by one thread; descriptors may
/// go in any.
class download_leases {
public:
  using time_point = caf::actor_clock::time_point;

  /// A download that ended may be continued by a range for so long.
  static constexpr std::chrono::seconds continuation_time{60};

  /// Jobs that are being downloaded, at most; downloads of further ones hold
  /// nothing back.
  static constexpr std::size_t max_jobs = 4096;

  /// A download of a job begins.
  void add(const std::string& id, const capture::shared_descriptor& file,
           time_point now);

  /// Whether downloads hold a job back that is due to be removed. They do so
  /// for `max_hold` at most, from the first time that this was asked.
  bool hold(const std::string& id, time_point now,
            std::chrono::seconds max_hold);

  /// Forgets downloads that are over.
  void prune(time_point now);

  /// The job is gone.
  void forget(const std::string& id);

  /// Jobs that may be held back.
  std::size_t size() const {
    return leases_.size();
  }

private:
  struct lease {
    std::vector<std::weak_ptr<const int>> downloads;
    time_point last_open; ///< When one of them was last seen to go on.
    std::optional<time_point> due_since;
  };

  static bool is_over(lease& x, time_point now);

  std::unordered_map<std::string, lease> leases_;
};

} // namespace edgecap

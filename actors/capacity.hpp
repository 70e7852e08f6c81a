#pragma once

#include "actors/job_index.hpp"
#include "actors/quota_check.hpp"
#include "actors/savefile_store.hpp"
#include "actors/space_reserve.hpp"
#include "actors/storage_limits.hpp"
#include "actors/store_error.hpp"
#include "capture/packet_batch.hpp"

#include <caf/actor_clock.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

namespace edgecap {

/// Whether there is room: for another job, and for more packets of one that
/// runs. Knows quotas, the floor of free space, and what jobs will take that
/// are not sealed yet, which the index does not know of. The floor is raised by
/// what the largest merge of these will need beside its runs. Used by one
/// thread.
class capacity {
public:
  using time_point = caf::actor_clock::time_point;

  /// The disk is asked how much is free once in so long, or as soon as what we
  /// have written since may have reached the floor.
  static constexpr std::chrono::milliseconds look_interval{200};

  /// Asks the file system for the bytes that are free.
  using look = std::function<stored<std::uint64_t>()>;

  struct options {
    storage_limits limits;
    bool pcapng = true; ///< Whether jobs are kept in both formats.
    /// Whether a job of one run is sealed by a link where there is no room.
    bool links = true;
    /// Is to be whole before anything new is taken. Outlives this; null for
    /// none.
    space_reserve* reserve = nullptr;
  };

  capacity() = default;

  capacity(options opts, look free_bytes);

  void set_limits(storage_limits limits);

  // -- a job ------------------------------------------------------------------

  /// Whether there is room for another job. Counts refusals.
  stored<void> admit(const job_record& job, job_index& index, time_point now);

  /// Whether there is space, quotas apart. Fills the reserve again if that can
  /// be.
  stored<void> check_space(const std::string& attempt, time_point now);

  /// Counts a job that was refused for what `admit` did not see.
  void count_refusal(const store_error& why);

  /// A job is durable and may take packets.
  void open(const std::string& id, const std::string& account);

  /// An open job has runs already, of an earlier process.
  void adopt(const std::string& id, const run_infos& runs);

  /// Whether a batch fits; what it takes is counted by `grow`.
  stored<void> check(const std::string& id, std::uint32_t run,
                     const capture::packet_batch& batch, job_index& index,
                     time_point now);

  /// A batch was written.
  void grow(const std::string& id, std::uint32_t run,
            const capture::packet_batch& batch);

  /// The index has what the job takes from now on, or there is nothing of it.
  void close(const std::string& id);

  // -- facts ------------------------------------------------------------------

  /// What jobs will take that are not sealed yet, in bytes.
  std::uint64_t unsealed_bytes() const {
    return total_;
  }

  /// Refusals of jobs, by cause; every cause is there.
  const std::map<std::string, std::uint64_t>& refusals() const {
    return refusals_;
  }

private:
  /// What a job that is not sealed yet will take.
  struct claim {
    std::string account;
    std::uint64_t classic_bytes = 0; ///< Of the classic savefile.
    std::uint64_t all_bytes = 0;     ///< Of all its savefiles.
    std::optional<std::uint32_t> only_run;
    unix_ns last_time = 0;    ///< Of its youngest packet.
    bool needs_merge = false; ///< It can not be sealed by a link.
  };

  /// What a job has more.
  struct addition {
    std::uint32_t run = 0;
    std::uint64_t classic_bytes = 0;
    std::uint64_t packets = 0;
    bool in_order = true; ///< By time, in itself and behind what is there.
    unix_ns last_time = 0;
  };

  const quota& quota_of(const std::string& account) const;
  stored<void> check_quotas(const std::string& account, job_index& index,
                            const space_use& more);
  stored<void> check_floor(const std::string& attempt, std::uint64_t floor,
                           std::uint64_t more, time_point now);
  stored<void> refill(const std::string& attempt, time_point now);
  static addition addition_of(const claim& x, std::uint32_t run,
                              const capture::packet_batch& batch);
  bool needs_merge(const claim& x, const addition& more) const;
  void add(claim& x, const addition& more);
  std::uint64_t unsealed_bytes_of(const std::string& account) const;
  std::uint64_t largest_merge_bytes();

  options options_;
  look look_;
  std::unordered_map<std::string, claim> claims_;
  std::unordered_map<std::string, std::uint64_t> accounts_; ///< None is 0.
  std::uint64_t total_ = 0;
  /// Of the claims that need a merge; empty if that is to be found out.
  std::optional<std::uint64_t> largest_merge_;
  std::uint64_t free_bytes_ = 0; ///< When last asked, less what we wrote since.
  std::optional<time_point> looked_at_;
  std::optional<time_point> refilled_at_; ///< Or tried to.
  std::map<std::string, std::uint64_t> refusals_;
};

} // namespace edgecap

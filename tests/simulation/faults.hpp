#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace edgecap::simulation {

/// Everything that may go wrong in a run. To add one: a line here, one in
/// `name_of`, and the place that asks `faults::strikes`.
enum class fault : std::uint8_t {
  // -- sources
  open_refused,  ///< An interface cannot be opened.
  open_late,     ///< It opens seconds later.
  open_never,    ///< It neither opens nor fails.
  source_fails,  ///< It fails while it captures.
  source_vanish, ///< It ends without an error, as a removed interface does.
  source_stalls, ///< It says nothing for long, then everything.
  source_bursts, ///< More packets at once than there is credit for.
  no_drain,      ///< It does not end when it is stopped.
  slow_drain,    ///< It ends seconds after it is stopped.
  survey_fails,  ///< The machine's interfaces cannot be listed.
  // -- storage
  insert_fails,
  append_fails,
  close_fails,
  merge_fails,
  publish_fails,
  commit_fails,
  clean_fails,
  resume_fails,
  // -- the disk
  disk_full,        ///< ENOSPC of a write.
  disk_short_write, ///< A write that took a part.
  disk_write_error, ///< EIO of a write.
  disk_sync_error,  ///< EIO of a sync.
  disk_read_error,  ///< EIO of a read.
  no_descriptor,    ///< EMFILE of an open.
  disk_slow,        ///< A call that takes long.
  disk_stays_full,  ///< Others fill it, for a while.
  savefile_lost,    ///< A savefile vanishes or is cut behind our back.
  torn_write,       ///< A part of a write survived a crash of the host.
  lost_write,       ///< A write did not survive it.
  lost_name,        ///< A create, rename, link or remove did not.
  // -- storage's time
  storage_pauses, ///< Storage answers late.
  storage_stalls, ///< Storage answers later than its askers wait.
  // -- actors
  job_dies,
  sampler_dies,
  node_dies,
  registry_dies,
  limiter_dies,
  storage_dies,
  // -- other machines
  edge_cut,    ///< The connection to one breaks.
  edge_silent, ///< One is heard no more for a while.
  // -- clock
  clock_forward,
  clock_back,
  // -- the end of a process
  process_crash,
  host_crash,
  crash_in_call, ///< Either of them in the middle of a change of the disk.
  ordered_stop,  ///< No fault, but the end of a process all the same.
  count,
};

inline constexpr auto fault_kinds = static_cast<std::size_t>(fault::count);

/// Name of a kind, as printed and as `--without` takes it.
const char* name_of(fault x);

/// Which kinds of faults may strike, and how often each did.
class faults {
public:
  /// Switches a kind off. Returns false for an unknown name.
  bool disable(const std::string& name);

  void disable(fault x) {
    enabled_[index(x)] = false;
  }

  bool enabled(fault x) const {
    return enabled_[index(x)];
  }

  /// Notes that a fault struck.
  void hit(fault x, std::uint64_t times = 1) {
    hits_[index(x)] += times;
  }

  /// Switches all kinds off but one, or but those that were left so before.
  bool only(const std::string& name);

  /// Whether a fault that was drawn is to strike; counts it if so.
  bool strikes(fault x, bool drawn) {
    if (!drawn || !enabled(x))
      return false;
    hit(x);
    return true;
  }

  std::uint64_t hits(fault x) const {
    return hits_[index(x)];
  }

  void add(const faults& other) {
    for (std::size_t i = 0; i < fault_kinds; ++i)
      hits_[i] += other.hits_[i];
  }

private:
  static std::size_t index(fault x) {
    return static_cast<std::size_t>(x);
  }

  static std::array<bool, fault_kinds> all_enabled() {
    std::array<bool, fault_kinds> result{};
    result.fill(true);
    return result;
  }

  std::array<bool, fault_kinds> enabled_ = all_enabled();
  bool chosen_ = false; ///< By `only`.
  std::array<std::uint64_t, fault_kinds> hits_{};
};

} // namespace edgecap::simulation

#pragma once

#include "actors/actor_support.hpp"
#include "actors/capacity.hpp"
#include "actors/directory_identity.hpp"
#include "actors/download_leases.hpp"
#include "actors/index_check.hpp"
#include "actors/inspection.hpp"
#include "actors/interfaces.hpp"
#include "actors/seal.hpp"
#include "actors/storage_limits.hpp"
#include "actors/store_error.hpp"
#include "capture/posix_file_system.hpp"
#include "capture/savefile.hpp"

#include <caf/actor_clock.hpp>
#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace edgecap {

/// Where captures are kept, how and, by its limits, how long.
struct storage_options : storage_limits {
  std::filesystem::path directory;
  /// Also keep a pcapng file, which loses nothing.
  bool pcapng = true;
  /// Of the classic savefile's time stamps.
  capture::time_precision precision = capture::time_precision::nanoseconds;
  /// Space that is held for the ends of jobs and for deletes on a full disk; 0
  /// for none.
  std::uint64_t reserve_bytes = 0;
  /// Bytes that a seal merges before other messages get their turn; > 0.
  std::size_t seal_slice_bytes = 4u << 20;
  /// Names of files, or half as many jobs, that the inspection looks at before
  /// other messages get their turn; > 0. So few that they hardly wait for it,
  /// on a disk that has to be asked for each.
  std::size_t inspection_slice = 16;
  /// Descriptors of runs that are kept open; > 0.
  std::size_t max_open_runs = 256;
  /// Now, for the end of jobs and their age; the actor clock has no date.
  std::function<unix_ns()> wall_clock;
  /// Where the directory is; not owned, never null.
  capture::file_system* files = &capture::posix_files();
  /// Name of the SQLite VFS over the same place; empty for SQLite's own.
  std::string index_vfs;
  /// A larger index is checked while it is in use, not before.
  std::uint64_t check_at_open_bytes = 32u << 20;
  /// Makes steps fail, for tests and simulation; empty in production.
  fault_plan faults;
};

/// Says what is wrong with the limits, if anything.
caf::error validate(const storage_limits& limits);

/// Says what is wrong with the options, if anything.
caf::error validate(const storage_options& options);

/// State of the STORAGE. It blocks on the disk: in production it runs on a
/// thread of its own (`spawn<caf::detached>`).
struct storage_state {
  // -- member types -----------------------------------------------------------

  /// A seal under way, and who waits for it.
  struct pending_seal {
    seal_task task;
    std::vector<guarded_promise<job_record>> askers;
    /// Not before, if the index has refused its last row.
    std::optional<caf::actor_clock::time_point> again;
  };

  // -- initialization ---------------------------------------------------------

  explicit storage_state(storage_actor::pointer self);

  /// Locks the directory, opens the index, and resolves what an earlier process
  /// left open: all that must be done before anything is served, and that does
  /// not take longer the more jobs there are.
  caf::error init(storage_options opts);

  // -- after a restart --------------------------------------------------------

  caf::result<resumption> resume();

  // -- a job's packets --------------------------------------------------------

  caf::result<caf::ok_atom> insert(const job_record& record,
                                   const std::string& key);

  void note_progress(const job_record& record, std::uint32_t first_run);

  caf::result<caf::ok_atom> append(const std::string& id, std::uint32_t run,
                                   const capture::packet_batch& batch);

  // -- a job's end ------------------------------------------------------------

  caf::result<job_record> stop(const std::string& account,
                               const std::string& id);

  void refund(const std::string& id);

  /// Queues the job for sealing. A job that is queued already, or terminal,
  /// gets the one record that there is: asking again is harmless.
  caf::result<job_record> seal(const job_record& record);

  /// Does one slice of the oldest seal that can go on.
  void seal_slice();

  caf::result<job_record> fail(const job_record& record);

  // -- what clients ask -------------------------------------------------------

  caf::result<job_record> get(const std::string& account,
                              const std::string& id);

  caf::result<job_record> recall(const std::string& account,
                                 const std::string& key);

  caf::result<shared_job_page> list(const list_query& query);

  caf::result<caf::ok_atom> erase(const std::string& account,
                                  const std::string& id);

  caf::result<savefile> download(const std::string& account,
                                 const std::string& id, savefile_format format);

  caf::result<storage_stats> stats();

  // -- upkeep -----------------------------------------------------------------

  /// Does one slice of the inspection.
  void inspect_slice();

  /// The index is damaged: adds and removes no job any more.
  void note_damage(const std::string& text);

  /// Does one bounded step of retention, and sees to the next. Of two that
  /// would go on side by side, the one that began before `set_limits` ends.
  void sweep(std::uint64_t round);

  /// Looks whether the directory is back, and makes it anew if not.
  void look_for_directory();

  /// Keeps to other limits from now on.
  caf::result<caf::ok_atom> set_limits(storage_limits limits);

  // -- member variables -------------------------------------------------------

  storage_actor::pointer self;
  storage_options options;
  storage_parts parts;
  /// Jobs that take packets; or take no more since a batch was lost, and why:
  /// what came behind it would hide that it is missing.
  std::unordered_map<std::string, caf::error> open_jobs;
  capacity room;
  download_leases leases;
  directory_identity home;
  caf::error home_lost; ///< Why nothing can be written: the directory is gone.
  std::optional<capacity::time_point> home_seen; ///< When last looked at.
  std::string home_trouble; ///< Why it could not be made anew, as logged last.
  /// The store is no more the one of `home`: making it anew has failed later.
  bool store_replaced = false;
  caf::error index_damage;              ///< Why no job may be added or removed.
  std::unique_ptr<index_check> check;   ///< Of a large index; gone before it.
  std::optional<inspection> inspecting; ///< Until it has ended.
  bool inspect_sent = false;            ///< An `inspect` message is under way.
  std::deque<pending_seal> seals;
  bool working = false; ///< A `work` message is under way.
  /// Jobs of an earlier process whose end the index has refused so far.
  std::deque<std::string> unresolved;
  /// Jobs of an earlier process that nobody has taken up yet.
  std::vector<job_record> resumable;
  std::uint64_t removed_jobs = 0; ///< By retention.
  std::uint64_t sweep_round = 0;  ///< Counts changes of the limits.
  expiry_sink_actor expiry_sink;  ///< Null until somebody wants to know.

  static inline const char* name = "storage";

private:
  capacity make_capacity();
  void begin_check();
  void inspect_anew();
  caf::error check_home(bool at_once);
  caf::error check_change();
  stored<void> renew_home(const directory_loss& loss);
  void take_up_seals(const directory_loss& loss);
  std::deque<pending_seal>::iterator find_seal(const std::string& id);
  std::deque<pending_seal>::iterator ready_seal();
  void seal_failed(const std::deque<pending_seal>::iterator& which,
                   const store_error& why);
  void finish_seal(pending_seal ended, const store_error& why);
  void go_on_sealing();
  bool remove(const std::vector<stored_savefile>& victims);
  void tell_of_change(const std::string& id);
  bool forget_old();
  unix_ns oldest_key() const;
  unix_ns oldest_collect() const;
  bool retry_unresolved();
  void claim(const std::string& id);
  caf::error settle(job_record& record);
};

/// Keeps the index and the files. Quits at once, with the reason, if the
/// options are invalid or the directory cannot be used.
storage_actor::behavior_type
storage(storage_actor::stateful_pointer<storage_state> self,
        storage_options options);

} // namespace edgecap

#pragma once

#include "actors/job_index.hpp"
#include "actors/job_types.hpp"
#include "actors/savefile_store.hpp"
#include "actors/space_reserve.hpp"
#include "actors/store_error.hpp"
#include "capture/merge.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

// How a job ends on disk. Knows no actors: the storage actor and recovery do
// the same thing by the same code.
namespace edgecap {

/// What storage works with.
struct storage_parts {
  std::unique_ptr<job_index> index;
  std::unique_ptr<savefile_store> store;
  /// What jobs end with where the disk is full; null for none.
  std::unique_ptr<space_reserve> reserve;
  /// No pcapng file is written that would leave less.
  std::uint64_t min_free_bytes = 0;
  bool pcapng = true;
  capture::time_precision precision = capture::time_precision::nanoseconds;
  std::function<unix_ns()> wall_clock;
  /// Looks whether the directory is still the one that was opened: what is
  /// missing in another one is not lost. Empty where nobody replaces it.
  std::function<stored<void>()> check_place;
  fault_plan faults; ///< Empty in production.
};

/// Asks the fault plan whether a step may go on.
stored<void> permit(const storage_parts& parts, storage_step step,
                    const std::string& id);

/// Updates a row, with the reserve if there is no space otherwise.
stored<void> update_row(storage_parts& parts, const job_record& record,
                        durability wanted = durability::host);

/// Notes that a client wants a job's end, in the same way.
stored<void> note_stop(storage_parts& parts, const std::string& account,
                       const std::string& id);

/// Removes rows, all or none, in the same way.
stored<void> erase_rows(storage_parts& parts,
                        const std::vector<std::string>& ids);

/// The rule by which a job whose packets are whole on disk succeeds or fails.
///
/// | reason                                        | packets | none      |
/// |-----------------------------------------------|---------|-----------|
/// | packet_limit, byte_limit, time_limit, stopped | success | success   |
/// | the same, interrupted and not gone on         | success | failed    |
/// | interface_lost, node_lost, shutdown, none,    | success | failed    |
/// | storage_full, quota                           |         |           |
/// | storage_error                                 | failed  | failed    |
///
/// A limit or a client ended the first kind: that nothing matched is a result,
/// and its file is empty. The next two were cut short: what was captured is
/// kept, but "nothing" would look like a result that it is not. After a
/// storage error the file might lack packets that were counted; where there was
/// no room, the first batch that did not fit was the last that was tried.
job_phase terminal_phase(const job_record& record);

/// Writes into a record what the runs of its job hold.
void take_counts(job_record& record, const run_infos& runs);

/// Adds a sentence to what a record says of how its job ended.
void add_text(job_record& record, const std::string& text);

/// Removes the `.part` files of a job. What cannot be removed is logged: it
/// harms nobody but the disk, and the next start removes it.
void drop_parts(storage_parts& parts, const std::string& id);

/// Removes all that a job has below `savefiles/`, in the same way.
void drop_files(storage_parts& parts, const std::string& id);

/// Removes the runs of a job, in the same way.
void drop_runs(storage_parts& parts, const std::string& id);

/// Removes what a walk over the store came by, in the same way.
void drop_stray(storage_parts& parts, const stored_entry& x);

/// Makes a job `failed` with its reason and message as they are, and what is to
/// be said of interruptions, durably, then drops all its files. The answer is
/// the record as stored. If the index refuses, nothing is dropped: the job is
/// still open, and whoever comes next may try again.
stored<job_record> commit_failed(storage_parts& parts, job_record record);

/// `commit_failed` with `storage_error` and the error's text.
stored<job_record> commit_storage_error(storage_parts& parts, job_record record,
                                        const store_error& why);

/// One job's way from its runs to its terminal record, in bounded slices:
/// counts are taken from the runs, the row says `sealing`, the runs are merged
/// into `.part` files (or the only one is linked as such) and synced, these get
/// their names, the directory is synced, the row says `succeeded`, the runs go.
/// A job that fails by `terminal_phase` goes to its terminal row at once.
/// Where there is little space no pcapng file is written, and the record says
/// so; where there is none, the reserve is used.
class seal_task {
public:
  /// @param record As the job left it: reason, message, counters, interfaces;
  ///        an interface's place is the number of its run.
  explicit seal_task(job_record record);

  /// Does the next slice; merges about `budget_bytes`. Returns true when the
  /// record is terminal and durable. After an error a task that has published
  /// may be asked again; any other is over: see `commit_storage_error`.
  stored<bool> step(storage_parts& parts, std::size_t budget_bytes);

  const job_record& record() const;

  /// Whether the savefile is whole, durable and has its name: all that may
  /// still fail is the row that says so.
  bool published() const {
    return published_;
  }

private:
  stored<bool> close(storage_parts& parts);
  stored<bool> open(storage_parts& parts);
  stored<bool> link(storage_parts& parts);
  stored<bool> begin_merge(storage_parts& parts);
  stored<bool> take_less(storage_parts& parts, const store_error& why);
  void leave_out_pcapng();
  stored<bool> merge_slice(storage_parts& parts, std::size_t budget_bytes);
  stored<bool> publish(storage_parts& parts, std::uint64_t pcap_bytes,
                       std::uint64_t pcapng_bytes);
  stored<bool> commit(storage_parts& parts);

  job_record record_;
  std::unique_ptr<capture::merge> merge_;
  bool closed_ = false;            ///< The row says `sealing`.
  bool pcapng_ = false;            ///< Both files are written.
  bool linking_ = false;           ///< The only run is to be the savefile.
  std::uint64_t linked_bytes_ = 0; ///< Of it, those that are on the disk.
  bool published_ = false;
};

} // namespace edgecap

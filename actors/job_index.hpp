#pragma once

#include "actors/job_types.hpp"
#include "actors/store_error.hpp"
#include "capture/posix_file_system.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap {

/// What a written row survives.
enum class durability : std::uint8_t {
  process, ///< A crash of the process; a crash of the host may undo it.
  host,    ///< A crash of the host: it was synced before the call returned.
};

/// When an index is looked at page by page, which takes the longer the larger
/// it is.
enum class index_checking : std::uint8_t {
  at_open,   ///< It opens only if it is whole.
  elsewhere, ///< Whoever opens it sees to that (`index_check`).
};

/// A job that counts against its account's allowance.
struct stored_collect {
  std::string account_id;
  unix_ns moment = 0;
};

/// A terminal job's files, as the index knows them.
struct stored_savefile {
  std::string id;
  std::uint64_t savefile_bytes = 0;
  std::uint64_t pcapng_bytes = 0;
};

/// Sums over the index, or over one account.
struct index_totals {
  std::uint64_t jobs = 0;
  std::uint64_t finished_jobs = 0;
  std::uint64_t savefile_bytes = 0; ///< Of both formats.
};

/// The index of all jobs: one SQLite database in WAL mode. Used by one thread
/// at a time. Every member fails with SQLite's words; none throws.
class job_index {
public:
  /// Jobs on one page of a list, at most.
  static constexpr std::uint32_t max_per_page = 50;

  /// Idempotency keys that an account may have, at most.
  static constexpr std::size_t max_keys_per_account = 10000;

  /// Opens or creates the index, and brings its schema up to date. Fails with
  /// `damaged` if the file is not an index of ours, is corrupt as far as that
  /// is looked at, or was written by a newer version.
  /// @param files Where the file is.
  /// @param vfs Name of the SQLite VFS that reads and writes the same place;
  ///        empty for SQLite's own.
  static stored<std::unique_ptr<job_index>>
  open(const std::filesystem::path& file,
       capture::file_system& files = capture::posix_files(),
       const std::string& vfs = {},
       index_checking check = index_checking::at_open);

  job_index(const job_index&) = delete;
  job_index& operator=(const job_index&) = delete;
  ~job_index();

  /// Writes a copy of the index to `file`, which is new, durable on the host.
  /// That works also when the index has lost its own file's name.
  stored<void> copy_to(const std::filesystem::path& file,
                       capture::file_system& files = capture::posix_files(),
                       const std::string& vfs = {});

  /// Adds a job, and the idempotency key that leads to it if that is not empty,
  /// and notes that the job counts against its account's allowance; durable on
  /// the host when it returns. An account that has too many keys loses its
  /// oldest.
  stored<void> insert(const job_record& record, const std::string& key = {});

  /// Replaces a job's record but for what never changes (spec, submitted) and
  /// what only grows: a stop once requested stays so, and so do interruptions.
  stored<void> update(const job_record& record, durability wanted);

  /// Notes how far a running job is and some of its interfaces; durable in the
  /// process. The job's sums stay what they were, so that they go on to be
  /// those of its interfaces. The cost is that of what is written.
  /// @param record Has those interfaces alone, which captured nothing yet.
  /// @param first_run Number of the run of the first of them.
  stored<void> note(const job_record& record, std::uint32_t first_run);

  /// Notes that a client wants the end of a job of this account, unless it has
  /// ended; durable on the host when it returns. There need be no such job.
  stored<void> request_stop(const std::string& account, const std::string& id);

  /// Removes jobs, all or none; durable on the host when it returns. There need
  /// be no such jobs. They still count against their accounts' allowances.
  stored<void> erase(const std::vector<std::string>& ids);

  /// Returns a job.
  stored<std::optional<job_record>> find(const std::string& id);

  /// Returns the phase of a job.
  stored<std::optional<job_phase>> phase_of(const std::string& id);

  /// Returns the job that was added for an account with this key at `since` or
  /// later.
  stored<std::optional<job_record>>
  recall(const std::string& account, const std::string& key, unix_ns since);

  /// Forgets at most `limit` keys of jobs that were added before `instant`.
  /// Returns how many.
  stored<std::size_t> forget_keys(unix_ns instant, std::size_t limit);

  /// Returns what counts against the allowances of all accounts since then,
  /// oldest first.
  stored<std::vector<stored_collect>> collects_since(unix_ns instant);

  /// Forgets that a job counts against its account's allowance.
  stored<void> refund(const std::string& id);

  /// Forgets at most `limit` jobs that were counted before `instant`. Returns
  /// how many.
  stored<std::size_t> forget_collects(unix_ns instant, std::size_t limit);

  /// Returns one page of jobs, newest first; equally old ones by id. The same
  /// query gets the same page for as long as no job changes.
  stored<shared_job_page> list(const list_query& query);

  /// Returns the ids of all jobs that are not terminal, oldest first.
  stored<std::vector<std::string>> unfinished();

  /// Returns the files of at most `limit` jobs in the order of their ids, those
  /// behind `id`. A job that has none is there with sizes of 0.
  stored<std::vector<stored_savefile>> savefiles_behind(const std::string& id,
                                                        std::size_t limit);

  /// Returns at most `limit` jobs that finished before `instant`, oldest
  /// first.
  stored<std::vector<stored_savefile>> finished_before(unix_ns instant,
                                                       std::size_t limit);

  /// Returns at most `limit` jobs that have files, those that finished first
  /// first.
  stored<std::vector<stored_savefile>> oldest_savefiles(std::size_t limit);

  /// Returns the sums over all jobs. Costs nothing while no job changes.
  stored<index_totals> totals();

  /// Returns the sums over the jobs of an account, in the same way.
  stored<index_totals> totals_of(const std::string& account);

private:
  class impl;

  explicit job_index(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace edgecap

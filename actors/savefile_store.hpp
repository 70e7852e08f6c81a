#pragma once

#include "actors/job_types.hpp"
#include "actors/store_error.hpp"
#include "capture/file_system.hpp"
#include "capture/merge.hpp"
#include "capture/packet_batch.hpp"
#include "capture/posix_file_system.hpp"
#include "capture/savefile.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace edgecap {

class stored_walk;

/// Whether `x` is an id that may become part of a path: 32 lower-case hex
/// characters.
bool is_job_id(std::string_view x);

/// What one run holds.
struct run_info {
  capture::link_type link = capture::link_type::ethernet;
  std::uint64_t packets = 0;
  std::uint64_t captured_bytes = 0; ///< Sum of captured lengths.
  bool ordered = true;              ///< No record is older than its forerunner.
  unix_ns last_time = 0;            ///< Of the youngest record.
};

/// The runs of a job that hold packets, by number.
using run_infos = std::map<std::uint32_t, run_info>;

/// What was no whole record at the end of a run, or behind a damaged place.
struct cut_rest {
  std::uint64_t offset = 0; ///< Where it began.
  std::uint64_t bytes = 0;
  /// It was not even the beginning of a record, so that it is not what a write
  /// leaves that was interrupted.
  bool damaged = false;
};

/// What an earlier process left of a job.
struct adopted_runs {
  run_infos runs;
  std::map<std::uint32_t, cut_rest> cut; ///< By number of the run.
};

/// What a walk over the store comes by.
struct stored_entry {
  enum class kind : std::uint8_t {
    savefile, ///< Of either format.
    part,     ///< A savefile that is not whole yet.
    runs,     ///< The directory of a job's runs.
  };

  std::string id; ///< Of the job that it belongs to.
  kind what = kind::savefile;
  std::filesystem::path path;
};

/// The directory of all packets: runs while a job captures, savefiles when it
/// is sealed; docs/storage.md has the layout. Owns the directory through a
/// lock, and keeps a bounded number of runs open. Used by one thread at a
/// time. Members fail with the system's words; none throws.
class savefile_store {
public:
  struct options {
    std::filesystem::path directory;
    /// Runs that are kept open for writing, >= 1. Further ones are reopened
    /// for each batch, least recently used first.
    std::size_t max_open_runs = 256;
    /// Where the directory is; not owned, never null.
    capture::file_system* files = &capture::posix_files();
  };

  /// Creates the directories that are missing and locks the root. Fails if
  /// another process holds the lock.
  static stored<std::unique_ptr<savefile_store>> open(options opts);

  savefile_store(const savefile_store&) = delete;
  savefile_store& operator=(const savefile_store&) = delete;
  ~savefile_store();

  /// Makes the directories anew that are missing.
  stored<void> make_directories();

  /// Whether the lock file that stands there is the one that is held.
  bool holds_lock() const;

  // -- runs -------------------------------------------------------------------

  /// Appends a batch to a run, which begins with its first batch. A run never
  /// ends in a torn record: what was written of a batch that fails is cut off.
  stored<void> append(const std::string& id, std::uint32_t run,
                      const capture::packet_batch& batch);

  /// Returns what the runs of a job hold by our own count.
  run_infos runs(const std::string& id) const;

  /// Takes over the runs that an earlier process left: reads each, cuts off
  /// what is no whole record, removes those without one.
  stored<adopted_runs> adopt_runs(const std::string& id);

  /// Removes the runs of a job; there need not be any.
  stored<void> drop_runs(const std::string& id);

  // -- sealing ----------------------------------------------------------------

  /// Begins to merge the runs of a job into `.part` files.
  /// @param inputs By number of the run; `run`, `link` and `ordered` are filled
  ///        in here where the job has that run. A run without an input is an
  ///        error, for its packets would be lost.
  stored<std::unique_ptr<capture::merge>>
  open_merge(const std::string& id,
             std::map<std::uint32_t, capture::merge_input> inputs, bool pcapng,
             capture::time_precision precision);

  /// Has a part of the only run of a job go out to the disk, from `offset` on,
  /// which it moves. Returns whether there is no more of it, so that
  /// `link_only_run` has little to wait for.
  stored<bool> write_out_only_run(const std::string& id, std::uint64_t& offset);

  /// Makes the only run of a job its `.part` file, by a link and a sync of what
  /// it holds: a merge would copy it byte for byte. Returns the file's size, or
  /// nothing if that cannot be: there are other runs, the run is not in order
  /// of time, or the file system has no links.
  stored<std::optional<std::uint64_t>> link_only_run(const std::string& id);

  /// Gives the finished `.part` files of a job their names and syncs the
  /// directory. The classic savefile comes last: where it stands, all stands.
  stored<void> publish(const std::string& id, bool pcapng);

  /// Makes the names that savefiles have now durable.
  stored<void> sync_names();

  /// Removes the `.part` files of a job; there need not be any.
  stored<void> discard_parts(const std::string& id);

  // -- savefiles --------------------------------------------------------------

  /// Path of a savefile, whether it stands or not.
  std::filesystem::path savefile_path(const std::string& id,
                                      savefile_format format) const;

  /// Returns the size of a savefile in bytes, 0 if it does not stand.
  stored<std::uint64_t> size_of(const std::string& id,
                                savefile_format format) const;

  /// Opens a savefile for reading.
  stored<savefile> open_savefile(const std::string& id,
                                 savefile_format format) const;

  /// Removes a savefile; it need not stand.
  stored<void> remove_savefile(const std::string& id, savefile_format format);

  // -- upkeep -----------------------------------------------------------------

  /// Whether any savefile stands, or a part of one. Looks no further than the
  /// first.
  stored<bool> has_files() const;

  /// Begins to walk over all that there is of jobs, in no order. What comes or
  /// goes meanwhile may be passed or not.
  stored_walk walk() const;

  /// Removes a file that a walk came by; it need not stand any more.
  stored<void> remove(const stored_entry& x);

  /// Bytes that the file system has left for us.
  stored<std::uint64_t> free_bytes() const;

  const std::filesystem::path& directory() const;

private:
  /// A run, with its file while that is open.
  struct open_run {
    run_info info;
    std::unique_ptr<capture::file> out;
    std::uint64_t size_bytes = 0;       ///< Up to the last whole record.
    std::list<open_run*>::iterator use; ///< In `open_`, while `out` is.
  };

  savefile_store(options opts, std::unique_ptr<capture::file> lock);

  std::optional<std::uint32_t> linkable_run(const std::string& id) const;

  std::filesystem::path runs_path(const std::string& id) const;
  std::filesystem::path run_path(const std::string& id,
                                 std::uint32_t run) const;
  std::filesystem::path part_path(const std::string& id,
                                  savefile_format format) const;
  stored<void> open_for_writing(const std::string& id, std::uint32_t run,
                                open_run& x);
  void close_run(open_run& x);
  stored<void> cut_off_torn_tails(const std::string& id);
  stored<cut_rest> adopt_run(const std::string& id, std::uint32_t run);

  const options options_;
  capture::file_system& files_;
  const std::unique_ptr<capture::file> lock_; ///< Held while it is open.
  std::unordered_map<std::string, std::map<std::uint32_t, open_run>> runs_;
  std::list<open_run*> open_; ///< Runs that are open, last used last.
};

/// A look at everything that a store has of jobs, bit by bit. Names that are
/// not ours are none of our business. After an error it is over.
class stored_walk {
public:
  stored_walk(capture::file_system& files, std::filesystem::path directory);

  /// Looks at so many names at most, and returns what they are of ours.
  stored<std::vector<stored_entry>> next(std::size_t names);

  bool done() const {
    return place_ == places.size();
  }

private:
  static constexpr std::array<const char*, 2> places{"savefiles", "jobs"};

  std::optional<stored_entry> entry_of(const std::string& name) const;

  capture::file_system* files_;
  std::filesystem::path directory_;
  std::size_t place_ = 0; ///< Which of the places is read.
  std::unique_ptr<capture::directory_reader> reader_; ///< Null before it is.
};

} // namespace edgecap

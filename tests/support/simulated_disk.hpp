#pragma once

#include "capture/file_system.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// A disk in memory that a test owns: it knows what would survive the end of a
// process and of the host, and does what disks do at the worst of times. The
// files of storage and SQLite's index lie on the same one. See README.md.
namespace edgecap::test {

/// What ends.
enum class crash_kind : std::uint8_t {
  process, ///< Everything that was written stays.
  host,    ///< What was synced stays, and of the rest whatever comes to pass.
};

/// What is asked of the disk.
enum class disk_call : std::uint8_t {
  open,
  read,
  look, ///< Status, list, free space.
  lock,
  write,
  truncate,
  sync,
  rename,
  link,
  remove, ///< Of a name of a file or a directory.
  create, ///< Of a name of a file or a directory.
  sync_directory,
};

/// Whether a call changes what is on the disk, or what of it is durable.
constexpr bool changes(disk_call x) {
  return x >= disk_call::write;
}

/// What can go wrong; each is counted.
enum class disk_fault : std::uint8_t {
  no_space,      ///< ENOSPC of a write.
  short_write,   ///< A write took a part.
  write_error,   ///< EIO of a write; a part of it may be there.
  sync_error,    ///< EIO of a sync; what it should have written may be lost.
  read_error,    ///< EIO of a read.
  no_descriptor, ///< EMFILE of an open.
  slow,          ///< A call that would take long: the test makes of it what it
                 ///< wants (`take_slow`).
  scripted,      ///< What `script` said.
  cut,           ///< A file was cut behind our back.
  damaged,       ///< Bytes of a file changed behind our back.
  lost_file,     ///< A file was removed behind our back.
  process_crash,
  host_crash,
  torn_write, ///< A part of a write survived.
  lost_write, ///< A write that was not synced did not survive.
  lost_name,  ///< A create, rename, link or remove did not survive.
  count,
};

inline constexpr auto disk_fault_kinds
  = static_cast<std::size_t>(disk_fault::count);

/// "no_space", "short_write" and so on.
const char* name_of(disk_fault x);

/// How often faults strike by themselves: once in so many of the calls that
/// they can strike, 0 for never.
struct disk_rates {
  std::uint32_t no_space = 0;
  std::uint32_t short_write = 0;
  std::uint32_t write_error = 0;
  std::uint32_t sync_error = 0;
  std::uint32_t read_error = 0;
  std::uint32_t no_descriptor = 0;
  std::uint32_t slow = 0;
};

/// The disk. All that it does follows from its seed and from what it is asked
/// to do, in this order. Used by one thread at a time. Must outlive whoever
/// uses its files and its VFS.
class simulated_disk {
public:
  /// Asked before each call; an errno value makes the call fail with it, 0 lets
  /// it be.
  using script_function
    = std::function<int(disk_call call, const std::string& path)>;

  explicit simulated_disk(std::uint64_t seed);
  simulated_disk(const simulated_disk&) = delete;
  simulated_disk& operator=(const simulated_disk&) = delete;
  ~simulated_disk();

  // -- what a process sees ----------------------------------------------------

  /// The files of the present process. Those of an earlier one fail all calls
  /// for ever.
  capture::file_system& files();

  /// Name of the SQLite VFS of the present process over the same files. A
  /// database may be open once at a time.
  const std::string& vfs() const;

  // -- the end of a process ---------------------------------------------------

  /// Ends the process or the host now: all that it has open is dead, and the
  /// disk fails all calls until `start`.
  void crash(crash_kind kind);

  /// Does so in the middle of the `n`-th change from now on, counted from 0.
  void crash_at_change(std::uint64_t n, crash_kind kind);

  /// Whether it has crashed and was not started again.
  bool down() const;

  /// Starts the next process, which finds what survived.
  void start();

  /// Makes everything durable, as the host does by itself every few seconds.
  void write_back();

  // -- what goes wrong --------------------------------------------------------

  /// From now on.
  void set_rates(const disk_rates& rates);

  /// From now on; empty for none.
  void set_script(script_function script);

  /// How many bytes fit on the disk; fewer than are there means full.
  void set_capacity(std::uint64_t bytes);

  /// Cuts a file, on the disk as in memory. Returns false if there is none.
  bool cut(const std::string& path, std::uint64_t size_bytes);

  /// Changes a byte of a file, in the same way.
  bool damage(const std::string& path, std::uint64_t offset);

  /// Removes a file, in the same way.
  bool lose(const std::string& path);

  /// Draws a file below a directory, and one of these three for it. Returns
  /// what it did, or nothing if there is no file.
  std::string harm(const std::string& directory);

  /// Whether a call was slow since this was last asked.
  bool take_slow();

  // -- to look at: counts as no call and never fails --------------------------

  std::uint64_t calls() const;

  /// Calls so far that change something.
  std::uint64_t changes() const;

  std::uint64_t hits(disk_fault x) const;

  /// "no_space 3, short_write 1": faults that struck.
  std::string report() const;

  /// Paths of all files, in order.
  std::vector<std::string> paths() const;

  /// What a file holds, for the process as it is.
  std::optional<std::string> contents(const std::string& path) const;

  /// Bytes of all files.
  std::uint64_t used_bytes() const;

  /// Files that processes have open, without those of SQLite.
  std::size_t open_files() const;

  /// Forgets nothing: the same for the same past, and for no other.
  std::uint64_t digest() const;

  class core;

private:
  std::unique_ptr<core> core_;
};

} // namespace edgecap::test

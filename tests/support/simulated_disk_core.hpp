#pragma once

#include "tests/support/simulated_disk.hpp"

#include <array>
#include <map>
#include <random>

// The inside of a simulated disk, for its two faces: the file system and the
// SQLite VFS.
namespace edgecap::test {

using capture::io_failure;
using capture::io_result;

/// Draws from a seed: the same in every build and process.
class disk_random {
public:
  explicit disk_random(std::uint64_t seed) : engine_(seed) {}

  /// 0 to `n` - 1. @pre n > 0
  std::uint64_t below(std::uint64_t n) {
    return engine_() % n;
  }

  /// True once in `n` times, never for 0.
  bool one_in(std::uint32_t n) {
    return n != 0 && below(n) == 0;
  }

private:
  std::mt19937_64 engine_;
};

/// A file or a directory: what processes see of it, what is durable, and the
/// changes that lead from the one to the other.
struct disk_node {
  /// A write, or a cut to `offset` if it is none.
  struct change {
    bool cuts = false;
    bool grows = false; ///< A write that made the file longer.
    std::uint64_t offset = 0;
    std::string bytes;
  };

  /// A name and what it stands for; null for a name that goes.
  using assignment = std::pair<std::string, std::shared_ptr<disk_node>>;

  /// What is done to names at once.
  using naming = std::vector<assignment>;

  using names = std::map<std::string, std::shared_ptr<disk_node>>;

  bool is_directory = false;
  bool is_locked = false;
  bool fails_next_write = false; ///< A short write is followed by ENOSPC.
  std::uint32_t links = 0;       ///< Names that a process sees.
  std::int64_t modified = 0;     ///< Number of the call that did it last.

  std::string data;
  std::string durable;
  std::vector<change> changes;

  names entries;
  names durable_entries;
  std::vector<naming> namings;

  /// SQLite's shared memory for a database, by number of its region.
  std::map<int, std::shared_ptr<char[]>> shared_memory;
};

using node_ptr = std::shared_ptr<disk_node>;

/// What both faces of a disk work with. A call names the process that makes it
/// by `epoch`.
class simulated_disk::core {
public:
  explicit core(std::uint64_t seed);
  ~core();

  // -- calls ------------------------------------------------------------------

  io_result<node_ptr> open(std::uint64_t epoch, const std::string& path,
                           capture::open_mode mode);
  io_result<std::size_t> read(std::uint64_t epoch, disk_node& node,
                              const std::string& path, void* into,
                              std::size_t size_bytes, std::uint64_t offset);
  io_result<std::size_t> write(std::uint64_t epoch, disk_node& node,
                               const std::string& path,
                               const std::string& bytes, std::uint64_t offset);
  io_result<void> truncate(std::uint64_t epoch, disk_node& node,
                           const std::string& path, std::uint64_t size_bytes);
  io_result<void> allocate(std::uint64_t epoch, disk_node& node,
                           const std::string& path, std::uint64_t size_bytes);
  io_result<void> sync(std::uint64_t epoch, disk_node& node,
                       const std::string& path);
  io_result<void> lock(std::uint64_t epoch, disk_node& node,
                       const std::string& path);
  io_result<node_ptr> look(std::uint64_t epoch, const std::string& path);
  io_result<void> rename(std::uint64_t epoch, const std::string& from,
                         const std::string& to);
  io_result<void> link(std::uint64_t epoch, const std::string& from,
                       const std::string& to);
  io_result<void> remove(std::uint64_t epoch, const std::string& path);
  io_result<void> make_directory(std::uint64_t epoch, const std::string& path);
  io_result<void> remove_tree(std::uint64_t epoch, const std::string& path);
  io_result<void> sync_directory(std::uint64_t epoch, const std::string& path);
  io_result<std::uint64_t> free_bytes(std::uint64_t epoch,
                                      const std::string& path);

  // -- the end of a process ---------------------------------------------------

  void crash(crash_kind kind);
  void start();

  /// Makes everything below a directory durable.
  void write_back(disk_node& node);

  // -- helpers ----------------------------------------------------------------

  /// Counts a call and decides whether it may go on.
  io_result<void> admit(std::uint64_t epoch, disk_call call,
                        const std::string& path);

  /// Finds what stands at a path.
  node_ptr find(const std::string& path) const;

  void hit(disk_fault x) {
    ++hits[static_cast<std::size_t>(x)];
  }

  bool alive(std::uint64_t x) const {
    return !down && x == epoch;
  }

  struct process; ///< Its files and its VFS.

  std::uint64_t epoch = 0; ///< Of the present process.
  bool down = false;
  node_ptr root;
  std::uint64_t used = 0;
  std::uint64_t capacity = std::uint64_t{1} << 40;
  std::uint64_t calls = 0;
  std::uint64_t changes = 0;
  std::size_t open_files = 0;                 ///< Through the file system.
  std::uint64_t past = 14695981039346656037u; ///< FNV-1a of all calls.
  std::optional<std::uint64_t> crash_change;
  crash_kind crash_change_kind = crash_kind::process;
  disk_rates rates;
  script_function script;
  bool was_slow = false;
  std::array<std::uint64_t, disk_fault_kinds> hits{};
  disk_random chance; ///< Of faults.
  disk_random fate;   ///< Of what was not synced.
  std::vector<std::unique_ptr<process>> processes;

private:
  io_result<void> check_write(disk_node& node, std::size_t& size,
                              std::uint64_t offset);
  std::size_t torn_part(std::uint64_t offset, std::size_t size);
  void apply_write(disk_node& node, const std::string& bytes,
                   std::uint64_t offset);
  io_result<disk_node*> parent_of(const std::string& path) const;
  void name(disk_node& directory, disk_node::naming naming);
  io_result<void> remove_below(std::uint64_t epoch, const std::string& path);
  std::string survivor(const disk_node& node);
  void survive(disk_node& node);
  void forget_process(disk_node& node);
  void count_links(disk_node& node);
};

/// The file system of one process.
std::unique_ptr<capture::file_system> make_files(simulated_disk::core& disk,
                                                 std::uint64_t epoch);

/// A registered SQLite VFS of one process; gone with its owner.
class simulated_vfs {
public:
  virtual ~simulated_vfs() = default;
  virtual const std::string& name() const = 0;
};

std::unique_ptr<simulated_vfs> make_vfs(simulated_disk::core& disk,
                                        std::uint64_t epoch);

struct simulated_disk::core::process {
  std::unique_ptr<capture::file_system> files;
  std::unique_ptr<simulated_vfs> vfs;
};

} // namespace edgecap::test

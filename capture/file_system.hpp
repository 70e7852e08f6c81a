#pragma once

#include "capture/descriptor.hpp"

#include <tl/expected.hpp>

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// The one seam between what we keep and where it is kept. All of edgecap that
// touches the storage directory does so through this page; a simulation puts a
// disk of its own behind it (tests/simulation).
namespace edgecap::capture {

/// What a call gave, or why it did not: an errno value, from which the caller
/// makes its text.
template <class T>
using io_result = tl::expected<T, int>;

/// Builds the unexpected side of an `io_result`.
inline tl::unexpected<int> io_failure(int error) {
  return tl::unexpected<int>{error};
}

/// What stands at a path.
enum class file_kind : std::uint8_t { regular, directory, other };

struct file_status {
  file_kind kind = file_kind::other;
  std::uint64_t device = 0; ///< Which file system it is on.
  std::uint64_t number = 0; ///< Which of its files it is.
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0; ///< Since 1970, as the file system says.
};

enum class open_mode : std::uint8_t {
  read,    ///< Reads what stands.
  change,  ///< Writes to what stands.
  create,  ///< Writes to what stands, or to a new file.
  replace, ///< The same, after emptying what stands.
};

/// An open file; closed with its owner. Used by one thread at a time.
class file {
public:
  virtual ~file() = default;

  /// Writes `count` parts one after another at `offset`. Returns the bytes
  /// that were taken, which may be fewer than were given.
  virtual io_result<std::size_t> write(const iovec* parts, int count,
                                       std::uint64_t offset)
    = 0;

  /// Reads at most `size_bytes` at `offset`. Returns how many there were, 0 at
  /// the end.
  virtual io_result<std::size_t> read(void* into, std::size_t size_bytes,
                                      std::uint64_t offset)
    = 0;

  virtual io_result<file_status> status() = 0;

  virtual io_result<void> truncate(std::uint64_t size_bytes) = 0;

  /// Makes the file at least so large, and takes the space for all of it at
  /// once, so that writing there cannot fail for want of it. Fails with
  /// EOPNOTSUPP where there is no such thing.
  virtual io_result<void> allocate(std::uint64_t size_bytes) {
    static_cast<void>(size_bytes);
    return io_failure(EOPNOTSUPP);
  }

  /// Has a part of what was written on its way to the disk and waits for it, so
  /// that the `sync` that comes after has less to do. Makes nothing durable by
  /// itself, but an error may be told here instead of there.
  virtual io_result<void> write_out(std::uint64_t offset,
                                    std::uint64_t size_bytes) {
    static_cast<void>(offset);
    static_cast<void>(size_bytes);
    return {};
  }

  /// Makes what was written durable, but not the file's name: that is
  /// `file_system::sync_directory`.
  virtual io_result<void> sync() = 0;

  /// Locks the file until it is closed. Fails with EWOULDBLOCK if somebody else
  /// holds the lock.
  virtual io_result<void> lock() = 0;

  /// Closes the file early, for whoever wants to know how that went. Nothing
  /// else may be called after it.
  virtual io_result<void> close() = 0;

  /// Closes the file, and gives a descriptor that reads it in return: it stays
  /// readable when the file's name is gone.
  virtual io_result<unique_descriptor> release() = 0;
};

/// Gives the names of a directory's entries one after another, in no order. A
/// name that comes or goes meanwhile may be given or not, every other one is
/// given once. Used by one thread at a time.
class directory_reader {
public:
  virtual ~directory_reader() = default;

  /// The next name; nothing at the end.
  virtual io_result<std::optional<std::string>> next() = 0;
};

/// Where files are. Paths are absolute or relative to the process. Each member
/// may be called from any thread; nothing throws.
class file_system {
public:
  virtual ~file_system() = default;

  /// Opens a file that is no symbolic link. New files are for their owner to
  /// write and their group to read.
  virtual io_result<std::unique_ptr<file>>
  open(const std::filesystem::path& path, open_mode mode) = 0;

  /// What stands there; a symbolic link is `other`.
  virtual io_result<file_status> status(const std::filesystem::path& path) = 0;

  /// Replaces what stands at `to`.
  virtual io_result<void> rename(const std::filesystem::path& from,
                                 const std::filesystem::path& to)
    = 0;

  /// Gives a file a second name. Fails with EPERM, EOPNOTSUPP or EMLINK where
  /// there are none.
  virtual io_result<void> link(const std::filesystem::path& from,
                               const std::filesystem::path& to)
    = 0;

  /// Removes a file's name.
  virtual io_result<void> remove(const std::filesystem::path& path) = 0;

  /// Lets the owner write and the group read a file, and nobody do more,
  /// whatever the process's umask did to it.
  virtual io_result<void> protect(const std::filesystem::path& path) = 0;

  /// Makes a directory for the owner and its group, unless there is one.
  virtual io_result<void> make_directory(const std::filesystem::path& path) = 0;

  /// Makes a directory and those that it is in, as far as they are missing;
  /// with the modes that the process gives.
  virtual io_result<void> make_directories(const std::filesystem::path& path)
    = 0;

  /// Removes a directory with all that is in it; it need not be there.
  virtual io_result<void> remove_tree(const std::filesystem::path& path) = 0;

  /// Begins to read the names of a directory's entries.
  virtual io_result<std::unique_ptr<directory_reader>>
  read_directory(const std::filesystem::path& path) = 0;

  /// Names of a directory's entries, in no order. For those that have few.
  io_result<std::vector<std::string>> list(const std::filesystem::path& path);

  /// Makes the names in a directory durable.
  virtual io_result<void> sync_directory(const std::filesystem::path& path) = 0;

  /// Bytes that are left for us where `path` is.
  virtual io_result<std::uint64_t> free_bytes(const std::filesystem::path& path)
    = 0;
};

/// Writes all of `parts` at `offset`, in one call unless the file takes less.
/// Uses up `parts`.
io_result<void> write_all(file& out, iovec* parts, int count,
                          std::uint64_t offset);

} // namespace edgecap::capture

#include "capture/posix_file_system.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace edgecap::capture {

namespace {

namespace fs = std::filesystem;

/// Nobody but the service and its group sees packets.
constexpr mode_t directory_mode = 0750;
constexpr mode_t file_mode = 0640;

/// The outcome of a call that returns 0 or fails.
io_result<void> outcome(int result) {
  if (result != 0)
    return io_failure(errno);
  return {};
}

io_result<void> outcome(const std::error_code& error) {
  if (error)
    return io_failure(error.value());
  return {};
}

/// The outcome of a call that returns a number of bytes or fails.
io_result<std::size_t> transferred(ssize_t result) {
  if (result < 0)
    return io_failure(errno);
  return static_cast<std::size_t>(result);
}

file_status as_status(const struct stat& x) {
  file_status result;
  if (S_ISREG(x.st_mode))
    result.kind = file_kind::regular;
  else if (S_ISDIR(x.st_mode))
    result.kind = file_kind::directory;
  result.device = x.st_dev;
  result.number = x.st_ino;
  result.size_bytes = static_cast<std::uint64_t>(x.st_size);
  result.modified_ns
    = std::int64_t{x.st_mtim.tv_sec} * 1'000'000'000 + x.st_mtim.tv_nsec;
  return result;
}

int flags_of(open_mode mode) {
  switch (mode) {
  case open_mode::read:
    return O_RDONLY;
  case open_mode::change:
    return O_WRONLY;
  case open_mode::create:
    return O_WRONLY | O_CREAT;
  case open_mode::replace:
    return O_WRONLY | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class posix_file : public file {
public:
  explicit posix_file(unique_descriptor fd) : fd_(std::move(fd)) {}

  io_result<std::size_t> write(const iovec* parts, int count,
                               std::uint64_t offset) override {
    return transferred(
      ::pwritev(fd_.get(), parts, count, static_cast<off_t>(offset)));
  }

  io_result<std::size_t> read(void* into, std::size_t size_bytes,
                              std::uint64_t offset) override {
    return transferred(
      ::pread(fd_.get(), into, size_bytes, static_cast<off_t>(offset)));
  }

  io_result<file_status> status() override {
    struct stat found {};
    if (::fstat(fd_.get(), &found) != 0)
      return io_failure(errno);
    return as_status(found);
  }

  io_result<void> truncate(std::uint64_t size_bytes) override {
    return outcome(::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)));
  }

  io_result<void> allocate(std::uint64_t size_bytes) override {
    // It returns its error. Where the file system cannot do it, it writes.
    const auto error
      = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(size_bytes));
    if (error != 0)
      return io_failure(error);
    return {};
  }

  io_result<void> write_out(std::uint64_t offset,
                            std::uint64_t size_bytes) override {
    // sync_file_range(2): to do nothing would be right too, and slower.
    const auto done = outcome(::sync_file_range(
      fd_.get(), static_cast<off64_t>(offset), static_cast<off64_t>(size_bytes),
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE
        | SYNC_FILE_RANGE_WAIT_AFTER));
    if (!done && (done.error() == ENOSYS || done.error() == EOPNOTSUPP))
      return {};
    return done;
  }

  io_result<void> sync() override {
    return outcome(::fsync(fd_.get()));
  }

  io_result<void> lock() override {
    return outcome(::flock(fd_.get(), LOCK_EX | LOCK_NB));
  }

  io_result<void> close() override {
    // The descriptor is gone even if close(2) complains.
    return outcome(::close(fd_.release()));
  }

  io_result<unique_descriptor> release() override {
    return std::move(fd_);
  }

private:
  unique_descriptor fd_;
};

class posix_directory_reader : public directory_reader {
public:
  explicit posix_directory_reader(fs::directory_iterator begin)
    : at_(std::move(begin)) {}

  io_result<std::optional<std::string>> next() override {
    if (at_ == fs::directory_iterator{})
      return std::nullopt;
    auto name = at_->path().filename().string();
    std::error_code error;
    at_.increment(error);
    if (error)
      return io_failure(error.value());
    return name;
  }

private:
  fs::directory_iterator at_;
};

} // namespace

posix_file_system::posix_file_system(symbolic_links links)
  : link_flag_(links == symbolic_links::refused ? O_NOFOLLOW : 0) {}

io_result<std::unique_ptr<file>> posix_file_system::open(const fs::path& path,
                                                         open_mode mode) {
  unique_descriptor fd{
    ::open(path.c_str(), flags_of(mode) | O_CLOEXEC | link_flag_, file_mode)};
  if (!fd)
    return io_failure(errno);
  return std::make_unique<posix_file>(std::move(fd));
}

io_result<file_status> posix_file_system::status(const fs::path& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    return io_failure(errno);
  return as_status(found);
}

io_result<void> posix_file_system::rename(const fs::path& from,
                                          const fs::path& to) {
  return outcome(std::rename(from.c_str(), to.c_str()));
}

io_result<void> posix_file_system::link(const fs::path& from,
                                        const fs::path& to) {
  return outcome(::link(from.c_str(), to.c_str()));
}

io_result<void> posix_file_system::remove(const fs::path& path) {
  return outcome(::unlink(path.c_str()));
}

io_result<void> posix_file_system::protect(const fs::path& path) {
  return outcome(::chmod(path.c_str(), file_mode));
}

io_result<void> posix_file_system::make_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), directory_mode) == 0)
    return {};
  const auto error = errno;
  std::error_code ignored; // mkdir's words are the better ones
  if (error == EEXIST && fs::is_directory(path, ignored))
    return {};
  return io_failure(error);
}

io_result<void> posix_file_system::make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return outcome(error);
}

io_result<void> posix_file_system::remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return outcome(error);
}

io_result<std::unique_ptr<directory_reader>>
posix_file_system::read_directory(const fs::path& path) {
  std::error_code error;
  fs::directory_iterator begin{path, error};
  if (error)
    return io_failure(error.value());
  return std::make_unique<posix_directory_reader>(std::move(begin));
}

io_result<void> posix_file_system::sync_directory(const fs::path& path) {
  const unique_descriptor fd{
    ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd)
    return io_failure(errno);
  return outcome(::fsync(fd.get()));
}

io_result<std::uint64_t> posix_file_system::free_bytes(const fs::path& path) {
  struct statvfs found {};
  if (::statvfs(path.c_str(), &found) != 0)
    return io_failure(errno);
  return std::uint64_t{found.f_bavail} * found.f_frsize;
}

posix_file_system& posix_files() {
  static posix_file_system result{symbolic_links::refused};
  return result;
}

} // namespace edgecap::capture

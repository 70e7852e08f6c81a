#include "tests/support/simulated_disk_core.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

// A simulated disk as a file system.
namespace edgecap::test {

namespace {

using capture::directory_reader;
using capture::file;
using capture::file_kind;
using capture::file_status;
using capture::open_mode;
using capture::unique_descriptor;

namespace fs = std::filesystem;

file_status status_of(const disk_node& node) {
  file_status result;
  result.kind = node.is_directory ? file_kind::directory : file_kind::regular;
  result.size_bytes = node.data.size();
  result.modified_ns = node.modified;
  return result;
}

class simulated_file : public file {
public:
  simulated_file(simulated_disk::core& disk, std::uint64_t epoch, node_ptr node,
                 std::string path, open_mode mode)
    : disk_(disk), epoch_(epoch), node_(std::move(node)),
      path_(std::move(path)), mode_(mode) {
    ++disk_.open_files;
  }

  ~simulated_file() override {
    unlock();
    --disk_.open_files;
  }

  io_result<std::size_t> write(const iovec* parts, int count,
                               std::uint64_t offset) override {
    if (mode_ == open_mode::read)
      return io_failure(EBADF);
    std::string bytes;
    for (int i = 0; i < count; ++i)
      bytes.append(static_cast<const char*>(parts[i].iov_base),
                   parts[i].iov_len);
    return disk_.write(epoch_, *node_, path_, bytes, offset);
  }

  io_result<std::size_t> read(void* into, std::size_t size_bytes,
                              std::uint64_t offset) override {
    if (mode_ != open_mode::read)
      return io_failure(EBADF);
    return disk_.read(epoch_, *node_, path_, into, size_bytes, offset);
  }

  io_result<file_status> status() override {
    if (auto may = disk_.admit(epoch_, disk_call::look, path_); !may)
      return io_failure(may.error());
    return status_of(*node_);
  }

  io_result<void> truncate(std::uint64_t size_bytes) override {
    if (mode_ == open_mode::read)
      return io_failure(EINVAL);
    return disk_.truncate(epoch_, *node_, path_, size_bytes);
  }

  io_result<void> write_out(std::uint64_t, std::uint64_t) override {
    // Promises nothing, but may tell of an error.
    return disk_.admit(epoch_, disk_call::sync, path_);
  }

  io_result<void> allocate(std::uint64_t size_bytes) override {
    if (mode_ == open_mode::read)
      return io_failure(EBADF);
    return disk_.allocate(epoch_, *node_, path_, size_bytes);
  }

  io_result<void> sync() override {
    return disk_.sync(epoch_, *node_, path_);
  }

  io_result<void> lock() override {
    auto locked = disk_.lock(epoch_, *node_, path_);
    locked_ = locked_ || locked;
    return locked;
  }

  io_result<void> close() override {
    unlock();
    if (!disk_.alive(epoch_))
      return io_failure(EIO);
    return {};
  }

  io_result<unique_descriptor> release() override {
    if (!disk_.alive(epoch_))
      return io_failure(EIO);
    // A descriptor is the system's to give: one of a file with these bytes.
    unique_descriptor result{::memfd_create("simulated", MFD_CLOEXEC)};
    if (!result)
      return io_failure(errno);
    const auto& bytes = node_->data;
    if (::pwrite(result.get(), bytes.data(), bytes.size(), 0)
        != static_cast<ssize_t>(bytes.size()))
      return io_failure(EIO);
    unlock();
    return result;
  }

private:
  void unlock() {
    if (std::exchange(locked_, false) && disk_.alive(epoch_))
      node_->is_locked = false;
  }

  simulated_disk::core& disk_;
  const std::uint64_t epoch_;
  const node_ptr node_;
  const std::string path_;
  const open_mode mode_;
  bool locked_ = false;
};

class simulated_directory_reader : public directory_reader {
public:
  simulated_directory_reader(simulated_disk::core& disk, std::uint64_t epoch,
                             node_ptr node, std::string path)
    : disk_(disk), epoch_(epoch), node_(std::move(node)),
      path_(std::move(path)) {}

  io_result<std::optional<std::string>> next() override {
    if (auto may = disk_.admit(epoch_, disk_call::look, path_); !may)
      return io_failure(may.error());
    const auto next = node_->entries.upper_bound(last_);
    if (next == node_->entries.end())
      return std::nullopt;
    last_ = next->first;
    return last_;
  }

private:
  simulated_disk::core& disk_;
  const std::uint64_t epoch_;
  const node_ptr node_;
  const std::string path_;
  std::string last_; ///< Names are given in their order.
};

class simulated_files : public capture::file_system {
public:
  simulated_files(simulated_disk::core& disk, std::uint64_t epoch)
    : disk_(disk), epoch_(epoch) {}

  io_result<std::unique_ptr<file>> open(const fs::path& path,
                                        open_mode mode) override {
    auto node = disk_.open(epoch_, path.string(), mode);
    if (!node)
      return io_failure(node.error());
    return std::make_unique<simulated_file>(disk_, epoch_, std::move(*node),
                                            path.string(), mode);
  }

  io_result<file_status> status(const fs::path& path) override {
    const auto node = disk_.look(epoch_, path.string());
    if (!node)
      return io_failure(node.error());
    return status_of(**node);
  }

  io_result<void> rename(const fs::path& from, const fs::path& to) override {
    return disk_.rename(epoch_, from.string(), to.string());
  }

  io_result<void> link(const fs::path& from, const fs::path& to) override {
    return disk_.link(epoch_, from.string(), to.string());
  }

  io_result<void> remove(const fs::path& path) override {
    return disk_.remove(epoch_, path.string());
  }

  io_result<void> protect(const fs::path& path) override {
    if (const auto node = disk_.look(epoch_, path.string()); !node)
      return io_failure(node.error());
    return {}; // There is nobody here to be kept out.
  }

  io_result<void> make_directory(const fs::path& path) override {
    return disk_.make_directory(epoch_, path.string());
  }

  io_result<void> make_directories(const fs::path& path) override {
    if (path.has_relative_path())
      if (auto made = make_directories(path.parent_path()); !made)
        return made;
    return path.has_relative_path() ? make_directory(path) : io_result<void>{};
  }

  io_result<void> remove_tree(const fs::path& path) override {
    return disk_.remove_tree(epoch_, path.string());
  }

  io_result<std::unique_ptr<directory_reader>>
  read_directory(const fs::path& path) override {
    auto node = disk_.look(epoch_, path.string());
    if (!node)
      return io_failure(node.error());
    if (!(*node)->is_directory)
      return io_failure(ENOTDIR);
    return std::make_unique<simulated_directory_reader>(
      disk_, epoch_, std::move(*node), path.string());
  }

  io_result<void> sync_directory(const fs::path& path) override {
    return disk_.sync_directory(epoch_, path.string());
  }

  io_result<std::uint64_t> free_bytes(const fs::path& path) override {
    return disk_.free_bytes(epoch_, path.string());
  }

private:
  simulated_disk::core& disk_;
  const std::uint64_t epoch_;
};

} // namespace

std::unique_ptr<capture::file_system> make_files(simulated_disk::core& disk,
                                                 std::uint64_t epoch) {
  return std::make_unique<simulated_files>(disk, epoch);
}

} // namespace edgecap::test

#pragma once

#include "capture/file_system.hpp"

namespace edgecap::capture {

/// What to do when a file's name turns out to be a symbolic link.
enum class symbolic_links : std::uint8_t {
  refused,  ///< Fail with ELOOP: nobody leads us out of our directory.
  followed, ///< Open what it leads to: for tools whose user names the files.
};

/// The system's own files.
class posix_file_system : public file_system {
public:
  explicit posix_file_system(symbolic_links links);

  io_result<std::unique_ptr<file>> open(const std::filesystem::path& path,
                                        open_mode mode) override;
  io_result<file_status> status(const std::filesystem::path& path) override;
  io_result<void> rename(const std::filesystem::path& from,
                         const std::filesystem::path& to) override;
  io_result<void> link(const std::filesystem::path& from,
                       const std::filesystem::path& to) override;
  io_result<void> remove(const std::filesystem::path& path) override;
  io_result<void> protect(const std::filesystem::path& path) override;
  io_result<void> make_directory(const std::filesystem::path& path) override;
  io_result<void> make_directories(const std::filesystem::path& path) override;
  io_result<void> remove_tree(const std::filesystem::path& path) override;
  io_result<std::unique_ptr<directory_reader>>
  read_directory(const std::filesystem::path& path) override;
  io_result<void> sync_directory(const std::filesystem::path& path) override;
  io_result<std::uint64_t>
  free_bytes(const std::filesystem::path& path) override;

private:
  int link_flag_;
};

/// The one that refuses symbolic links. Lives as long as the process.
posix_file_system& posix_files();

} // namespace edgecap::capture

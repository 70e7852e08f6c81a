#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace edgecap::test {

/// A directory of its own for one test, below TMPDIR; removed with all that
/// was left in it.
class temp_directory {
public:
  temp_directory();
  temp_directory(const temp_directory&) = delete;
  temp_directory& operator=(const temp_directory&) = delete;
  ~temp_directory();

  const std::filesystem::path& path() const {
    return path_;
  }

  std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

private:
  std::filesystem::path path_;
};

/// A file system of few bytes, to be filled up. Needs root: `mounted` says
/// whether there is one.
class tiny_disk {
public:
  explicit tiny_disk(std::uint64_t size_bytes);
  tiny_disk(const tiny_disk&) = delete;
  tiny_disk& operator=(const tiny_disk&) = delete;
  ~tiny_disk();

  bool mounted() const {
    return mounted_;
  }

  const std::filesystem::path& path() const {
    return mount_point_.path();
  }

  /// Fills the disk but for about `left_bytes`, in whole pages.
  void fill(std::uint64_t left_bytes);

  /// Takes back what `fill` wrote.
  void empty();

private:
  temp_directory mount_point_;
  bool mounted_ = false;
};

/// Another, empty file system over a directory, for as long as it lives. Needs
/// root.
class over_mount {
public:
  explicit over_mount(std::filesystem::path place);
  over_mount(const over_mount&) = delete;
  over_mount& operator=(const over_mount&) = delete;
  ~over_mount();

private:
  std::filesystem::path place_;
};

/// All bytes of a file; fails the test if it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Replaces the contents of a file; fails the test if it cannot be written.
void write_file(const std::filesystem::path& file, const std::string& bytes);

} // namespace edgecap::test

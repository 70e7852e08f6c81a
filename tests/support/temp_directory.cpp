#include "tests/support/temp_directory.hpp"

#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace edgecap::test {

namespace {

constexpr const char* ballast = "ballast";

} // namespace

temp_directory::temp_directory() {
  auto pattern
    = (std::filesystem::temp_directory_path() / "edgecap-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), pattern);
  path_ = pattern;
}

temp_directory::~temp_directory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  EXPECT_FALSE(error) << path_ << ": " << error.message();
}

tiny_disk::tiny_disk(std::uint64_t size_bytes) {
  const auto options = "size=" + std::to_string(size_bytes);
  mounted_ = ::mount("tmpfs", path().c_str(), "tmpfs", MS_NODEV | MS_NOSUID,
                     options.c_str())
             == 0;
}

tiny_disk::~tiny_disk() {
  if (!mounted_)
    return;
  EXPECT_EQ(::umount2(path().c_str(), MNT_DETACH), 0) << std::strerror(errno);
}

void tiny_disk::fill(std::uint64_t left_bytes) {
  struct statvfs status {};
  ASSERT_EQ(::statvfs(path().c_str(), &status), 0);
  const auto free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize;
  ASSERT_GT(free_bytes, left_bytes);
  write_file(path() / ballast, std::string(free_bytes - left_bytes, 'x'));
}

void tiny_disk::empty() {
  EXPECT_TRUE(std::filesystem::remove(path() / ballast));
}

over_mount::over_mount(std::filesystem::path place) : place_(std::move(place)) {
  EXPECT_EQ(::mount("tmpfs", place_.c_str(), "tmpfs", MS_NODEV | MS_NOSUID,
                    "size=65536"),
            0)
    << std::strerror(errno);
}

over_mount::~over_mount() {
  EXPECT_EQ(::umount2(place_.c_str(), MNT_DETACH), 0) << std::strerror(errno);
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  EXPECT_TRUE(in) << "cannot read " << file;
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

void write_file(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream out{file, std::ios::binary | std::ios::trunc};
  out << bytes;
  out.close();
  EXPECT_TRUE(out) << "cannot write " << file;
}

} // namespace edgecap::test

#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace edgecap::simulation {

/// A directory of the real host, for what only that can show: how many files
/// and descriptors a process has.
class real_directory {
public:
  real_directory() {
    auto pattern
      = (std::filesystem::temp_directory_path() / "edgecap-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("no temporary directory");
    path_ = pattern;
  }

  real_directory(const real_directory&) = delete;
  real_directory& operator=(const real_directory&) = delete;

  ~real_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const {
    return path_;
  }

  /// How many files there are.
  std::uint64_t files() const {
    std::uint64_t result = 0;
    for (const auto& x : std::filesystem::recursive_directory_iterator{path_})
      result += x.is_regular_file() ? 1 : 0;
    return result;
  }

private:
  std::filesystem::path path_;
};

} // namespace edgecap::simulation

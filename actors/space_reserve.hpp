#pragma once

#include "actors/store_error.hpp"
#include "capture/file_system.hpp"

#include <cstdint>
#include <filesystem>

namespace edgecap {

/// A file that takes space while there is some, and gives it back when the disk
/// is full, for what must go on then: jobs end, and deletes remove rows, which
/// SQLite needs space for. Used by one thread.
class space_reserve {
public:
  /// Steps in which space is given up, in bytes: whoever fills the disk would
  /// take a larger part that nobody needs yet.
  static constexpr std::uint64_t step_bytes = 1u << 20;

  /// Holds what an earlier process left, which may be all.
  /// @param files Outlives the reserve.
  /// @param size_bytes What it is to hold; 0 for no reserve.
  space_reserve(capture::file_system& files, std::filesystem::path path,
                std::uint64_t size_bytes);

  /// Takes what is missing. Where the file system has no such thing there is
  /// no reserve.
  stored<void> fill();

  /// Gives up as many bytes, in whole steps, or what is left. Returns whether
  /// that was any.
  bool give(std::uint64_t bytes);

  /// Bytes that it holds.
  std::uint64_t held_bytes() const {
    return held_;
  }

  /// Bytes that it does not hold, but is to.
  std::uint64_t missing_bytes() const {
    return size_ - held_;
  }

private:
  capture::io_result<void> resize(std::uint64_t bytes);

  capture::file_system& files_;
  const std::filesystem::path path_;
  std::uint64_t size_;
  std::uint64_t held_ = 0;
};

} // namespace edgecap

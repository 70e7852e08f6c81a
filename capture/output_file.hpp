#pragma once

#include "capture/capture_error.hpp"
#include "capture/file_system.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace edgecap::capture {

/// Writes a file through one buffer. The first failure sticks: what is
/// appended after it is discarded, and `status` and `finish` report it. Used
/// by one thread at a time.
class output_file {
public:
  static constexpr std::size_t buffer_bytes = 256u << 10;

  /// Written bytes that have not gone out to the disk, at most: a second of a
  /// slow one. `finish` would wait for all of them, and its caller with it.
  static constexpr std::uint64_t write_out_bytes = 32u << 20;

  /// Creates a file, for its owner to write and its group to read, or empties
  /// it.
  static expected<output_file> create(file_system& files,
                                      const std::filesystem::path& path);

  /// Appends `size_bytes` bytes.
  void append(const void* data, std::size_t size_bytes) {
    if (size_bytes > buffer_.size() - used_) {
      append_slowly(static_cast<const std::byte*>(data), size_bytes);
      return;
    }
    std::memcpy(buffer_.data() + used_, data, size_bytes);
    used_ += size_bytes;
  }

  /// Overwrites bytes that were appended before.
  void patch(std::uint64_t offset, const void* data, std::size_t size_bytes);

  /// Bytes appended so far.
  std::uint64_t size_bytes() const {
    return flushed_ + used_;
  }

  bool failed() const {
    return error_ != 0;
  }

  /// The first failure: "write /var/lib/x.pcap: No space left on device".
  expected<void> status() const;

  /// Writes what is left, makes it durable and closes the file.
  expected<void> finish();

private:
  output_file(std::unique_ptr<file> out, std::string name);

  void append_slowly(const std::byte* data, std::size_t size_bytes);
  void flush();

  /// Writes all of it at `offset`.
  void write(const std::byte* data, std::size_t size_bytes,
             std::uint64_t offset);

  /// Lets what has come together go out to the disk.
  void write_out();

  void fail_with(const char* what, int error);

  std::unique_ptr<file> out_; ///< None after `finish`.
  std::string name_;          ///< For errors.
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0;        ///< Bytes in `buffer_`.
  std::uint64_t flushed_ = 0;   ///< Bytes that are past `buffer_`.
  std::uint64_t out_bytes_ = 0; ///< Of these, those that have gone out.
  int error_ = 0;
  const char* failed_call_ = "";
};

} // namespace edgecap::capture

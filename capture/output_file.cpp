#include "capture/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace edgecap::capture {

namespace {

constexpr mode_t file_mode = 0640;

capture_error system_error(const char* what, const std::string& name,
                           int error) {
  return {capture_errc::io, std::string{what} + " " + name + ": "
                              + std::generic_category().message(error)};
}

} // namespace

output_file::output_file(unique_descriptor fd, std::string name)
  : fd_(std::move(fd)), name_(std::move(name)), buffer_(buffer_bytes) {
  // nop
}

expected<output_file> output_file::create(const std::filesystem::path& file) {
  unique_descriptor fd{
    ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, file_mode)};
  if (!fd)
    return tl::unexpected<capture_error>{
      system_error("create", file.string(), errno)};
  return output_file{std::move(fd), file.string()};
}

void output_file::append_slowly(const std::byte* data, std::size_t size_bytes) {
  flush();
  if (size_bytes > buffer_.size()) {
    // Larger than the buffer: there is nothing to collect.
    write_all(data, size_bytes, flushed_);
    flushed_ += size_bytes;
    return;
  }
  std::memcpy(buffer_.data(), data, size_bytes);
  used_ = size_bytes;
}

void output_file::patch(std::uint64_t offset, const void* data,
                        std::size_t size_bytes) {
  flush();
  write_all(static_cast<const std::byte*>(data), size_bytes, offset);
}

expected<void> output_file::status() const {
  if (error_ != 0)
    return tl::unexpected<capture_error>{
      system_error(failed_call_, name_, error_)};
  return {};
}

expected<void> output_file::finish() {
  flush();
  if (!failed() && ::fsync(fd_.get()) != 0)
    fail_with("sync", errno);
  // The descriptor is gone even if close(2) complains.
  if (const auto fd = fd_.release();
      fd >= 0 && ::close(fd) != 0 && !failed() && errno != EINTR)
    fail_with("close", errno);
  return status();
}

void output_file::flush() {
  const auto size = std::exchange(used_, 0);
  write_all(buffer_.data(), size, flushed_);
  flushed_ += size;
}

void output_file::write_all(const std::byte* data, std::size_t size_bytes,
                            std::uint64_t offset) {
  while (size_bytes > 0 && !failed()) {
    const auto n
      = ::pwrite(fd_.get(), data, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      // 0 is no error to the system, but it would be an endless loop to us.
      fail_with("write", n < 0 ? errno : EIO);
      return;
    }
    const auto taken = static_cast<std::size_t>(n);
    data += taken;
    size_bytes -= taken;
    offset += taken;
  }
}

void output_file::fail_with(const char* what, int error) {
  failed_call_ = what;
  error_ = error;
}

} // namespace edgecap::capture

#include "capture/output_file.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

namespace edgecap::capture {

namespace {

capture_error system_error(const char* what, const std::string& name,
                           int error) {
  const auto full = error == ENOSPC || error == EDQUOT;
  return {full ? capture_errc::no_space : capture_errc::io,
          std::string{what} + " " + name + ": "
            + std::generic_category().message(error)};
}

} // namespace

output_file::output_file(std::unique_ptr<file> out, std::string name)
  : out_(std::move(out)), name_(std::move(name)), buffer_(buffer_bytes) {
  // nop
}

expected<output_file> output_file::create(file_system& files,
                                          const std::filesystem::path& path) {
  auto out = files.open(path, open_mode::replace);
  if (!out)
    return tl::unexpected<capture_error>{
      system_error("create", path.string(), out.error())};
  return output_file{std::move(*out), path.string()};
}

void output_file::append_slowly(const std::byte* data, std::size_t size_bytes) {
  flush();
  if (size_bytes > buffer_.size()) {
    // Larger than the buffer: there is nothing to collect.
    write(data, size_bytes, flushed_);
    flushed_ += size_bytes;
    write_out();
    return;
  }
  std::memcpy(buffer_.data(), data, size_bytes);
  used_ = size_bytes;
}

void output_file::patch(std::uint64_t offset, const void* data,
                        std::size_t size_bytes) {
  flush();
  write(static_cast<const std::byte*>(data), size_bytes, offset);
}

expected<void> output_file::status() const {
  if (error_ != 0)
    return tl::unexpected<capture_error>{
      system_error(failed_call_, name_, error_)};
  return {};
}

expected<void> output_file::finish() {
  flush();
  const auto out = std::exchange(out_, nullptr);
  if (!out)
    return status();
  if (!failed())
    if (const auto synced = out->sync(); !synced)
      fail_with("sync", synced.error());
  if (const auto closed = out->close();
      !closed && !failed() && closed.error() != EINTR)
    fail_with("close", closed.error());
  return status();
}

void output_file::flush() {
  const auto size = std::exchange(used_, 0);
  write(buffer_.data(), size, flushed_);
  flushed_ += size;
  write_out();
}

void output_file::write_out() {
  if (failed() || flushed_ - out_bytes_ < write_out_bytes)
    return;
  if (const auto done = out_->write_out(out_bytes_, flushed_ - out_bytes_);
      !done)
    fail_with("write", done.error());
  out_bytes_ = flushed_;
}

void output_file::write(const std::byte* data, std::size_t size_bytes,
                        std::uint64_t offset) {
  if (size_bytes == 0 || failed())
    return;
  // iovec serves reads as well, hence its pointer to non-const.
  iovec part{const_cast<std::byte*>(data), size_bytes};
  if (const auto written = write_all(*out_, &part, 1, offset); !written)
    fail_with("write", written.error());
}

void output_file::fail_with(const char* what, int error) {
  failed_call_ = what;
  error_ = error;
}

} // namespace edgecap::capture

#include "capture/run_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

namespace edgecap::capture {

namespace {

tl::unexpected<capture_error> read_failure(const char* what,
                                           const std::string& name, int error) {
  return fail(capture_errc::io, std::string{what} + " run " + name + ": "
                                  + std::generic_category().message(error));
}

} // namespace

run_reader::run_reader(unique_descriptor fd, std::string name)
  : fd_(std::move(fd)), name_(std::move(name)), buffer_(buffer_bytes) {
  // nop
}

expected<run_reader> run_reader::open(const std::filesystem::path& file) {
  unique_descriptor fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return read_failure("open", file.string(), errno);
  run_reader result{std::move(fd), file.string()};
  if (auto read = result.read_header(); !read)
    return tl::unexpected<capture_error>{read.error()};
  return result;
}

expected<void> run_reader::read_header() {
  while (end_ < savefile_header_bytes && !at_end_)
    if (auto read = read_more(savefile_header_bytes); !read)
      return read;
  if (end_ < savefile_header_bytes)
    return fail(capture_errc::bad_savefile,
                "read run " + name_ + ": it ends within its header");
  std::array<std::byte, savefile_header_bytes> bytes;
  std::memcpy(bytes.data(), buffer_.data(), bytes.size());
  const auto header = parse_run_header(bytes);
  if (!header)
    return fail(capture_errc::bad_savefile,
                "read run " + name_
                  + ": it is not a nanosecond savefile of this host's byte "
                    "order");
  header_ = *header;
  begin_ = savefile_header_bytes;
  return {};
}

expected<bool> run_reader::fill() {
  for (;;) {
    const auto have = end_ - begin_;
    auto needed = sizeof(record_header);
    if (have >= needed) {
      const auto x = front_header();
      if (!plausible(x)) {
        torn_ = true;
        return false;
      }
      needed += x.captured_length;
      if (have >= needed)
        return true;
    }
    if (at_end_) {
      torn_ = have > 0;
      return false;
    }
    if (auto read = read_more(needed); !read)
      return tl::unexpected<capture_error>{read.error()};
  }
}

void run_reader::follow(std::vector<record_place> order) {
  order_ = std::move(order);
  following_ = true;
  next_place_ = 0;
  begin_ = end_ = 0;
  read_offset_ = stretch_end_ = 0;
  at_end_ = torn_ = false;
}

expected<void> run_reader::read_more(std::size_t needed_bytes) {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  // Bounded, since `fill` believes no length that is not plausible.
  if (buffer_.size() < needed_bytes)
    buffer_.resize(needed_bytes);
  const auto limit = readable();
  if (limit == 0) {
    at_end_ = true;
    return {};
  }
  ssize_t got = 0;
  do
    got = ::pread(fd_.get(), buffer_.data() + end_,
                  std::min(limit, buffer_.size() - end_),
                  static_cast<off_t>(read_offset_));
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return read_failure("read", name_, errno);
  if (got == 0)
    at_end_ = true;
  end_ += static_cast<std::size_t>(got);
  read_offset_ += static_cast<std::size_t>(got);
  return {};
}

std::size_t run_reader::readable() {
  if (!following_)
    return std::numeric_limits<std::size_t>::max();
  if (read_offset_ == stretch_end_ && next_place_ < order_.size()) {
    read_offset_ = stretch_end_ = order_[next_place_].offset;
    if (buffer_.size() < order_[next_place_].size_bytes)
      buffer_.resize(order_[next_place_].size_bytes);
    // Neighbours in time are mostly neighbours in the file, too.
    auto room = buffer_.size();
    while (next_place_ < order_.size()
           && order_[next_place_].offset == stretch_end_
           && order_[next_place_].size_bytes <= room) {
      room -= order_[next_place_].size_bytes;
      stretch_end_ += order_[next_place_].size_bytes;
      ++next_place_;
    }
  }
  return stretch_end_ - read_offset_;
}

} // namespace edgecap::capture

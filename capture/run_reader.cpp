#include "capture/run_reader.hpp"

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

run_reader::run_reader(std::unique_ptr<file> in, std::string name,
                       std::size_t room)
  : in_(std::move(in)), name_(std::move(name)), buffer_(room) {
  // nop
}

expected<run_reader> run_reader::open(file_system& files,
                                      const std::filesystem::path& path,
                                      std::size_t most) {
  auto in = files.open(path, open_mode::read);
  if (!in)
    return read_failure("open", path.string(), in.error());
  // A capture over thousands of interfaces has as many runs, most of them
  // small.
  auto room = std::max(most, least_buffer_bytes);
  if (const auto status = (*in)->status())
    room = static_cast<std::size_t>(
      std::clamp<std::uint64_t>(status->size_bytes, least_buffer_bytes, room));
  run_reader result{std::move(*in), path.string(), room};
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
        torn_ = damaged_ = true;
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
  at_end_ = torn_ = damaged_ = false;
}

expected<std::uint64_t> run_reader::file_bytes() const {
  const auto status = in_->status();
  if (!status)
    return read_failure("look at", name_, status.error());
  return status->size_bytes;
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
  auto* const into = buffer_.data() + end_;
  const auto room = std::min(limit, buffer_.size() - end_);
  auto got = in_->read(into, room, read_offset_);
  while (!got && got.error() == EINTR)
    got = in_->read(into, room, read_offset_);
  if (!got)
    return read_failure("read", name_, got.error());
  if (*got == 0)
    at_end_ = true;
  end_ += *got;
  read_offset_ += *got;
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

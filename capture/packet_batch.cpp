#include "capture/packet_batch.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::capture {

namespace {

/// First room for a batch of unknown size.
constexpr std::size_t min_buffer_bytes = 4096;

} // namespace

bool plausible(const record_header& x) {
  return x.captured_length <= max_captured_length
         && x.captured_length <= x.original_length
         && x.nanoseconds < 1'000'000'000 && x.original_length > 0;
}

void record_header::move_time(std::int64_t by_ns) {
  // Stamps are below 2^62 ns, so that only a sum of two such could overflow.
  constexpr unix_ns last = (unix_ns{1} << 32) * 1'000'000'000 - 1;
  const auto by = std::clamp(by_ns, -last, last);
  const auto moved = std::clamp(time() + by, unix_ns{0}, last);
  *this = of(moved, captured_length, original_length);
}

packet_batch packet_batch::prefix(std::uint32_t n) const {
  if (n >= packets_)
    return *this;
  packet_batch result;
  result.bytes_ = bytes_;
  result.link_ = link_;
  const auto* pos = data();
  for (std::uint32_t i = 0; i < n; ++i) {
    record_header header;
    std::memcpy(&header, pos, sizeof header);
    result.count(header);
    pos += sizeof header + header.captured_length;
  }
  result.size_bytes_ = static_cast<std::size_t>(pos - data());
  return result;
}

packet_batch packet_batch::of_records(link_type link,
                                      std::shared_ptr<const std::byte[]> bytes,
                                      std::size_t size_bytes) {
  packet_batch result;
  result.link_ = link;
  for (std::size_t pos = 0; pos < size_bytes;) {
    record_header header;
    if (size_bytes - pos < sizeof header)
      return {};
    std::memcpy(&header, bytes.get() + pos, sizeof header);
    pos += sizeof header;
    if (!plausible(header) || size_bytes - pos < header.captured_length)
      return {};
    pos += header.captured_length;
    result.count(header);
  }
  result.bytes_ = std::move(bytes);
  result.size_bytes_ = size_bytes;
  return result;
}

std::shared_ptr<std::byte[]> buffer_pool::take() {
  std::unique_ptr<std::byte[]> buffer;
  {
    const std::lock_guard lock{mutex_};
    if (!kept_.empty()) {
      buffer = std::move(kept_.back());
      kept_.pop_back();
    }
  }
  if (!buffer)
    // Not make_unique, which would fill it with zeros.
    buffer.reset(new std::byte[buffer_bytes_]);
  return {buffer.release(), [self = shared_from_this()](std::byte* used) {
            self->give_back(std::unique_ptr<std::byte[]>{used});
          }};
}

void buffer_pool::give_back(std::unique_ptr<std::byte[]> buffer) {
  const std::lock_guard lock{mutex_};
  if (kept_.size() < max_kept)
    kept_.push_back(std::move(buffer));
}

batch_builder::batch_builder(link_type link, std::size_t capacity_bytes)
  : capacity_bytes_(capacity_bytes),
    pool_(std::make_shared<buffer_pool>(capacity_bytes)) {
  batch_.link_ = link;
}

bool batch_builder::grow(std::size_t needed_bytes) {
  if (needed_bytes > capacity_bytes_ && !empty())
    return false;
  // A batch as large as the last one needs a single allocation.
  auto room
    = empty() ? std::max(last_bytes_, min_buffer_bytes) : 2 * buffer_bytes_;
  if (room > capacity_bytes_ / 2)
    room = capacity_bytes_;
  room = std::max(room, needed_bytes);
  std::shared_ptr<std::byte[]> larger;
  if (room == capacity_bytes_)
    larger = pool_->take();
  else
    // Not make_shared, which would fill it with zeros.
    larger.reset(new std::byte[room]);
  if (!empty())
    std::memcpy(larger.get(), buffer_.get(), batch_.size_bytes_);
  buffer_ = std::move(larger);
  buffer_bytes_ = room;
  return true;
}

packet_batch batch_builder::take() {
  const auto link = batch_.link_;
  last_bytes_ = batch_.size_bytes_;
  auto result = std::exchange(batch_, {});
  result.bytes_ = std::move(buffer_);
  buffer_bytes_ = 0;
  batch_.link_ = link;
  return result;
}

} // namespace edgecap::capture

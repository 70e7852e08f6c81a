#include "capture/packet_batch.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::capture {

packet_batch packet_batch::prefix(std::uint32_t n) const {
  if (n >= packets_)
    return *this;
  packet_batch result;
  result.bytes_ = bytes_;
  result.link_ = link_;
  result.packets_ = n;
  const auto* pos = data();
  for (std::uint32_t i = 0; i < n; ++i) {
    record_header header;
    std::memcpy(&header, pos, sizeof header);
    const auto time = header.time();
    if (i == 0)
      result.first_time_ = time;
    else if (time < result.last_time_)
      result.ordered_ = false;
    result.last_time_ = time;
    pos += sizeof header + header.captured_length;
  }
  result.size_bytes_ = static_cast<std::size_t>(pos - data());
  return result;
}

batch_builder::batch_builder(link_type link, std::size_t capacity_bytes)
  : capacity_bytes_(capacity_bytes) {
  batch_.link_ = link;
}

bool batch_builder::append(unix_ns time, const std::byte* data,
                           std::uint32_t captured_length,
                           std::uint32_t original_length) {
  const auto needed = sizeof(record_header) + captured_length;
  if (!empty() && buffer_.size() + needed > capacity_bytes_)
    return false;
  const record_header header{
    static_cast<std::uint32_t>(time / 1'000'000'000),
    static_cast<std::uint32_t>(time % 1'000'000'000), captured_length,
    original_length};
  const auto* bytes = reinterpret_cast<const std::byte*>(&header);
  buffer_.insert(buffer_.end(), bytes, bytes + sizeof header);
  buffer_.insert(buffer_.end(), data, data + captured_length);
  if (empty())
    batch_.first_time_ = time;
  else if (time < batch_.last_time_)
    batch_.ordered_ = false;
  batch_.last_time_ = time;
  ++batch_.packets_;
  return true;
}

packet_batch batch_builder::take() {
  const auto link = batch_.link_;
  batch_.size_bytes_ = buffer_.size();
  // The next batch will likely be as large as this one.
  const auto hint = std::min(buffer_.size(), capacity_bytes_);
  batch_.bytes_
    = std::make_shared<const std::vector<std::byte>>(std::move(buffer_));
  buffer_ = {};
  buffer_.reserve(hint);
  auto result = std::exchange(batch_, {});
  batch_.link_ = link;
  return result;
}

} // namespace edgecap::capture

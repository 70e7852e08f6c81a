#include "capture/savefile.hpp"

#include "capture/run_reader.hpp"

#include <algorithm>
#include <cstring>

namespace edgecap::capture {

namespace {

constexpr std::uint32_t magic_nanoseconds = 0xa1b23c4d;
constexpr std::uint32_t magic_microseconds = 0xa1b2c3d4;

/// pcap-savefile(5).
struct file_header {
  std::uint32_t magic = 0;
  std::uint16_t version_major = 2;
  std::uint16_t version_minor = 4;
  std::int32_t reserved_zone = 0;
  std::uint32_t reserved_accuracy = 0;
  std::uint32_t snaplen = 0;
  std::uint32_t link = 0;
};

static_assert(sizeof(file_header) == savefile_header_bytes);

} // namespace

std::array<std::byte, savefile_header_bytes>
savefile_header(link_type link, std::uint32_t snaplen_bytes,
                time_precision precision) {
  file_header header;
  header.magic = precision == time_precision::nanoseconds ? magic_nanoseconds
                                                          : magic_microseconds;
  header.snaplen = snaplen_bytes;
  header.link = static_cast<std::uint32_t>(link);
  std::array<std::byte, savefile_header_bytes> result;
  std::memcpy(result.data(), &header, sizeof header);
  return result;
}

std::optional<run_header>
parse_run_header(const std::array<std::byte, savefile_header_bytes>& bytes) {
  file_header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != magic_nanoseconds || header.version_major != 2
      || header.version_minor != 4)
    return std::nullopt;
  return run_header{static_cast<link_type>(header.link), header.snaplen};
}

expected<run_summary> scan_run(file_system& files,
                               const std::filesystem::path& path) {
  auto reader = run_reader::open(files, path);
  if (!reader)
    return tl::unexpected<capture_error>{reader.error()};
  run_summary result;
  result.link = reader->header().link;
  result.snaplen_bytes = reader->header().snaplen_bytes;
  unix_ns last = 0;
  for (;;) {
    const auto more = reader->fill();
    if (!more)
      return tl::unexpected<capture_error>{more.error()};
    if (!*more)
      break;
    const auto header = reader->front_header();
    result.ordered = result.ordered && header.time() >= last;
    last = header.time();
    result.last_time = std::max(result.last_time, last);
    result.captured_bytes += header.captured_length;
    ++result.packets;
    reader->pop();
  }
  result.whole_bytes = reader->position();
  result.torn = reader->torn();
  result.damaged = reader->damaged();
  const auto size = reader->file_bytes();
  if (!size)
    return tl::unexpected<capture_error>{size.error()};
  result.rest_bytes = *size - std::min(*size, result.whole_bytes);
  return result;
}

} // namespace edgecap::capture

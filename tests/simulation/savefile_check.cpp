#include "tests/simulation/savefile_check.hpp"

#include <cstring>

namespace edgecap::simulation {

namespace {

constexpr std::uint32_t nanosecond_magic = 0xa1b23c4d;
constexpr std::uint32_t microsecond_magic = 0xa1b2c3d4;
constexpr std::uint32_t linktype_linux_sll2 = 276;

std::uint32_t number_at(const std::string& bytes, std::size_t offset) {
  std::uint32_t result = 0;
  std::memcpy(&result, bytes.data() + offset, sizeof result);
  return result;
}

} // namespace

found_savefile read_pcap(const std::string& bytes) {
  found_savefile result;
  if (bytes.size() < 24) {
    result.fault = "it has no header";
    return result;
  }
  const auto magic = number_at(bytes, 0);
  if (magic != nanosecond_magic && magic != microsecond_magic) {
    result.fault = "it is no savefile";
    return result;
  }
  result.microseconds = magic == microsecond_magic;
  result.link_header_added = number_at(bytes, 20) == linktype_linux_sll2;
  const auto unit = result.microseconds ? 1000 : 1;
  std::size_t at = 24;
  while (at < bytes.size()) {
    if (bytes.size() - at < 16
        || bytes.size() - at - 16 < number_at(bytes, at + 8)) {
      result.fault = "its last record is torn";
      return result;
    }
    found_record x;
    x.time = capture::unix_ns{number_at(bytes, at)} * 1'000'000'000
             + capture::unix_ns{number_at(bytes, at + 4)} * unit;
    x.captured_length = number_at(bytes, at + 8);
    const auto* data
      = reinterpret_cast<const std::byte*>(bytes.data() + at + 16);
    const auto identity = identify(data, x.captured_length);
    if (!identity) {
      result.fault = "record " + std::to_string(result.records.size())
                     + " is no packet that was ever delivered";
      return result;
    }
    x.identity = *identity;
    result.records.push_back(x);
    at += 16 + x.captured_length;
  }
  return result;
}

std::uint64_t count_pcapng(const std::string& bytes, std::string& fault) {
  constexpr std::uint32_t enhanced_packet_block = 6;
  std::uint64_t result = 0;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto left = bytes.size() - at;
    const auto length = left < 12 ? 0 : number_at(bytes, at + 4);
    if (length < 12 || length > left || length % 4 != 0
        || number_at(bytes, at + length - 4) != length) {
      fault = "its last block is torn";
      return result;
    }
    if (number_at(bytes, at) == enhanced_packet_block)
      ++result;
    at += length;
  }
  if (at == 0)
    fault = "it is empty";
  return result;
}

} // namespace edgecap::simulation

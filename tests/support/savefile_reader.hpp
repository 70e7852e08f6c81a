#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace edgecap::test {

/// One record of a classic savefile.
struct read_record {
  std::int64_t time_ns = 0;
  std::uint32_t original_length = 0;
  std::string bytes;

  friend bool operator==(const read_record& x, const read_record& y) {
    return x.time_ns == y.time_ns && x.original_length == y.original_length
           && x.bytes == y.bytes;
  }
};

/// A classic savefile as libpcap reads it: an opinion of its own on what our
/// writers made.
struct read_savefile {
  int link_type = -1;
  std::vector<read_record> records;
  /// Why reading ended early; empty for a whole savefile.
  std::string error;
};

/// Reads a savefile to its end, or to where it is torn.
read_savefile read_pcap(const std::filesystem::path& file);

} // namespace edgecap::test

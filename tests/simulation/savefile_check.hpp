#pragma once

#include "capture/packet_batch.hpp"
#include "tests/simulation/network.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace edgecap::simulation {

/// One record of a savefile.
struct found_record {
  capture::unix_ns time = 0; ///< As far as the file is exact.
  std::uint32_t captured_length = 0;
  packet_identity identity;
};

/// What a savefile holds. Read with no code of the engine's.
struct found_savefile {
  std::vector<found_record> records;
  bool microseconds = false;
  bool link_header_added = false; ///< LINUX_SLL2.
  std::string fault; ///< Why it is no whole savefile of ours; empty if it is.
};

/// Takes a classic savefile apart.
found_savefile read_pcap(const std::string& bytes);

/// Counts the packets of a pcapng file; says in `fault` why it is not whole.
std::uint64_t count_pcapng(const std::string& bytes, std::string& fault);

} // namespace edgecap::simulation

#pragma once

#include "actors/follower.hpp"
#include "capture/savefile.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::test {

/// A follower that notes what it is told. For tests in one thread.
class recording_follower : public follower {
public:
  void begin(const std::string& savefile_header) override {
    ++begins;
    std::array<std::byte, capture::savefile_header_bytes> bytes{};
    if (savefile_header.size() == bytes.size())
      std::transform(savefile_header.begin(), savefile_header.end(),
                     bytes.begin(),
                     [](char c) { return static_cast<std::byte>(c); });
    if (const auto header = capture::parse_run_header(bytes))
      link = header->link;
  }

  bool take(const capture::packet_batch& packets) override {
    if (gone)
      return false;
    batches.push_back(packets);
    return true;
  }

  void miss(std::uint64_t packets) override {
    missed += packets;
  }

  void end(bool complete) override {
    ends.push_back(complete);
  }

  std::uint64_t packets() const {
    std::uint64_t result = 0;
    for (const auto& each : batches)
      result += each.packets();
    return result;
  }

  int begins = 0;
  std::optional<capture::link_type> link; ///< What the header says.
  std::vector<capture::packet_batch> batches;
  std::uint64_t missed = 0;
  std::vector<bool> ends;
  bool gone = false; ///< Takes no more, as a client that has left.
};

} // namespace edgecap::test

#pragma once

#include "tests/fuzz/campaign/player.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <iosfwd>

namespace edgecap::fuzz {

/// What a campaign did, in numbers. Not thread-safe.
class tally {
public:
  void add(const scenario& what, const outcome& became);
  void add(const tally& other);

  /// Prints the numbers, one line each, as "name value".
  void print(std::ostream& out, std::chrono::duration<double> took) const;

private:
  std::uint64_t connections_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t closed_unanswered_ = 0;
  std::array<std::uint64_t, 600> statuses_{};
};

} // namespace edgecap::fuzz

#include "actors/clock_comparison.hpp"

#include <algorithm>

namespace edgecap {

void clock_comparison::add(unix_ns asked, std::chrono::nanoseconds round_trip,
                           unix_ns theirs) {
  const auto half = std::max<std::int64_t>(round_trip.count(), 0) / 2;
  last_[count_ % remembered]
    = {theirs - (asked + half), static_cast<std::uint64_t>(half)};
  ++count_;
}

std::optional<clock_reading> clock_comparison::reading() const {
  const auto end
    = last_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, remembered));
  const auto best
    = std::min_element(last_.begin(), end, [](const auto& x, const auto& y) {
        return x.error_ns < y.error_ns;
      });
  if (best == end)
    return std::nullopt;
  return *best;
}

} // namespace edgecap

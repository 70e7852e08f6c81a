#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>

// Numbers as an operator writes them: with their unit.
namespace edgecap::config {

/// What an amount counts. The number inside is always in the smallest unit.
enum class amount_kind {
  count,    ///< Plain numbers.
  bytes,    ///< "2MiB": B, KiB, MiB, GiB, TiB; inside bytes.
  duration, ///< "10s": ms, s, m, h, d; inside milliseconds.
};

/// What an amount may be.
struct amount_rule {
  amount_kind kind = amount_kind::count;
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  /// Must be a multiple of this: 1000 where a setting is kept in seconds.
  std::uint64_t step = 1;
};

/// Reads `text`, or says what is wrong with it.
tl::expected<std::uint64_t, std::string> parse_amount(std::string_view text,
                                                      const amount_rule& rule);

/// `value` in the largest unit that holds it exactly: "160B", "2MiB", "5m".
std::string format_amount(std::uint64_t value, amount_kind kind);

/// "1ms to 1s"
std::string format_range(const amount_rule& rule);

} // namespace edgecap::config

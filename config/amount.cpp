#include "config/amount.hpp"

#include "config/wording.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace edgecap::config {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// From the smallest to the largest.
const std::vector<unit>& units_of(amount_kind kind) {
  static const std::vector<unit> none;
  static const std::vector<unit> bytes{{"B", 1},
                                       {"KiB", 1ull << 10},
                                       {"MiB", 1ull << 20},
                                       {"GiB", 1ull << 30},
                                       {"TiB", 1ull << 40}};
  static const std::vector<unit> durations{
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  switch (kind) {
  case amount_kind::bytes:
    return bytes;
  case amount_kind::duration:
    return durations;
  case amount_kind::count:
    break;
  }
  return none;
}

std::string unit_names(amount_kind kind) {
  std::vector<std::string_view> names;
  for (const auto& x : units_of(kind))
    names.push_back(x.name);
  return join(names);
}

bool is_digit(char x) {
  return x >= '0' && x <= '9';
}

// The number that `digits` spell, or the largest there is: no range reaches
// that far, so that an overflow is reported as out of range.
std::uint64_t saturating_number(std::string_view digits) {
  std::uint64_t result = 0;
  for (auto digit : digits)
    if (__builtin_mul_overflow(result, std::uint64_t{10}, &result)
        || __builtin_add_overflow(
          result, static_cast<std::uint64_t>(digit - '0'), &result))
      return std::numeric_limits<std::uint64_t>::max();
  return result;
}

std::string example(amount_kind kind) {
  switch (kind) {
  case amount_kind::bytes:
    return "is not a whole number with a unit, such as 2MiB";
  case amount_kind::duration:
    return "is not a whole number with a unit, such as 10s";
  case amount_kind::count:
    break;
  }
  return "is not a whole number";
}

} // namespace

tl::expected<std::uint64_t, std::string> parse_amount(std::string_view text,
                                                      const amount_rule& rule) {
  auto bad = [&](const std::string& what) {
    return tl::make_unexpected(quoted(text) + ' ' + what);
  };
  auto rest = text;
  const bool negative = !rest.empty() && rest.front() == '-';
  if (negative)
    rest.remove_prefix(1);
  const auto digits_end = std::find_if_not(rest.begin(), rest.end(), is_digit);
  const auto digits
    = rest.substr(0, static_cast<std::size_t>(digits_end - rest.begin()));
  auto suffix = rest.substr(digits.size());
  if (digits.empty())
    return bad(example(rule.kind));
  // YAML 1.1 would read octal, 1.2 decimal; we do not guess.
  if (digits.size() > 1 && digits.front() == '0')
    return bad("begins with 0: write the number without leading zeros");
  auto value = saturating_number(digits);
  const auto& units = units_of(rule.kind);
  if (units.empty()) {
    if (!suffix.empty())
      return bad(example(rule.kind));
  } else {
    if (suffix.empty())
      return bad("has no unit: use one of " + unit_names(rule.kind));
    if (suffix.front() == '.' || suffix.front() == ',')
      return bad(example(rule.kind));
    if (suffix.front() == ' ')
      suffix.remove_prefix(1);
    const auto found
      = std::find_if(units.begin(), units.end(),
                     [&](const unit& x) { return x.name == suffix; });
    if (found == units.end())
      return bad("has the unknown unit " + quoted(suffix) + ": use one of "
                 + unit_names(rule.kind));
    if (__builtin_mul_overflow(value, found->factor, &value))
      value = std::numeric_limits<std::uint64_t>::max();
  }
  if ((negative && value != 0) || value < rule.min || value > rule.max)
    return bad("is out of range: must be " + format_range(rule));
  if (value % rule.step != 0)
    return bad("is too fine: must be a multiple of "
               + format_amount(rule.step, rule.kind));
  return value;
}

std::string format_amount(std::uint64_t value, amount_kind kind) {
  const auto& units = units_of(kind);
  if (units.empty())
    return std::to_string(value);
  auto best = units.front();
  for (const auto& x : units)
    if (value != 0 && value % x.factor == 0)
      best = x;
  return std::to_string(value / best.factor).append(best.name);
}

std::string format_range(const amount_rule& rule) {
  return format_amount(rule.min, rule.kind) + " to "
         + format_amount(rule.max, rule.kind);
}

} // namespace edgecap::config

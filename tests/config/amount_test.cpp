#include "config/amount.hpp"

#include <gtest/gtest.h>

namespace edgecap::config {
namespace {

constexpr amount_rule any_count{amount_kind::count, 0, ~std::uint64_t{0} - 1};
constexpr amount_rule any_bytes{amount_kind::bytes, 0, ~std::uint64_t{0} - 1};
constexpr amount_rule any_duration{amount_kind::duration, 0,
                                   ~std::uint64_t{0} - 1};

std::string error_of(std::string_view text, const amount_rule& rule) {
  auto result = parse_amount(text, rule);
  return result ? "no error, but " + std::to_string(*result) : result.error();
}

TEST(AmountTest, UnderstandsEveryUnit) {
  EXPECT_EQ(parse_amount("0", any_count), 0u);
  EXPECT_EQ(parse_amount("65535", any_count), 65535u);
  EXPECT_EQ(parse_amount("160B", any_bytes), 160u);
  EXPECT_EQ(parse_amount("256KiB", any_bytes), 256u << 10);
  EXPECT_EQ(parse_amount("2MiB", any_bytes), 2u << 20);
  EXPECT_EQ(parse_amount("10GiB", any_bytes), 10ull << 30);
  EXPECT_EQ(parse_amount("3TiB", any_bytes), 3ull << 40);
  EXPECT_EQ(parse_amount("2 MiB", any_bytes), 2u << 20);
  EXPECT_EQ(parse_amount("500ms", any_duration), 500u);
  EXPECT_EQ(parse_amount("10s", any_duration), 10000u);
  EXPECT_EQ(parse_amount("5m", any_duration), 300000u);
  EXPECT_EQ(parse_amount("2h", any_duration), 7200000u);
  EXPECT_EQ(parse_amount("7d", any_duration), 604800000u);
}

TEST(AmountTest, WantsAUnitWhereOneIsPossible) {
  EXPECT_EQ(error_of("2", any_bytes),
            "'2' has no unit: use one of B, KiB, MiB, GiB, TiB");
  EXPECT_EQ(error_of("10", any_duration),
            "'10' has no unit: use one of ms, s, m, h, d");
  EXPECT_EQ(error_of("10MB", any_bytes),
            "'10MB' has the unknown unit 'MB': use one of B, KiB, MiB, GiB, "
            "TiB");
  EXPECT_EQ(error_of("10S", any_duration),
            "'10S' has the unknown unit 'S': use one of ms, s, m, h, d");
  EXPECT_EQ(error_of("1h30m", any_duration),
            "'1h30m' has the unknown unit 'h30m': use one of ms, s, m, h, d");
}

TEST(AmountTest, WantsAWholeDecimalNumber) {
  EXPECT_EQ(error_of("", any_count), "'' is not a whole number");
  EXPECT_EQ(error_of("-", any_count), "'-' is not a whole number");
  EXPECT_EQ(error_of("+1", any_count), "'+1' is not a whole number");
  EXPECT_EQ(error_of("0x10", any_count), "'0x10' is not a whole number");
  EXPECT_EQ(error_of("1e3", any_count), "'1e3' is not a whole number");
  EXPECT_EQ(error_of("1.5MiB", any_bytes),
            "'1.5MiB' is not a whole number with a unit, such as 2MiB");
  EXPECT_EQ(error_of("s", any_duration),
            "'s' is not a whole number with a unit, such as 10s");
  EXPECT_EQ(error_of("010", any_count),
            "'010' begins with 0: write the number without leading zeros");
}

TEST(AmountTest, KeepsBothEndsOfTheRange) {
  constexpr amount_rule rule{amount_kind::bytes, 64 << 10, 1 << 30};
  EXPECT_EQ(parse_amount("64KiB", rule), 64u << 10);
  EXPECT_EQ(parse_amount("1GiB", rule), 1u << 30);
  EXPECT_EQ(error_of("65535B", rule),
            "'65535B' is out of range: must be 64KiB to 1GiB");
  EXPECT_EQ(error_of("1073741825B", rule),
            "'1073741825B' is out of range: must be 64KiB to 1GiB");
  EXPECT_EQ(error_of("-1MiB", rule),
            "'-1MiB' is out of range: must be 64KiB to 1GiB");
}

TEST(AmountTest, DoesNotWrapAround) {
  // 2^64 and 2^64 bytes: both would be 0 in 64 bits.
  EXPECT_EQ(error_of("18446744073709551616", {amount_kind::count, 0, 9}),
            "'18446744073709551616' is out of range: must be 0 to 9");
  EXPECT_EQ(error_of("16777216TiB", {amount_kind::bytes, 0, 9}),
            "'16777216TiB' is out of range: must be 0B to 9B");
}

TEST(AmountTest, KeepsTheStep) {
  constexpr amount_rule rule{amount_kind::duration, 1000, 60000, 1000};
  EXPECT_EQ(parse_amount("2000ms", rule), 2000u);
  EXPECT_EQ(error_of("1500ms", rule),
            "'1500ms' is too fine: must be a multiple of 1s");
}

TEST(AmountTest, FormatsWithTheLargestExactUnit) {
  EXPECT_EQ(format_amount(0, amount_kind::bytes), "0B");
  EXPECT_EQ(format_amount(1000, amount_kind::bytes), "1000B");
  EXPECT_EQ(format_amount(262144, amount_kind::bytes), "256KiB");
  EXPECT_EQ(format_amount(90000, amount_kind::duration), "90s");
  EXPECT_EQ(format_amount(604800000, amount_kind::duration), "7d");
  EXPECT_EQ(format_amount(1024, amount_kind::count), "1024");
}

} // namespace
} // namespace edgecap::config

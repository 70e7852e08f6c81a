#include "http/idempotency_key.hpp"

#include <gtest/gtest.h>

#include <string>

using namespace edgecap::http;

namespace {

request with_key(const std::string& value) {
  request result;
  result.headers["idempotency-key"] = value;
  return result;
}

} // namespace

TEST(IdempotencyKeyTest, IsOptional) {
  const auto key = parse_idempotency_key(request{});
  ASSERT_TRUE(key);
  EXPECT_EQ(*key, "");
}

TEST(IdempotencyKeyTest, IsTheSameQuotedOrBare) {
  const std::string uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
  for (const auto& text : {uuid, '"' + uuid + '"'}) {
    const auto key = parse_idempotency_key(with_key(text));
    ASSERT_TRUE(key) << text;
    EXPECT_EQ(*key, uuid);
  }
}

TEST(IdempotencyKeyTest, IsOpaque) {
  struct row {
    const char* text;
    const char* key;
  };
  const row rows[] = {
    {"!", "!"},
    {"~", "~"},
    {"a,b;c=d", "a,b;c=d"},
    {"a\\b", "a\\b"},
    {R"("a\\b")", "a\\b"},
    {R"("a\"b")", "a\"b"},
    {"Key", "Key"},
    {"key", "key"},
  };
  for (const auto& x : rows) {
    const auto key = parse_idempotency_key(with_key(x.text));
    ASSERT_TRUE(key) << x.text;
    EXPECT_EQ(*key, x.key);
  }
}

TEST(IdempotencyKeyTest, HasABoundedLength) {
  const std::string longest(max_idempotency_key_chars, 'k');
  EXPECT_TRUE(parse_idempotency_key(with_key(longest)));
  EXPECT_TRUE(parse_idempotency_key(with_key('"' + longest + '"')));
  EXPECT_FALSE(parse_idempotency_key(with_key(longest + 'k')));
  EXPECT_FALSE(parse_idempotency_key(with_key('"' + longest + "k\"")));
}

TEST(IdempotencyKeyTest, IsRefusedIfItIsNeitherForm) {
  for (const std::string text :
       {"", "\"\"", "\"", "\"a", "a\"", "a\"b", "\"a\"b\"", "\"a\";p=1",
        "\"a\", \"b\"", "a b", "\"a b\"", "a\tb", "\"a\\\"", "\"a\\b\"",
        "k\xC3\xA9y", "\x7F"}) {
    const auto key = parse_idempotency_key(with_key(text));
    ASSERT_FALSE(key) << text;
    EXPECT_EQ(key.error().status, 400);
    EXPECT_EQ(key.error().code, code::bad_idempotency_key);
    EXPECT_EQ(key.error().message,
              "Idempotency-Key must be 1 to 255 visible ASCII characters, bare "
              "or as one quoted string");
  }
}

#include "http/json_text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

// What is written is read back by the JSON library, which knows what is JSON.
namespace edgecap::http {

namespace {

using nlohmann::json;

std::string text_of(std::string_view x) {
  std::string result;
  append_string(result, x);
  return result;
}

TEST(JsonText, WritesAnyString) {
  for (const auto* text :
       {"", "eth0", "a b", "\"", "\\", "a\"b\\c", "\n\t\r", "\x01\x1f\x7f",
        "</script>", "für immer", "\xF0\x9F\x98\x80"})
    EXPECT_EQ(json::parse(text_of(text)), json(text)) << text;
  const std::string with_nul("a\0b", 3);
  EXPECT_EQ(json::parse(text_of(with_nul)), json(with_nul));
}

TEST(JsonText, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(json::parse(text_of("a\xFFz")), "a\xEF\xBF\xBDz");
  EXPECT_EQ(json::parse(text_of("cut \xE2\x82")), "cut \xEF\xBF\xBD");
}

TEST(JsonText, WritesObjects) {
  std::string text = "[";
  { object_text nothing{text}; }
  text += ',';
  {
    object_text x{text};
    x.add("text", "a\"b")
      .add("most", std::uint64_t{18446744073709551615u})
      .add("known", std::optional<std::uint64_t>{0})
      .add("unknown", std::optional<std::uint64_t>{})
      .add_null("nothing");
    object_text{x.begin("inner")}.add("n", std::uint64_t{1});
    x.begin("list") += "[1,2]";
  }
  text += ']';
  EXPECT_EQ(json::parse(text), json::parse(R"([{}, {
    "text": "a\"b", "most": 18446744073709551615, "known": 0, "unknown": null,
    "nothing": null, "inner": {"n": 1}, "list": [1, 2]}])"));
}

} // namespace

} // namespace edgecap::http

#include "http/strict_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

using namespace edgecap::http;
using testing::HasSubstr;

namespace {

api_error refusal(const std::string& text) {
  auto parsed = parse_strict(text);
  EXPECT_FALSE(parsed) << text;
  return parsed ? api_error{} : parsed.error();
}

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

} // namespace

TEST(StrictJsonTest, ReadsEveryKindOfValue) {
  for (const auto* text : {
         "null",
         "true",
         "-1",
         "18446744073709551615",
         "1.5",
         R"("x\u00e9\n")",
         "[]",
         "{}",
         R"([1,[2,{"a":[]}],{}])",
         R"({"a":{"b":[1,{"c":null}]},"d":"e"})",
         " \t\r\n{ \"a\" : 1 } \n",
       }) {
    const auto parsed = parse_strict(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
    EXPECT_EQ(*parsed, nlohmann::json::parse(text)) << text;
  }
}

TEST(StrictJsonTest, SkipsAByteOrderMarkAtTheBeginningOnly) {
  const auto parsed = parse_strict("\xEF\xBB\xBF{\"a\":1}");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, nlohmann::json({{"a", 1}}));
  EXPECT_EQ(refusal("{\xEF\xBB\xBF}").code, code::bad_json);
  EXPECT_EQ(refusal("\xEF\xBB{}").code, code::bad_json);
}

TEST(StrictJsonTest, RefusesWhatIsNotJson) {
  for (const auto* text : {
         " ",        "{",         "[1,]",    "{\"a\":1,}",
         "{a:1}",    "{'a':1}",   "{\"a\"}", "{\"a\":1 \"b\":2}",
         "// x\n{}", "/* x */{}", "NaN",     "Infinity",
         "01",       "+1",        ".5",      "1.",
         "0x1",      "\"\t\"",    "\"\\x\"", "\"\\ud800\"",
         "tru",      "]",
       }) {
    const auto error = refusal(text);
    EXPECT_EQ(error.status, 400) << text;
    EXPECT_EQ(error.code, code::bad_json) << text;
    EXPECT_EQ(error.pointer, "") << text;
    EXPECT_THAT(error.message, HasSubstr("not valid JSON at line ")) << text;
  }
}

TEST(StrictJsonTest, SaysThatABodyIsEmpty) {
  const auto error = refusal("");
  EXPECT_EQ(error.code, code::bad_json);
  EXPECT_THAT(error.message, HasSubstr("empty"));
}

TEST(StrictJsonTest, SaysWhere) {
  const auto place = [](const std::string& text) {
    const auto message = refusal(text).message;
    const auto from = message.find("line ");
    return message.substr(from, message.find(')') + 1 - from);
  };
  EXPECT_EQ(place("x"), "line 1, column 1 (byte 1)");
  EXPECT_EQ(place("{\"a\":1,}"), "line 1, column 8 (byte 8)");
  EXPECT_EQ(place("{\n \"a\": x\n}"), "line 2, column 7 (byte 9)");
  EXPECT_EQ(place("\n\n}"), "line 3, column 1 (byte 3)");
  // One behind the last byte.
  EXPECT_EQ(place("{\"a\":1"), "line 1, column 7 (byte 7)");
  EXPECT_EQ(place("[\n"), "line 2, column 1 (byte 3)");
}

TEST(StrictJsonTest, RefusesTrailingGarbage) {
  EXPECT_EQ(refusal("{} x").code, code::bad_json);
  EXPECT_EQ(refusal("{}{}").code, code::bad_json);
  // The parser's own end mark is garbage like any other.
  EXPECT_EQ(refusal(std::string("{}\0", 3)).code, code::bad_json);
  EXPECT_THAT(refusal(std::string("{}\n\0x", 5)).message,
              HasSubstr("line 2, column 1 (byte 4)"));
}

TEST(StrictJsonTest, RefusesInvalidUtf8) {
  for (const auto* bytes : {
         "\x80",             // continuation without a beginning
         "\xC3",             // beginning without a continuation
         "\xC0\xAF",         // overlong
         "\xED\xA0\x80",     // surrogate
         "\xF4\x90\x80\x80", // beyond U+10FFFF
         "\xFF",
       }) {
    EXPECT_EQ(refusal("{\"a\":\"" + std::string{bytes} + "\"}").code,
              code::bad_json);
    EXPECT_EQ(refusal("{\"" + std::string{bytes} + "\":1}").code,
              code::bad_json);
  }
}

TEST(StrictJsonTest, RefusesAMemberThatIsNamedTwice) {
  struct row {
    const char* text;
    const char* pointer;
  };
  for (const auto& x : {
         row{R"({"a":1,"a":1})", "/a"},
         row{R"({"a":1,"\u0061":1})", "/a"},
         row{R"({"":1,"":1})", "/"},
         row{R"({"f":{"p":1,"q":2,"p":3}})", "/f/p"},
         row{R"([{},{"x":[{"y":1,"y":2}]}])", "/1/x/0/y"},
         row{R"({"a/b~c":1,"a/b~c":1})", "/a~1b~0c"},
       }) {
    const auto error = refusal(x.text);
    EXPECT_EQ(error.code, code::bad_json) << x.text;
    EXPECT_EQ(error.pointer, x.pointer) << x.text;
    EXPECT_THAT(error.message, HasSubstr("twice")) << x.text;
  }
  // The same name in different objects is none.
  EXPECT_TRUE(parse_strict(R"([{"a":1},{"a":{"a":2}}])"));
}

TEST(StrictJsonTest, CutsALongNameInItsComplaint) {
  const std::string name(5000, 'n');
  const auto error = refusal("{\"" + name + "\":1,\"" + name + "\":2}");
  EXPECT_LT(error.message.size(), 300u);
  EXPECT_LT(error.pointer.size(), 300u);
}

TEST(StrictJsonTest, RefusesDeepNesting) {
  EXPECT_TRUE(parse_strict(nested(max_json_depth)));
  const auto error = refusal(nested(max_json_depth + 1));
  EXPECT_EQ(error.code, code::bad_json);
  EXPECT_THAT(error.message, HasSubstr("16 levels"));
  std::string pointer;
  for (std::size_t i = 0; i < max_json_depth; ++i)
    pointer += "/0";
  EXPECT_EQ(error.pointer, pointer);
  // The size of the text makes no difference: nothing recurses.
  EXPECT_EQ(refusal(std::string(1'000'000, '[')).code, code::bad_json);
}

TEST(StrictJsonTest, RefusesNumbersThatNoDoubleHolds) {
  struct row {
    const char* text;
    const char* pointer;
  };
  for (const auto& x : {
         row{"1e400", ""},
         row{R"({"a":-1e400})", "/a"},
         row{R"({"a":{"b":[1,1e309]}})", "/a/b/1"},
       }) {
    const auto error = refusal(x.text);
    EXPECT_EQ(error.status, 400) << x.text;
    EXPECT_EQ(error.code, code::out_of_range) << x.text;
    EXPECT_EQ(error.pointer, x.pointer) << x.text;
  }
  EXPECT_TRUE(parse_strict("1e308"));
  EXPECT_TRUE(parse_strict("1e-400")); // A double holds 0.
}

TEST(StrictJsonTest, EscapesPointers) {
  EXPECT_EQ(append_pointer("", "a"), "/a");
  EXPECT_EQ(append_pointer("/a", "b/c~d"), "/a/b~1c~0d");
  EXPECT_EQ(append_pointer("/a", ""), "/a/");
}

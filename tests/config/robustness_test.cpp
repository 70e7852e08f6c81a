#include "tests/config/support.hpp"

#include <cstdint>
#include <random>

// No input may throw, crash or hang: under the sanitizers, each of these would
// fail by itself. What must be said of them is in tests/config/broken.
namespace edgecap::config {
namespace {

std::string repeat(const std::string& unit, std::size_t bytes) {
  std::string result;
  while (result.size() + unit.size() <= bytes)
    result += unit;
  return result;
}

TEST(RobustnessTest, SurvivesWhatRepeats) {
  for (auto unit : {"[",     "{",        "- ",           "? ",
                    "a: ",   "!",        "&a ",          "*a ",
                    "'",     "\"",       "[a,",          "{a: ",
                    "a\n",   "- a\n",    "a: b\n",       "#\n",
                    " ",     "\n",       "%a\n",         "---\n",
                    "|",     "{a,",      "[[],",         "? a\n",
                    ": ",    "{}: ",     "[?",           "\"\\x",
                    "\t",    "\r",       "a: &a [*a]\n", "<<: {",
                    "...\n", "!!binary "})
    EXPECT_NE(faults_of(repeat(unit, 64u << 10)), "") << unit;
}

TEST(RobustnessTest, DoesNotFollowAliases) {
  // The billion laughs: 10^9 values if the aliases were followed.
  std::string text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 10; ++i) {
    const auto last = "*a" + std::to_string(i - 1);
    text += 'a' + std::to_string(i) + ": &a" + std::to_string(i) + " ["
            + repeat(last + ", ", 9 * (last.size() + 2)) + last + "]\n";
  }
  text += "accounts: *a9\n";
  auto result = load_text(text);
  EXPECT_NE(report(result, "f").find("f:11: accounts: is an alias"),
            std::string::npos);
}

TEST(RobustnessTest, LimitsValues) {
  EXPECT_EQ(faults_of("log: [" + repeat("a,", 200000) + "]\n"),
            "f:1: the file has more than 50000 values\n");
}

TEST(RobustnessTest, SurvivesEverySingleByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_NE(faults_of(text), "") << byte;
    // And as a value.
    faults_of(minimal + "node: {name: " + text + "}\n");
  }
}

TEST(RobustnessTest, SurvivesBadUtf8) {
  for (auto text : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                    "\xF4\x90\x80\x80", "\xF0\x9F\x98", "\xFF\xFE\x61", "\x80"})
    EXPECT_EQ(faults_of(minimal + "node:\n  name: " + text + '\n'),
              "f:9: the file is not UTF-8 text\n");
  EXPECT_EQ(faults_of(minimal + "node: # \xF0\x9F\x98\x80 \xED\x9F\xBF\n"), "");
}

TEST(RobustnessTest, RefusesControlCharactersThatYamlCanSpell) {
  for (auto text : {"\"a\\0b\"", "\"a\\nb\"", "\"a\\eb\"", "\"a\\x7Fb\""})
    EXPECT_EQ(faults_of(minimal + "storage:\n  directory: " + text + '\n'),
              "f:9: storage.directory: holds a control character or a line "
              "break\n")
      << text;
}

// A good file with bytes changed, removed or doubled: the same 2000 each run.
TEST(RobustnessTest, SurvivesMutations) {
  const auto good = slurp("deploy/edgecap.example.yaml");
  ASSERT_FALSE(good.empty());
  const std::string interesting = "\n\t :-[]{}&*!|>'\"%@`#?,0a\\\x80";
  std::mt19937 random{1};
  auto below = [&](std::size_t n) { return random() % n; };
  std::size_t refused = 0;
  for (int i = 0; i < 2000; ++i) {
    auto text = good;
    for (auto edits = 1 + below(4); edits > 0; --edits) {
      const auto pos = below(text.size());
      switch (below(3)) {
      case 0:
        text[pos] = interesting[below(interesting.size())];
        break;
      case 1:
        text.erase(pos, 1 + below(20));
        break;
      default:
        text.insert(pos, text.substr(below(text.size()), below(40)));
      }
    }
    refused += load_text(text).faults.empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 500u);
}

} // namespace
} // namespace edgecap::config

#include "config/describe.hpp"
#include "config/validate.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>

// Keeps what ships and what is written down in step with the loader.
namespace edgecap::config {
namespace {

using ::testing::HasSubstr;

const std::string example = "deploy/edgecap.example.yaml";

// The example with its commented options and alternatives put to work.
std::string uncommented(const std::string& text) {
  static const std::regex option{R"((^|\n)( *)#(?=[a-z-]))"};
  return std::regex_replace(text, option, "$1$2");
}

// The paths that a file gives, with [] and * as `describe` has them.
std::set<std::string> generic_paths(const settings& x) {
  static const std::regex index{R"(\[\d+\])"};
  static const std::regex system{R"(^systems\.[^.]+)"};
  std::set<std::string> result;
  for (const auto& [path, line] : x.lines)
    result.insert(std::regex_replace(std::regex_replace(path, index, "[]"),
                                     system, "systems.*"));
  return result;
}

TEST(DeployTest, BothFilesLoadOnAHostWithLoopbackOnly) {
  for (const auto& file : {example, std::string{"deploy/quickstart.yaml"}}) {
    auto result = load_file(file);
    add_faults(result, missing_interfaces(result.values, {"lo"}));
    EXPECT_EQ(report(result, file), "");
  }
}

TEST(DeployTest, TheExampleNamesEveryKey) {
  const auto text = slurp(example);
  auto result = load_text(uncommented(text));
  ASSERT_EQ(report(result, example), "");
  ASSERT_NE(uncommented(text), text);
  const auto given = generic_paths(result.values);
  for (const auto& key : describe())
    EXPECT_EQ(given.count(key.path), 1u) << key.path;
}

TEST(DeployTest, TheExampleShowsTheDefaults) {
  auto values = load_file(example).values;
  const auto shown = describe(values);
  const auto defaults = describe();
  ASSERT_EQ(shown.size(), defaults.size());
  for (std::size_t i = 0; i < shown.size(); ++i)
    EXPECT_EQ(shown[i].value, defaults[i].value) << shown[i].path;
  ASSERT_EQ(values.systems.size(), 1u);
  ASSERT_EQ(values.systems[0].interfaces.size(), 1u);
  const auto& item = values.systems[0].interfaces[0];
  const interface_settings unset;
  EXPECT_EQ(item.sampling_one_in, unset.sampling_one_in);
  EXPECT_EQ(item.snaplen_bytes, unset.snaplen_bytes);
  EXPECT_EQ(item.promiscuous, unset.promiscuous);
}

TEST(DeployTest, TheExampleTellsEveryRange) {
  // In the comment above the key, across its line breaks.
  static const std::regex line_break{R"(\n *# )"};
  const auto text = std::regex_replace(slurp(example), line_break, " ");
  for (const auto& key : describe())
    if (key.allowed.find("bytes of text") == std::string::npos
        && key.allowed.find("list of") == std::string::npos
        && key.allowed != "true, false" && key.allowed != "json, text")
      EXPECT_THAT(text, HasSubstr(key.allowed)) << key.path;
}

TEST(DeployTest, TheDocumentationHasARowForEveryKey) {
  std::istringstream in{slurp("docs/configuration.md")};
  std::map<std::string, std::string> rows;
  for (std::string line; std::getline(in, line);)
    if (line.rfind("| `", 0) == 0)
      EXPECT_TRUE(
        rows.emplace(line.substr(3, line.find('`', 3) - 3), line).second)
        << line;
  for (const auto& key : describe()) {
    EXPECT_THAT(rows[key.path], HasSubstr("| `" + key.path + "` | " + key.value
                                          + " | " + key.allowed + " | "));
    rows.erase(key.path);
  }
  for (const auto& [path, row] : rows)
    ADD_FAILURE() << "there is no key " << path;
}

} // namespace
} // namespace edgecap::config

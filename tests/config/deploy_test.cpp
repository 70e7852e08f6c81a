#include "config/describe.hpp"
#include "config/difference.hpp"
#include "config/validate.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <sstream>
#include <vector>

// Keeps what ships and what is written down in step with the loader.
namespace edgecap::config {
namespace {

using ::testing::HasSubstr;

const std::string example = "deploy/edgecap.example.yaml";

// The lines of `text`, without their ends.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    result.push_back(line);
  return result;
}

// The example with its commented options and alternatives put to work: '#'
// directly before a key or a list item.
std::string uncommented(const std::string& text) {
  std::string result;
  for (auto line : lines_of(text)) {
    const auto pos = line.find_first_not_of(' ');
    if (pos != std::string::npos && line[pos] == '#' && pos + 1 < line.size()
        && line[pos + 1] != ' ')
      line.erase(pos, 1);
    result += line + '\n';
  }
  return result;
}

// All comments in one line, so that a sentence may be looked for.
std::string comments_of(const std::string& text) {
  std::string result;
  for (const auto& line : lines_of(text))
    if (auto pos = line.find("# "); pos != std::string::npos)
      result += line.substr(pos + 2) + ' ';
  return result;
}

// A path with [] and * as `describe` has them.
std::string generic_path(std::string path) {
  for (auto pos = path.find('['); pos != std::string::npos;
       pos = path.find('[', pos + 1))
    path.erase(pos + 1, path.find(']', pos) - pos - 1);
  const std::string systems = "systems.";
  if (path.rfind(systems, 0) == 0)
    path.replace(systems.size(),
                 path.find('.', systems.size()) - systems.size(), "*");
  return path;
}

std::set<std::string> generic_paths(const settings& x) {
  std::set<std::string> result;
  for (const auto& entry : x.lines)
    result.insert(generic_path(entry.first));
  return result;
}

TEST(DeployTest, EveryFileLoadsOnAHostWithLoopbackOnly) {
  for (const auto& file : {example, std::string{"deploy/quickstart.yaml"},
                           std::string{"deploy/fleet/collector.example.yaml"},
                           std::string{"deploy/fleet/edge.example.yaml"}}) {
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
  const auto text = comments_of(slurp(example));
  const std::set<std::string> told_otherwise{"true, false", "json, text"};
  for (const auto& key : describe()) {
    if (key.allowed.find("bytes of text") != std::string::npos
        || key.allowed.find("list of") != std::string::npos
        || told_otherwise.count(key.allowed) > 0)
      continue;
    EXPECT_THAT(text, HasSubstr(key.allowed)) << key.path;
  }
}

TEST(DeployTest, TheDocumentationHasARowForEveryKey) {
  std::map<std::string, std::string> rows;
  for (const auto& line : lines_of(slurp("docs/configuration.md"))) {
    if (line.rfind("| `", 0) != 0)
      continue;
    const auto path = line.substr(3, line.find('`', 3) - 3);
    EXPECT_TRUE(rows.emplace(path, line).second) << line;
  }
  for (const auto& key : describe()) {
    EXPECT_THAT(
      rows[key.path],
      HasSubstr("| `" + key.path + "` | " + key.value + " | " + key.allowed
                + " | " + (is_live(key.path) ? "reload" : "restart") + " | "));
    rows.erase(key.path);
  }
  for (const auto& [path, row] : rows)
    ADD_FAILURE() << "there is no key " << path;
}

} // namespace
} // namespace edgecap::config

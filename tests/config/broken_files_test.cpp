#include "tests/config/support.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

// Each tests/config/broken/X.yaml must be answered with exactly X.expected.
namespace edgecap::config {
namespace {

namespace fs = std::filesystem;

const fs::path folder = "tests/config/broken";

std::vector<std::string> broken_files() {
  std::vector<std::string> result;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".yaml")
      result.push_back(entry.path().stem().string());
  std::sort(result.begin(), result.end());
  return result;
}

TEST(BrokenFilesTest, AreAnsweredExactly) {
  const auto names = broken_files();
  ASSERT_GE(names.size(), 10u) << "run from the project's root";
  for (const auto& name : names) {
    const auto file = name + ".yaml";
    const auto result = load_file((folder / file).string());
    EXPECT_FALSE(result.faults.empty()) << file;
    EXPECT_EQ(report(result, file),
              slurp((folder / (name + ".expected")).string()))
      << file;
  }
}

TEST(BrokenFilesTest, NeverRepeatSecrets) {
  const auto answer
    = report(load_file((folder / "plain_secrets.yaml").string()), "f");
  EXPECT_NE(answer, "");
  EXPECT_EQ(answer.find("my-secret"), std::string::npos) << answer;
}

} // namespace
} // namespace edgecap::config

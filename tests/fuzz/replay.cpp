// Feeds files to a fuzz target that was built without libFuzzer: its corpus and
// the inputs that once crashed it run as ordinary tests of every build.
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// The files at and below `place`, in an order that does not change.
/// @throws fs::filesystem_error if there is no such place.
std::vector<fs::path> files_of(const fs::path& place) {
  if (!fs::is_directory(place) && fs::exists(place))
    return {place};
  std::vector<fs::path> result;
  for (const auto& entry : fs::recursive_directory_iterator{place})
    // What is hidden is git's, not ours.
    if (entry.is_regular_file() && entry.path().filename().native()[0] != '.')
      result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

void feed(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  const std::vector<char> bytes{std::istreambuf_iterator<char>{in}, {}};
  // Before it runs: a crash leaves no time for it.
  std::fprintf(stderr, "%s: %zu bytes\n", file.c_str(), bytes.size());
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                         bytes.size());
}

} // namespace

int main(int count, char** arguments) {
  try {
    std::size_t fed = 0;
    for (auto i = 1; i < count; ++i)
      for (const auto& file : files_of(arguments[i])) {
        feed(file);
        ++fed;
      }
    std::fprintf(stderr, "%zu inputs\n", fed);
    return fed > 0 ? 0 : 1;
  } catch (const std::exception& x) {
    std::fprintf(stderr, "%s: %s\n", arguments[0], x.what());
    return 1;
  }
}

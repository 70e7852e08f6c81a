#include "config/load.hpp"

#include "config/reader.hpp"
#include "config/validate.hpp"
#include "config/yaml_document.hpp"

#include <tl/expected.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

namespace edgecap::config {

namespace {

void sort_by_line(std::vector<fault>& faults) {
  std::stable_sort(
    faults.begin(), faults.end(),
    [](const fault& x, const fault& y) { return x.line < y.line; });
}

// The whole file, or the system's words for why not.
tl::expected<std::string, std::string> read_file(const std::string& path) {
  auto failed = [](const char* what) {
    return tl::make_unexpected(std::string{"cannot "} + what + ": "
                               + std::strerror(errno));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return failed("open");
  std::string result;
  char buf[16384];
  // One byte too many is enough to know that the file is too large.
  while (result.size() <= max_file_bytes) {
    const auto n = ::read(fd, buf, sizeof(buf));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      auto error = failed("read");
      ::close(fd);
      return error;
    }
    if (n == 0)
      break;
    result.append(buf, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return result;
}

loaded load_checked(std::string_view yaml) {
  loaded result;
  if (auto root = parse_yaml(yaml, result.faults)) {
    result.values = read_settings(*root, result.faults);
    auto more = validate(result.values, result.faults);
    result.faults.insert(result.faults.end(), more.begin(), more.end());
  }
  sort_by_line(result.faults);
  return result;
}

} // namespace

loaded load_text(std::string_view yaml) {
  try {
    return load_checked(yaml);
  } catch (const std::exception& x) {
    // Out of memory at the worst; a daemon that cannot read its configuration
    // says so and ends.
    loaded result;
    result.faults.push_back(
      {"", 0, std::string{"cannot be read: "} + x.what()});
    return result;
  }
}

loaded load_file(const std::string& path) {
  auto text = read_file(path);
  if (text)
    return load_text(*text);
  loaded result;
  result.faults.push_back({"", 0, text.error()});
  return result;
}

void add_faults(loaded& x, const std::vector<fault>& more) {
  x.faults.insert(x.faults.end(), more.begin(), more.end());
  sort_by_line(x.faults);
}

std::string report(const loaded& x, const std::string& file) {
  std::string result;
  const auto shown = std::min(x.faults.size(), max_faults_shown);
  for (std::size_t i = 0; i < shown; ++i)
    result += to_string(x.faults[i], file) + '\n';
  if (shown < x.faults.size())
    result += file + ": " + std::to_string(x.faults.size() - shown)
              + " more faults are not shown\n";
  return result;
}

} // namespace edgecap::config

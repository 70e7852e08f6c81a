#include "tests/support/runs.hpp"

#include "capture/savefile.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace edgecap::test {

scoped_directory::scoped_directory() {
  auto pattern
    = (std::filesystem::temp_directory_path() / "edgecap-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::system_error{errno, std::generic_category(), "mkdtemp"};
  path_ = pattern;
}

scoped_directory::~scoped_directory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string run_bytes(capture::link_type link,
                      const std::vector<run_record>& records) {
  const auto header = capture::savefile_header(
    link, capture::max_captured_length, capture::time_precision::nanoseconds);
  std::string result(reinterpret_cast<const char*>(header.data()),
                     header.size());
  for (const auto& x : records) {
    const capture::record_header head{
      static_cast<std::uint32_t>(x.time / 1'000'000'000),
      static_cast<std::uint32_t>(x.time % 1'000'000'000),
      static_cast<std::uint32_t>(x.data.size()), x.original_length};
    result.append(reinterpret_cast<const char*>(&head), sizeof head);
    result.append(reinterpret_cast<const char*>(x.data.data()), x.data.size());
  }
  return result;
}

void write_file(const std::filesystem::path& file, const std::string& content) {
  std::ofstream out{file, std::ios::binary | std::ios::trunc};
  out << content << std::flush;
  if (!out)
    throw std::runtime_error{"cannot write " + file.string()};
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  if (!in)
    throw std::runtime_error{"cannot read " + file.string()};
  return {std::istreambuf_iterator<char>{in}, {}};
}

program_result run_program(const std::string& command) {
  const scoped_directory scratch;
  const auto errors = scratch / "errors";
  const auto whole = "{ " + command + "; } 2>'" + errors.string() + "'";
  auto* pipe = ::popen(whole.c_str(), "r");
  if (pipe == nullptr)
    throw std::runtime_error{"cannot run " + command};
  program_result result;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    result.output.append(buffer, n);
  result.status = ::pclose(pipe);
  result.errors = read_file(errors);
  return result;
}

} // namespace edgecap::test

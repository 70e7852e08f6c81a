#include "tests/support/runs.hpp"

#include "capture/savefile.hpp"

#include <cstdio>
#include <stdexcept>

namespace edgecap::test {

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

program_result run_program(const std::string& command) {
  const temp_directory scratch;
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

// Any bytes as a configuration: settings or faults, in the order of lines and
// in a report of bounded size; and reading them again says the same.
#include "config/load.hpp"
#include "config/validate.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>

namespace {

using namespace edgecap;
using fuzz::require;

void check(const config::loaded& x) {
  require(std::is_sorted(
            x.faults.begin(), x.faults.end(),
            [](const auto& a, const auto& b) { return a.line < b.line; }),
          "faults come in the order of lines");
  const auto text = config::report(x, "edgecap.yaml");
  const auto lines
    = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  require(lines == std::min(x.faults.size(), config::max_faults_shown + 1),
          "each fault is one line, and lines are bounded");
  if (!x.faults.empty())
    return;
  require(config::validate(x.values, {}).empty(), "what is loaded is valid");
  require(!x.values.accounts.empty() && !x.values.systems.empty(),
          "what is required is there");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  const auto first = config::load_text(text);
  check(first);
  require(config::report(config::load_text(text), "f")
            == config::report(first, "f"),
          "a configuration reads the same twice");
  return 0;
}

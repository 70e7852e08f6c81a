#include "config/reload.hpp"

#include "config/validate.hpp"

namespace edgecap::config {

reload plan_reload(const settings& running, const loaded& file) {
  reload result;
  if (!file.faults.empty()) {
    result.faults = file.faults;
    return result;
  }
  auto values = with_live_keys(running, file.values);
  // What is right in the file may be wrong beside what stays: a demo secret
  // whose file moves to loopback while the process still listens for everyone.
  result.faults = validate(values, {});
  if (!result.faults.empty())
    return result;
  result.changes = differences(running, file.values);
  result.values = std::move(values);
  return result;
}

} // namespace edgecap::config

#include "config/daemon/configuration.hpp"

#include "capture/live_source.hpp"
#include "config/validate.hpp"

namespace edgecap::daemon {

config::loaded load_configuration(const std::string& file) {
  auto result = config::load_file(file);
  const auto present = capture::list_interfaces();
  if (present)
    config::add_faults(result,
                       config::missing_interfaces(result.values, *present));
  return result;
}

} // namespace edgecap::daemon

#pragma once

#include "config/load.hpp"

#include <string>

namespace edgecap::daemon {

/// Loads the file and compares it with the host's interfaces. What has a fault
/// here neither starts nor is taken over by a daemon that runs.
config::loaded load_configuration(const std::string& file);

} // namespace edgecap::daemon

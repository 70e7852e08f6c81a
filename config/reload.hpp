#pragma once

#include "config/difference.hpp"
#include "config/load.hpp"
#include "config/settings.hpp"

#include <vector>

namespace edgecap::config {

/// What reading the configuration again comes to: all of it, or nothing.
struct reload {
  /// Why everything stays as it is; the rest is empty then.
  std::vector<fault> faults;
  /// What is in force from now on: as before where a restart is needed.
  settings values;
  std::vector<difference> changes;
};

/// Compares what runs with what the file says now.
reload plan_reload(const settings& running, const loaded& file);

} // namespace edgecap::config

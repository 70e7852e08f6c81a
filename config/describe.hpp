#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace edgecap::config {

/// One key that a configuration file may hold.
struct key_description {
  /// `systems.*.interfaces[].snaplen`: `*` stands for a name that the operator
  /// chooses, `[]` for each item.
  std::string path;
  /// As it could be written; "required" or "none" if there is no default.
  std::string value;
  /// What is allowed: "64KiB to 1GiB", "true, false".
  std::string allowed;
};

/// Every key that holds a value, in the order of the schema. What stands in
/// `x` is shown as the value; items of lists show their defaults.
std::vector<key_description> describe(settings x = {});

} // namespace edgecap::config

#pragma once

#include "config/settings.hpp"
#include "config/yaml_document.hpp"

#include <vector>

namespace edgecap::config {

/// Reads the mapping `root` along the schema. Appends what is wrong with it to
/// `faults`; a faulty key keeps its default. An item that cannot be read takes
/// its place in its list with its texts empty.
settings read_settings(const yaml_value& root, std::vector<fault>& faults);

} // namespace edgecap::config

#pragma once

#include "config/settings.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace edgecap::config {

/// Most faults that `report` shows.
constexpr std::size_t max_faults_shown = 100;

/// What a configuration file says.
struct loaded {
  /// Complete only if there are no faults: a faulty key keeps its default.
  settings values;
  /// Everything that is wrong, by line.
  std::vector<fault> faults;
};

/// Reads and validates a configuration. Never throws.
loaded load_text(std::string_view yaml);

/// Reads and validates the file at `path`. Never throws.
loaded load_file(const std::string& path);

/// Adds faults found later (see `missing_interfaces`), in the order of lines.
void add_faults(loaded& x, const std::vector<fault>& more);

/// The faults of `file` for the operator, one "FILE:LINE: PATH: MESSAGE" per
/// line and each line ended; empty if there are none. Beyond
/// `max_faults_shown`, the last line says how many there are more.
std::string report(const loaded& x, const std::string& file);

} // namespace edgecap::config

#pragma once

#include "config/settings.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The one place that knows yaml-cpp, whose exceptions stop here.
namespace edgecap::config {

/// Largest configuration file.
constexpr std::size_t max_file_bytes = 1u << 20;

/// Deepest nesting; the settings need 7.
constexpr std::size_t max_yaml_depth = 16;

/// Most values in a file, keys included.
constexpr std::size_t max_yaml_values = 50000;

/// A value in a YAML file, and where it stands.
struct yaml_value {
  enum class kind { null, scalar, sequence, mapping, alias };

  struct entry;

  kind type = kind::null;
  /// From 1. For a nested sequence or mapping, or no value at all, the line of
  /// its key: that is where an operator looks for it.
  int line = 1;
  std::string text;           ///< Of a scalar.
  bool is_quoted = false;     ///< The scalar stands in quotes or is a block.
  std::vector<entry> entries; ///< Of a sequence or mapping, in file order.
};

/// An item of a sequence (no key), or a key and its value.
struct yaml_value::entry {
  std::string key;
  int line = 1; ///< Of the key or item.
  yaml_value value;
};

/// Reads the one document in `text`. Appends what is wrong with the file as
/// YAML to `faults`. Returns nothing if that left no mapping to look at.
/// Never throws.
std::optional<yaml_value> parse_yaml(std::string_view text,
                                     std::vector<fault>& faults);

} // namespace edgecap::config

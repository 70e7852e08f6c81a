#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace edgecap::config {

/// What a configuration sets: the value of one key, or that there is an item.
struct key_value {
  /// `limits.collect.window`; an item of a list is known by its identity or, if
  /// it has none, by its place: `accounts[ID].credentials[NAME].rights`,
  /// `systems.NAME.interfaces[0].snaplen`.
  std::string path;
  std::string value;      ///< As it could be written; empty if there is none.
  bool is_secret = false; ///< Not to be shown to anybody.
  bool is_item = false;   ///< Its keys follow directly.
};

/// Everything that is set in `x`, by default or not, in the order of the
/// schema.
std::vector<key_value> key_values(settings x);

} // namespace edgecap::config

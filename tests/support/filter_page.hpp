#pragma once

#include "capture/filter.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::test {

/// The tables of docs/filter.md that say which filter matches which packet.
struct filter_matrix {
  std::vector<std::pair<std::string, capture::filter_fields>> filters;
  /// Names of the filters that match, by name of the packet.
  std::map<std::string, std::set<std::string>> matched_by;
};

/// @throws std::runtime_error if there is no such page.
const filter_matrix& filter_page();

} // namespace edgecap::test

#include "http/entity_tag.hpp"

#include <algorithm>

namespace edgecap::http {

std::string_view trim(std::string_view x) {
  const auto first = x.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return x.substr(first, x.find_last_not_of(" \t") - first + 1);
}

bool lists_entity_tag(std::string_view header, std::string_view quoted_etag,
                      bool weak) {
  if (trim(header) == "*")
    return true;
  // Our own tags contain no comma, so that others need not be understood.
  while (!header.empty()) {
    const auto comma = std::min(header.find(','), header.size());
    auto entry = trim(header.substr(0, comma));
    header.remove_prefix(std::min(comma + 1, header.size()));
    if (weak && entry.substr(0, 2) == "W/")
      entry.remove_prefix(2);
    if (entry == quoted_etag)
      return true;
  }
  return false;
}

} // namespace edgecap::http

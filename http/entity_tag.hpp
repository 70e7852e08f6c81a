#pragma once

#include <string_view>

// Entity tags of conditional requests (RFC 9110, 8.8.3 and 13.1).
namespace edgecap::http {

/// Without the white space around it.
std::string_view trim(std::string_view x);

/// Whether a list of entity tags, or `*`, has this one. In a weak comparison
/// `W/` does not count; in a strong one a weak tag matches nothing.
bool lists_entity_tag(std::string_view header, std::string_view quoted_etag,
                      bool weak);

} // namespace edgecap::http

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Strict percent-decoding (RFC 3986, 2.1) of path segments and queries.
namespace edgecap::http {

/// Most parameters in a query.
inline constexpr std::size_t max_query_parameters = 64;

/// Decodes `%XX`. Nothing else changes: `+` stays `+`, and `%00` and `%2F`
/// become the bytes they stand for, which no valid id contains. Returns nothing
/// if a `%` is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

/// Splits `a=1&b=2` and decodes names and values; here `+` is a space, as HTML
/// forms and URLSearchParams write it. A parameter without `=` has an empty
/// value; empty ones (`&&`) are left out. Returns nothing on a bad escape or
/// more than `max_query_parameters`.
std::optional<std::vector<std::pair<std::string, std::string>>>
parse_query(std::string_view query);

} // namespace edgecap::http

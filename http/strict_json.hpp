#pragma once

#include "http/errors.hpp"

#include <nlohmann/json.hpp>
#include <tl/expected.hpp>

#include <cstddef>
#include <string_view>

// JSON from outside, read so that nothing can be understood in two ways.
namespace edgecap::http {

/// Deepest nesting of objects and arrays that is read.
inline constexpr std::size_t max_json_depth = 16;

/// Reads one JSON text (RFC 8259) of valid UTF-8; a byte order mark at its
/// beginning is skipped. An error says where: line, column (in bytes) and byte,
/// all from 1. Other than most parsers, refuses an object that names a member
/// twice, nesting deeper than `max_json_depth` and numbers that no double can
/// hold; such an error also points at the member.
tl::expected<nlohmann::json, api_error> parse_strict(std::string_view text);

/// Appends a member to an RFC 6901 pointer.
std::string append_pointer(std::string pointer, std::string_view member);

} // namespace edgecap::http

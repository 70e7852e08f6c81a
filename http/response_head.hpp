#pragma once

#include "http/message.hpp"

#include <cstdint>
#include <string>

namespace edgecap::http {

/// Whether an answer can be written without breaking the framing: a status of
/// 200 to 599, header names that are tokens, values without control characters
/// (no response splitting), and none of the headers that `front` writes itself.
bool is_writable(const response& answer);

/// Whether answers with this status have a body (RFC 9110, 6.4.1).
bool has_body(int status);

/// The head of an answer up to and including the empty line, with Date,
/// Content-Length (where the status has a body) and Connection.
/// @pre is_writable(answer)
std::string response_head(const response& answer, std::uint64_t body_bytes,
                          bool keep_alive);

/// The same for a body of unknown length, behind which the connection ends.
/// @param chunked Whether it comes in chunks (RFC 9112, 7.1), as HTTP/1.0 does
///        not know them; otherwise the connection's end is the body's.
std::string live_response_head(const response& answer, bool chunked);

} // namespace edgecap::http

#pragma once

#include "http/message.hpp"

#include <string_view>

// The API's description, as it is served.
namespace edgecap::http {

/// http/openapi.yaml as JSON with the version of this program; made at build
/// time by deploy/cmake/embed_openapi.cpp.
extern const std::string_view openapi_json;

/// Answers a request for the description: 200, or 304 to a client that has it.
response openapi_response(const request& asked);

} // namespace edgecap::http

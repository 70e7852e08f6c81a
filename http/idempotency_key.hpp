#pragma once

#include "http/errors.hpp"
#include "http/message.hpp"

#include <tl/expected.hpp>

#include <cstddef>
#include <string>

namespace edgecap::http {

/// Longest idempotency key, in characters, without quotes and escapes.
inline constexpr std::size_t max_idempotency_key_chars = 255;

/// The key in a request's `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header), empty if it has none. The
/// quoted string of the draft and the bare form that many clients send are the
/// same key. Fails with 400 on what is neither.
tl::expected<std::string, api_error>
parse_idempotency_key(const request& asked);

} // namespace edgecap::http

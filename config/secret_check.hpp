#pragma once

#include <string>
#include <string_view>

namespace edgecap::config {

/// Whether `hash` is `sha256:<32 hex digits>:<64 hex digits>`, lower case.
bool is_secret_hash(std::string_view hash);

/// The salt's digits; only for what `is_secret_hash` accepts.
std::string salt_of(std::string_view hash);

/// Whether `hash` is the salted hash of `secret`. For secrets that everyone
/// knows: not in constant time.
bool is_hash_of(std::string_view hash, std::string_view secret);

} // namespace edgecap::config

#pragma once

#include <string>
#include <string_view>

namespace edgecap::http {

/// Hashes a secret with a fresh random salt, as the configuration wants it:
/// `sha256:<32 hex of salt>:<64 hex of SHA-256(salt bytes, secret bytes)>`.
/// One round is enough because secrets are machine-made: see
/// docs/adr/0004-secret-hashes.md.
std::string hash_secret(std::string_view secret);

/// Whether `secret` is the one that was hashed. Takes the same time whatever
/// differs (CRYPTO_memcmp). A malformed hash never matches.
bool verify_secret(std::string_view secret, std::string_view hash);

} // namespace edgecap::http

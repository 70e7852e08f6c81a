#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace edgecap::http {

using secret_salt = std::array<unsigned char, 16>;
using secret_digest = std::array<unsigned char, 32>;

/// What the configuration holds of a secret.
struct secret_hash {
  secret_salt salt{};
  secret_digest digest{};
};

/// SHA-256 of the salt's bytes, then the secret's. One round is enough because
/// secrets are machine-made: see docs/adr/0004-secret-hashes.md.
secret_digest digest_secret(const secret_salt& salt, std::string_view secret);

/// Reads `sha256:<32 hex of salt>:<64 hex of digest>`, in lower case.
std::optional<secret_hash> parse_secret_hash(std::string_view text);

/// Hashes a secret as the configuration wants it.
/// @param like a hash whose salt is taken; if it is none, a fresh one is drawn.
std::string hash_secret(std::string_view secret, std::string_view like = {});

} // namespace edgecap::http

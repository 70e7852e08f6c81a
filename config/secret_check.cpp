#include "config/secret_check.hpp"

#include <openssl/evp.h>

#include <cstddef>

namespace edgecap::config {

namespace {

constexpr std::string_view prefix = "sha256:";
constexpr std::size_t salt_digits = 32;
constexpr std::size_t digest_digits = 64;
constexpr std::string_view hex_digits = "0123456789abcdef";

// The bytes that `hex` spells; only for what `is_secret_hash` accepts.
std::string decode(std::string_view hex) {
  std::string result;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    result += static_cast<char>(hex_digits.find(hex[i]) * 16
                                + hex_digits.find(hex[i + 1]));
  return result;
}

} // namespace

bool is_secret_hash(std::string_view hash) {
  if (hash.size() != prefix.size() + salt_digits + 1 + digest_digits
      || hash.substr(0, prefix.size()) != prefix)
    return false;
  hash.remove_prefix(prefix.size());
  const auto salt = hash.substr(0, salt_digits);
  const auto digest = hash.substr(salt_digits + 1);
  return hash[salt_digits] == ':'
         && salt.find_first_not_of(hex_digits) == std::string_view::npos
         && digest.find_first_not_of(hex_digits) == std::string_view::npos;
}

std::string salt_of(std::string_view hash) {
  return std::string{hash.substr(prefix.size(), salt_digits)};
}

bool is_hash_of(std::string_view hash, std::string_view secret) {
  if (!is_secret_hash(hash))
    return false;
  const auto input
    = decode(hash.substr(prefix.size(), salt_digits)) + std::string{secret};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha256(),
                 nullptr)
      != 1)
    return false;
  const auto wanted = decode(hash.substr(hash.size() - digest_digits));
  return wanted == std::string{reinterpret_cast<const char*>(digest), size};
}

} // namespace edgecap::config

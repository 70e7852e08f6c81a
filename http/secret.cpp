#include "http/secret.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>
#include <stdexcept>
#include <tuple>

namespace edgecap::http {

namespace {

constexpr std::string_view prefix = "sha256:";
constexpr std::size_t salt_bytes = std::tuple_size_v<secret_salt>;
constexpr std::size_t digest_bytes = std::tuple_size_v<secret_digest>;

void append_hex(std::string& out, const unsigned char* data, std::size_t size) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < size; ++i) {
    out += digits[data[i] >> 4];
    out += digits[data[i] & 15];
  }
}

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

template <std::size_t N>
bool parse_hex(std::string_view text, std::array<unsigned char, N>& out) {
  if (text.size() != 2 * N)
    return false;
  for (std::size_t i = 0; i < N; ++i) {
    const auto high = hex_value(text[2 * i]);
    const auto low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return false;
    out[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return true;
}

} // namespace

std::optional<secret_hash> parse_secret_hash(std::string_view text) {
  secret_hash result;
  constexpr auto size = prefix.size() + 2 * salt_bytes + 1 + 2 * digest_bytes;
  constexpr auto colon = prefix.size() + 2 * salt_bytes;
  if (text.size() != size || text.substr(0, prefix.size()) != prefix
      || text[colon] != ':'
      || !parse_hex(text.substr(prefix.size(), 2 * salt_bytes), result.salt)
      || !parse_hex(text.substr(colon + 1), result.digest))
    return std::nullopt;
  return result;
}

secret_digest digest_secret(const secret_salt& salt, std::string_view secret) {
  // Made once: each of the two costs more than the hash.
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> sha256{
    EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free};
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>
    context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  secret_digest result{};
  if (!sha256 || !context
      || EVP_DigestInit_ex2(context.get(), sha256.get(), nullptr) != 1
      || EVP_DigestUpdate(context.get(), salt.data(), salt.size()) != 1
      || EVP_DigestUpdate(context.get(), secret.data(), secret.size()) != 1
      || EVP_DigestFinal_ex(context.get(), result.data(), nullptr) != 1)
    throw std::runtime_error("compute SHA-256: OpenSSL refused");
  return result;
}

std::string hash_secret(std::string_view secret, std::string_view like) {
  auto salt = secret_salt{};
  if (const auto given = parse_secret_hash(like))
    salt = given->salt;
  else if (RAND_bytes(salt.data(), static_cast<int>(salt.size())) != 1)
    throw std::runtime_error("draw a salt: the random generator failed");
  const auto digest = digest_secret(salt, secret);
  std::string result{prefix};
  append_hex(result, salt.data(), salt.size());
  result += ':';
  append_hex(result, digest.data(), digest.size());
  return result;
}

} // namespace edgecap::http

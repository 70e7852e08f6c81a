#include "http/openapi.hpp"

#include "http/entity_tag.hpp"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>
#include <string>

namespace edgecap::http {

namespace {

/// Bytes of the digest that make the tag: enough to tell versions apart.
constexpr unsigned tag_bytes = 16;

std::string make_quoted_etag() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_Digest(openapi_json.data(), openapi_json.size(), digest.data(),
                 nullptr, EVP_sha256(), nullptr)
      != 1)
    throw std::runtime_error("compute SHA-256: OpenSSL refused");
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result = "\"";
  for (unsigned i = 0; i < tag_bytes; ++i) {
    result += digits[digest[i] >> 4];
    result += digits[digest[i] & 15];
  }
  return result + '"';
}

} // namespace

response openapi_response(const request& asked) {
  static const auto etag = make_quoted_etag();
  response result;
  result.headers = {{"ETag", etag}, {"Cache-Control", "no-cache"}};
  if (lists_entity_tag(asked.header("if-none-match"), etag, true)) {
    result.status = 304;
    return result;
  }
  result.content_type = "application/json";
  result.body = openapi_json;
  return result;
}

} // namespace edgecap::http

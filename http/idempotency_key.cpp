#include "http/idempotency_key.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace edgecap::http {

namespace {

bool is_visible(char c) {
  return c >= 0x21 && c <= 0x7E;
}

/// What a quoted string says (RFC 8941, 3.3.3); nothing if it is none.
std::optional<std::string> unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"')
    return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"')
      return std::nullopt;
    if (text[i] == '\\'
        && (++i == text.size() || (text[i] != '"' && text[i] != '\\')))
      return std::nullopt;
    result += text[i];
  }
  return result;
}

} // namespace

tl::expected<std::string, api_error>
parse_idempotency_key(const request& asked) {
  const auto given = asked.headers.find("idempotency-key");
  if (given == asked.headers.end())
    return std::string{};
  const auto& text = given->second;
  const auto is_bare = text.find('"') == std::string::npos;
  auto key = is_bare ? std::optional<std::string>{text} : unquoted(text);
  if (key && !key->empty() && key->size() <= max_idempotency_key_chars
      && std::all_of(key->begin(), key->end(), is_visible))
    return std::move(*key);
  return tl::unexpected<api_error>{api_error{
    400, code::bad_idempotency_key,
    "Idempotency-Key must be 1 to " + std::to_string(max_idempotency_key_chars)
      + " visible ASCII characters, bare or as one quoted string",
    ""}};
}

} // namespace edgecap::http

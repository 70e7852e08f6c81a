#include "http/auth.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

namespace edgecap::http {

namespace {

constexpr std::string_view bearer_scheme = "bearer ";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// The token of `Authorization: Bearer TOKEN`; empty if it is anything else.
std::string_view bearer_token(std::string_view header) {
  if (header.size() <= bearer_scheme.size()
      || !std::equal(bearer_scheme.begin(), bearer_scheme.end(), header.begin(),
                     [](char x, char y) { return x == lower(y); }))
    return {};
  header.remove_prefix(bearer_scheme.size());
  const auto first = header.find_first_not_of(' ');
  return first == std::string_view::npos ? std::string_view{}
                                         : header.substr(first);
}

bool same_text(std::string_view x, std::string_view y) {
  return x.size() == y.size()
         && CRYPTO_memcmp(x.data(), y.data(), x.size()) == 0;
}

api_error missing(std::string message) {
  return {400, code::missing_credentials, std::move(message), ""};
}

/// Says what is missing when neither a token nor a whole pair is there.
api_error incomplete(std::string_view authorization, std::string_view email,
                     std::string_view key) {
  if (!authorization.empty())
    return missing("Missing bearer token: the header Authorization must be "
                   "\"Bearer <token>\"");
  if (!email.empty())
    return missing("Missing X-Auth-Key header: X-Auth-Email was given without "
                   "it");
  if (!key.empty())
    return missing("Missing X-Auth-Email header: X-Auth-Key was given without "
                   "it");
  return missing("Missing X-Auth-Key, X-Auth-Email or Authorization headers");
}

} // namespace

std::string_view to_string(right value) {
  switch (value) {
  case right::read:
    return "read";
  case right::write:
    return "write";
  case right::download:
    return "download";
  }
  return "invalid";
}

authenticator::authenticator(std::vector<credential> credentials,
                             secret_index::digest_function digest)
  : credentials_(std::move(credentials)), tokens_(digest),
    keys_(std::move(digest)) {
  for (std::size_t i = 0; i < credentials_.size(); ++i) {
    const auto& x = credentials_[i];
    (x.email.empty() ? tokens_ : keys_).add(x.secret_hash, i);
  }
}

tl::expected<const credential*, api_error>
authenticator::authenticate(const request& asked) const {
  const auto authorization = asked.header("authorization");
  const auto email = asked.header("x-auth-email");
  const auto key = asked.header("x-auth-key");
  const auto token = bearer_token(authorization);
  if (token.empty() && (email.empty() || key.empty()))
    return tl::unexpected<api_error>{incomplete(authorization, email, key)};
  const auto* found = find(token, email, key);
  if (found == nullptr)
    return tl::unexpected<api_error>{bad_credentials_error()};
  return found;
}

const credential* authenticator::find(std::string_view token,
                                      std::string_view email,
                                      std::string_view key) const {
  const auto usable = [](std::string_view x) {
    return !x.empty() && x.size() <= max_secret_bytes;
  };
  const credential* by_token = nullptr;
  const credential* by_pair = nullptr;
  if (usable(token))
    for (const auto i : tokens_.find(token))
      by_token = &credentials_[i];
  // The key alone is hashed, so that a known address takes no longer.
  if (usable(key) && !email.empty())
    for (const auto i : keys_.find(key))
      if (same_text(email, credentials_[i].email))
        by_pair = &credentials_[i];
  return by_token != nullptr ? by_token : by_pair;
}

api_error bad_credentials_error() {
  return {403, code::bad_credentials, "Authentication error", ""};
}

std::optional<api_error> authorize(const credential& who,
                                   std::string_view account_id, right needed) {
  // The same words as for a wrong secret: which accounts exist is nobody's
  // business.
  if (who.account_id != account_id)
    return bad_credentials_error();
  const auto allowed = needed == right::read    ? who.read
                       : needed == right::write ? who.write
                                                : who.download;
  if (allowed)
    return std::nullopt;
  return api_error{403, code::forbidden,
                   "Forbidden: this credential has no right to "
                     + std::string{needed == right::write  ? "change captures"
                                   : needed == right::read ? "see captures"
                                                           : "download packets"}
                     + " (" + std::string{to_string(needed)} + ")",
                   ""};
}

bool is_api_id(std::string_view text) {
  return text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

} // namespace edgecap::http

#pragma once

#include "http/errors.hpp"
#include "http/message.hpp"
#include "http/secret_index.hpp"
#include "http/server.hpp"

#include <tl/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Who asks, and what they may do. Pure: no sockets, no actors, no clock.
namespace edgecap::http {

/// What a route needs of a credential.
enum class right : std::uint8_t { read, write, download };

/// Name of the right, as the configuration spells it.
std::string_view to_string(right value);

/// Longest token or key that is looked at; a longer one is wrong. Bounds the
/// work that an unknown client can cause.
inline constexpr std::size_t max_secret_bytes = 512;

/// Finds the credential that a request authenticates with. Immutable, hence
/// usable on any thread.
class authenticator {
public:
  /// @param digest what hashes secrets; tests count its calls.
  explicit authenticator(std::vector<credential> credentials,
                         secret_index::digest_function digest = digest_secret);

  /// The credential, or 400/9106 if none is given in full, or 403/10000 if the
  /// ones given are wrong. With both a bearer token and a pair, either will
  /// do; the token counts first. Costs the same number of hashes for unknown
  /// and for wrong ones, and does not depend on how many there are (see
  /// secret_index). The pointer lives as long as this object.
  tl::expected<const credential*, api_error>
  authenticate(const request& asked) const;

private:
  const credential* find(std::string_view token, std::string_view email,
                         std::string_view key) const;

  std::vector<credential> credentials_;
  // Both by the index of the credential.
  secret_index tokens_;
  secret_index keys_;
};

/// The answer to those who give no valid credential for an account.
api_error bad_credentials_error();

/// Whether `who` may do what takes `needed` in the account of the path, or why
/// not: 403/10000 in another account, 403/10001 without the right.
std::optional<api_error> authorize(const credential& who,
                                   std::string_view account_id, right needed);

/// Whether `text` is an id as the API has them: 32 lower-case hex characters.
bool is_api_id(std::string_view text);

} // namespace edgecap::http

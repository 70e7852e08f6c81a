#pragma once

#include "http/secret.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace edgecap::http {

/// Finds which of many hashed secrets one is. Costs one hash for each
/// different salt, however many secrets there are, and the same for a secret
/// that is wrong as for one that is unknown; see
/// docs/adr/0009-secrets-that-share-salts.md. Immutable once filled, hence
/// usable on any thread.
class secret_index {
public:
  using digest_function
    = std::function<secret_digest(const secret_salt&, std::string_view)>;

  /// @param digest what hashes; tests count its calls.
  explicit secret_index(digest_function digest = digest_secret);

  /// Adds the hash of a secret. A malformed one is not added: none fits it.
  void add(std::string_view hash, std::size_t id);

  /// The ids of those hashes that `secret` fits, ascending.
  std::vector<std::size_t> find(std::string_view secret) const;

private:
  struct entry {
    secret_digest digest;
    std::size_t id;
  };

  /// The hashes with one salt, by the beginning of their digests.
  struct group {
    secret_salt salt;
    std::unordered_multimap<std::uint64_t, entry> entries;
  };

  digest_function digest_;
  std::vector<group> groups_;
};

} // namespace edgecap::http

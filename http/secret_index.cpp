#include "http/secret_index.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace edgecap::http {

namespace {

std::uint64_t prefix_of(const secret_digest& digest) {
  std::uint64_t result = 0;
  std::memcpy(&result, digest.data(), sizeof result);
  return result;
}

bool same(const secret_digest& x, const secret_digest& y) {
  return CRYPTO_memcmp(x.data(), y.data(), x.size()) == 0;
}

} // namespace

secret_index::secret_index(digest_function digest)
  : digest_(std::move(digest)) {}

void secret_index::add(std::string_view hash, std::size_t id) {
  const auto parsed = parse_secret_hash(hash);
  if (!parsed)
    return;
  auto found
    = std::find_if(groups_.begin(), groups_.end(),
                   [&](const group& x) { return x.salt == parsed->salt; });
  if (found == groups_.end())
    found = groups_.insert(found, {parsed->salt, {}});
  found->entries.emplace(prefix_of(parsed->digest), entry{parsed->digest, id});
}

std::vector<std::size_t> secret_index::find(std::string_view secret) const {
  std::vector<std::size_t> result;
  for (const auto& each : groups_) {
    const auto digest = digest_(each.salt, secret);
    // Which digests begin like this one, the client may learn: it says nothing
    // about a secret that begins like another. The rest takes the same time
    // whatever differs.
    const auto [first, last] = each.entries.equal_range(prefix_of(digest));
    for (auto i = first; i != last; ++i)
      if (same(digest, i->second.digest))
        result.push_back(i->second.id);
  }
  std::sort(result.begin(), result.end());
  return result;
}

} // namespace edgecap::http

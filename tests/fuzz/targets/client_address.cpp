// Any X-Forwarded-For from a proxy that is trusted: whoever is believed to ask
// is the proxy or an address as the system writes it; and nobody believes a
// peer that is no proxy. Input: a line with the peer, then the header.
#include "http/client_address.hpp"

#include "tests/fuzz/target.hpp"

namespace {

using namespace edgecap;
using namespace edgecap::http;
using fuzz::require;

const trusted_proxies proxies{{"127.0.0.1", "::1", "192.0.2.1"}};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  fuzz::input_reader in{fuzz::text_of(data, size)};
  const auto peer = in.line();
  const auto forwarded_for = in.line();
  if (const auto address = canonical_address(forwarded_for))
    require(canonical_address(*address) == address,
            "an address is spelt in one way");
  const auto client = proxies.client_address(peer, forwarded_for);
  require(client == peer || canonical_address(client) == client,
          "a client is the peer or an address");
  require(proxies.contains(peer) || client == peer,
          "a stranger is not believed");
  return 0;
}

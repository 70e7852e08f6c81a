#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

// Who a request comes from, when proxies stand in front.
namespace edgecap::http {

/// An IPv4 or IPv6 literal as the system writes it, an IPv4-mapped one as
/// IPv4; nothing for anything else: names, ports, brackets, zones, blanks.
std::optional<std::string> canonical_address(std::string_view text);

/// Proxies that are believed when they say for whom they ask. Immutable.
class trusted_proxies {
public:
  /// @throws std::runtime_error unless all are IPv4 or IPv6 literals.
  explicit trusted_proxies(const std::vector<std::string>& addresses);

  /// Whether this address is one of theirs.
  bool contains(std::string_view address) const;

  /// Address of the client whose request came from `peer`, the other end of
  /// the connection, with this `X-Forwarded-For` (empty: none). A trusted peer
  /// is believed, and so is each further proxy that it names, from the last
  /// entry to the first that is no proxy of ours; what stands before that is
  /// the client's own claim. An entry that is no address ends the belief: then
  /// it is the peer.
  std::string client_address(const std::string& peer,
                             std::string_view forwarded_for) const;

private:
  std::unordered_set<std::string> addresses_;
};

} // namespace edgecap::http

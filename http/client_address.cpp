#include "http/client_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdexcept>
#include <utility>

namespace edgecap::http {

namespace {

std::string to_text(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, address, text, sizeof text);
  return text;
}

/// Cuts the last entry off a list.
std::string_view take_last(std::string_view& list) {
  constexpr std::string_view blanks = " \t";
  const auto comma = list.rfind(',');
  auto entry = comma == std::string_view::npos ? list : list.substr(comma + 1);
  list = comma == std::string_view::npos ? "" : list.substr(0, comma);
  const auto first = entry.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return entry.substr(first, entry.find_last_not_of(blanks) - first + 1);
}

} // namespace

std::optional<std::string> canonical_address(std::string_view text) {
  // The system's parser stops at a NUL.
  if (text.size() >= INET6_ADDRSTRLEN
      || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  const std::string literal(text);
  in_addr v4{};
  if (::inet_pton(AF_INET, literal.c_str(), &v4) == 1)
    return to_text(AF_INET, &v4);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, literal.c_str(), &v6) != 1)
    return std::nullopt;
  if (IN6_IS_ADDR_V4MAPPED(&v6))
    return to_text(AF_INET, &v6.s6_addr[12]);
  return to_text(AF_INET6, &v6);
}

trusted_proxies::trusted_proxies(const std::vector<std::string>& addresses) {
  for (const auto& each : addresses) {
    auto address = canonical_address(each);
    if (!address)
      throw std::runtime_error("trust the proxy " + each
                               + ": not an IPv4 or IPv6 address");
    addresses_.insert(std::move(*address));
  }
}

bool trusted_proxies::contains(std::string_view address) const {
  const auto wanted = canonical_address(address);
  return wanted && addresses_.count(*wanted) > 0;
}

std::string
trusted_proxies::client_address(const std::string& peer,
                                std::string_view forwarded_for) const {
  if (!contains(peer))
    return peer;
  auto result = peer;
  while (!forwarded_for.empty()) {
    auto said = canonical_address(take_last(forwarded_for));
    if (!said)
      return peer;
    result = std::move(*said);
    if (addresses_.count(result) == 0)
      break;
  }
  return result;
}

} // namespace edgecap::http

#include "http/client_network.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace edgecap::http {

namespace {

constexpr std::size_t network_bytes = 8;

/// The address as IPv6, IPv4 ones mapped into it; false if it is none.
bool parse(const std::string& address, in6_addr& result) {
  return ::inet_pton(AF_INET6, address.c_str(), &result) == 1
         || ::inet_pton(AF_INET6, ("::ffff:" + address).c_str(), &result) == 1;
}

} // namespace

std::string client_network(std::string_view address) {
  std::string text{address};
  in6_addr parsed{};
  if (!parse(text, parsed))
    return text;
  const auto* bytes = reinterpret_cast<const char*>(parsed.s6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&parsed))
    return {bytes, sizeof parsed};
  return {bytes, network_bytes};
}

bool is_loopback(const std::string& address) {
  in6_addr parsed{};
  if (!parse(address, parsed))
    return false;
  constexpr auto first_of_loopback = 127;
  return IN6_IS_ADDR_LOOPBACK(&parsed)
         || (IN6_IS_ADDR_V4MAPPED(&parsed)
             && parsed.s6_addr[12] == first_of_loopback);
}

} // namespace edgecap::http

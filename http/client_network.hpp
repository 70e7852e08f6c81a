#pragma once

#include <string>
#include <string_view>

namespace edgecap::http {

/// What counts as one client when clients are counted: an IPv4 address as it
/// is, also when mapped into IPv6; of an IPv6 address the first 64 bits, as
/// one subscriber has all that begin with them. Other text stands for itself.
std::string client_network(std::string_view address);

/// Whether the address is of the host itself: 127.0.0.0/8 or ::1.
bool is_loopback(const std::string& address);

} // namespace edgecap::http

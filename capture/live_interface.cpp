#include "capture/live_interface.hpp"

#include "capture/errno_error.hpp"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace edgecap::capture {

namespace {

/// ARPHRD_RAWIP of <linux/if_arp.h>, which clashes with <net/if_arp.h>.
constexpr unsigned short arphrd_rawip = 519;

/// What the interface named `name` is, asked in the network namespace of
/// `socket`.
struct interface_facts {
  int error = 0; ///< errno; the rest is valid if it is 0.
  bool up = false;
  bool loopback = false;
  unsigned index = 0;
  unsigned short arp_type = 0; ///< ARPHRD_
};

interface_facts inspect(int socket, const std::string& name) {
  interface_facts result;
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name
      || name.find('\0') != std::string::npos) {
    result.error = ENODEV;
    return result;
  }
  std::memcpy(request.ifr_name, name.data(), name.size());
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) {
    result.error = errno;
    return result;
  }
  const auto flags = static_cast<unsigned short>(request.ifr_flags);
  result.up = (flags & IFF_UP) != 0;
  result.loopback = (flags & IFF_LOOPBACK) != 0;
  if (::ioctl(socket, SIOCGIFINDEX, &request) != 0) {
    result.error = errno;
    return result;
  }
  result.index = static_cast<unsigned>(request.ifr_ifindex);
  if (::ioctl(socket, SIOCGIFHWADDR, &request) != 0)
    result.error = errno;
  else
    result.arp_type = request.ifr_hwaddr.sa_family;
  return result;
}

/// 0 if interface number `index` is there and up, otherwise ENODEV or ENETDOWN.
/// By number, since an interface may be renamed under a capture.
int state_error(int socket, unsigned index) {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (::ioctl(socket, SIOCGIFNAME, &request) != 0)
    return errno;
  const std::string name{request.ifr_name,
                         ::strnlen(request.ifr_name, sizeof request.ifr_name)};
  const auto facts = inspect(socket, name);
  if (facts.error != 0)
    return facts.error;
  return facts.up ? 0 : ENETDOWN;
}

/// What its packets are captured as. Of what libpcap knows, the link types that
/// are met on servers are left as they are; the others lose their link layer,
/// which LINUX_SLL's header describes.
link_type link_type_of(unsigned short arp_type) {
  switch (arp_type) {
  case ARPHRD_ETHER:
  case ARPHRD_LOOPBACK:
    return link_type::ethernet;
  case ARPHRD_NONE: // tun, WireGuard
  case ARPHRD_TUNNEL:
  case ARPHRD_SIT:
  case arphrd_rawip:
    return link_type::raw;
  default:
    return link_type::linux_sll;
  }
}

expected<packet_ring> open_ring(const ring_options& options,
                                ring_reserve& reserve) {
  auto made = reserve.take(options);
  if (!made)
    return packet_ring::open(options);
  if (auto ok = made->bind(options); !ok)
    return tl::unexpected<capture_error>{std::move(ok.error())};
  return std::move(*made);
}

} // namespace

live_interface::live_interface(packet_ring ring, std::string name,
                               unsigned index, link_type link)
  : ring_(std::move(ring)), name_(std::move(name)), index_(index), link_(link) {
}

expected<std::unique_ptr<live_interface>>
live_interface::open(const source_options& options, ring_reserve& reserve) {
  const auto attempt = "open interface " + options.interface;
  const unique_descriptor probe{
    ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!probe)
    return fail_errno(attempt, errno);
  const auto facts = inspect(probe.get(), options.interface);
  if (facts.error != 0)
    return fail_errno(attempt, facts.error);
  if (!facts.up)
    return fail_errno(attempt, ENETDOWN);
  ring_options ring;
  ring.interface = options.interface;
  ring.interface_index = facts.index;
  ring.link = link_type_of(facts.arp_type);
  ring.ring_bytes = options.ring_bytes;
  ring.wake_interval_ms = options.wake_interval_ms;
  // There, each packet that goes out comes in again.
  ring.incoming_only = facts.loopback || facts.arp_type == ARPHRD_CAN;
  auto opened = open_ring(ring, reserve);
  if (!opened)
    return tl::unexpected<capture_error>{std::move(opened.error())};
  return std::unique_ptr<live_interface>{new live_interface{
    std::move(*opened), options.interface, facts.index, ring.link}};
}

filter_layout live_interface::layout() const {
  switch (link_) {
  case link_type::ethernet:
    return filter_layout::ethernet;
  case link_type::raw:
    return filter_layout::raw_ip;
  default:
    return filter_layout::cooked;
  }
}

std::optional<capture_error> live_interface::take_error() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    error = errno;
  if (error == 0)
    return std::nullopt;
  if (error == ENETDOWN)
    return loss(); // Says that of an interface that is deleted, too.
  return errno_error("read interface " + name_, error);
}

capture_error live_interface::loss() const {
  const auto attempt = "read interface " + name_;
  if (const auto error = state_error(descriptor(), index_))
    return errno_error(attempt, error);
  // It is up again, but packets of a moment ago are missing.
  return {capture_errc::interface_down, attempt + ": it was down for a moment"};
}

} // namespace edgecap::capture

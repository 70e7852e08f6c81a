#include "tests/support/filter_sockets.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace edgecap::test {

namespace {

void check(bool ok, const char* attempt) {
  if (!ok)
    throw std::system_error{errno, std::generic_category(), attempt};
}

} // namespace

capture::bpf_program compiled(const capture::filter_fields& fields,
                              const capture::filter_options& options) {
  auto result = compile(fields, options);
  if (!result)
    throw std::runtime_error{result.error().message};
  return *result;
}

void attach(int socket, capture::bpf_program program) {
  const sock_fprog request{static_cast<unsigned short>(program.size()),
                           program.data()};
  check(
    ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &request, sizeof request)
      == 0,
    "SO_ATTACH_FILTER");
}

void attach(int socket, const capture::kernel_classifier& classifier) {
  if (auto ok = classifier.attach(socket); !ok)
    throw std::runtime_error{ok.error().message};
}

kernel_filter::kernel_filter(std::nullptr_t) {
  int ends[2];
  check(
    ::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)
      == 0,
    "socketpair");
  sender_ = capture::unique_descriptor{ends[0]};
  receiver_ = capture::unique_descriptor{ends[1]};
}

bytes kernel_filter::take(const bytes& packet) const {
  check(::send(sender_.get(), packet.data(), packet.size(), 0)
          == static_cast<ssize_t>(packet.size()),
        "send");
  bytes result(packet.size());
  const auto n = ::recv(receiver_.get(), result.data(), result.size(), 0);
  check(n >= 0 || errno == EAGAIN, "recv");
  result.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return result;
}

interface_filter::interface_filter(int type)
  : socket_(::socket(AF_PACKET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  check(static_cast<bool>(socket_), "socket");
}

void interface_filter::bind(const std::string& interface) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  check(
    ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address)
      == 0,
    "bind");
}

int interface_filter::matched() const {
  std::byte buffer[4096];
  int result = 0;
  while (::recv(socket_.get(), buffer, sizeof buffer, 0) >= 0)
    ++result;
  return result;
}

} // namespace edgecap::test

#include "tests/support/traffic.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace edgecap::test {

namespace {

/// Fewer than the kernel's queue for received packets has room for (1000).
constexpr unsigned max_under_way = 256;

constexpr std::size_t ip_header_bytes = 20;
constexpr std::size_t udp_header_bytes = 8;
constexpr std::size_t mac_bytes = 12;

void put16(std::byte* at, std::size_t value) {
  at[0] = static_cast<std::byte>(value >> 8);
  at[1] = static_cast<std::byte>(value);
}

int packet_socket(const std::string& interface, int protocol) {
  const auto result = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(static_cast<std::uint16_t>(protocol));
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (result < 0 || address.sll_ifindex == 0
      || ::bind(result, reinterpret_cast<sockaddr*>(&address), sizeof address)
           != 0)
    throw std::runtime_error{"open a packet socket on " + interface + ": "
                             + std::strerror(errno)};
  return result;
}

} // namespace

bytes udp_packet(std::uint64_t sequence, std::uint16_t destination_port,
                 std::size_t size_bytes) {
  bytes result(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i)
    result[i] = static_cast<std::byte>(sequence * 7 + i * 13);
  auto* ip = result.data();
  std::memset(ip, 0, ip_header_bytes + udp_header_bytes);
  ip[0] = std::byte{0x45};
  put16(ip + 2, size_bytes);
  ip[8] = std::byte{64};
  ip[9] = std::byte{IPPROTO_UDP};
  const auto source = ::inet_addr("192.0.2.1");
  const auto destination = ::inet_addr("198.51.100.7");
  std::memcpy(ip + 12, &source, 4);
  std::memcpy(ip + 16, &destination, 4);
  auto* udp = ip + ip_header_bytes;
  put16(udp, 5000);
  put16(udp + 2, destination_port);
  put16(udp + 4, size_bytes - ip_header_bytes);
  std::memcpy(udp + udp_header_bytes, &sequence, sizeof sequence);
  return result;
}

bytes udp_frame(std::uint64_t sequence, std::uint16_t destination_port,
                std::size_t size_bytes, std::uint16_t vlan) {
  const auto header = mac_bytes + (vlan != 0 ? 6u : 2u);
  bytes result(header);
  // A locally administered address that nobody has, so that the stack looks no
  // further once the taps have seen the frame.
  result[0] = std::byte{2};
  result[5] = std::byte{0x99};
  result[6] = std::byte{2};
  result[11] = std::byte{1};
  if (vlan != 0) {
    put16(&result[mac_bytes], ETH_P_8021Q);
    put16(&result[mac_bytes + 2], vlan);
  }
  put16(&result[header - 2], ETH_P_IP);
  const auto packet
    = udp_packet(sequence, destination_port, size_bytes - header);
  result.insert(result.end(), packet.begin(), packet.end());
  return result;
}

std::uint64_t sequence_of(const std::byte* packet, std::size_t offset) {
  std::uint64_t result = 0;
  std::memcpy(&result, packet + offset + ip_header_bytes + udp_header_bytes,
              sizeof result);
  return result;
}

std::uint16_t port_of(const std::byte* packet, std::size_t offset) {
  const auto* at = packet + offset + ip_header_bytes + 2;
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(at[0]) << 8
                                    | std::to_integer<unsigned>(at[1]));
}

traffic_link::traffic_link(const std::string& from, const std::string& to)
  : sender_(packet_socket(from, 0)), receiver_(packet_socket(to, ETH_P_ALL)) {
  const timeval patience{10, 0};
  ::setsockopt(receiver_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int room = 8 << 20;
  ::setsockopt(receiver_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
}

traffic_link::~traffic_link() {
  ::close(sender_);
  ::close(receiver_);
}

void traffic_link::post(const bytes& frame) {
  if (::send(sender_, frame.data(), frame.size(), 0)
      != static_cast<ssize_t>(frame.size()))
    throw std::runtime_error{std::string{"send a frame: "}
                             + std::strerror(errno)};
  if (++under_way_ == max_under_way)
    settle();
}

void traffic_link::settle() {
  for (; under_way_ > 0; --under_way_) {
    char start;
    if (::recv(receiver_, &start, 1, 0) < 0)
      throw std::runtime_error{std::string{"wait for a frame to arrive: "}
                               + std::strerror(errno)};
  }
}

} // namespace edgecap::test

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgecap::test {

using bytes = std::vector<std::byte>;

/// An IPv4 UDP packet without link layer. Its payload begins with `sequence`;
/// the rest depends on it, too.
/// @param size_bytes Of the whole packet, at least 40.
bytes udp_packet(std::uint64_t sequence, std::uint16_t destination_port,
                 std::size_t size_bytes);

/// The same in an Ethernet frame to nobody's address. With `vlan`, a tag of
/// that VLAN stands in it.
/// @param size_bytes Of the whole frame, at least 60.
bytes udp_frame(std::uint64_t sequence, std::uint16_t destination_port,
                std::size_t size_bytes, std::uint16_t vlan = 0);

/// The sequence number in a packet (`offset` 0) or frame (`offset` 14) as the
/// above build it, untagged and not cut before it.
std::uint64_t sequence_of(const std::byte* packet, std::size_t offset = 14);

/// The destination port, likewise.
std::uint16_t port_of(const std::byte* packet, std::size_t offset = 14);

/// Sends frames into one interface of a pair and sees them come out of the
/// other: what `send` sent has been through every tap on `to` that was opened
/// after this object. Without that the kernel may keep packets back, or drop
/// them before any tap if it is behind.
class traffic_link {
public:
  /// @throws std::runtime_error if there is no such interface or no right.
  traffic_link(const std::string& from, const std::string& to);

  ~traffic_link();

  traffic_link(const traffic_link&) = delete;
  traffic_link& operator=(const traffic_link&) = delete;

  /// Sends one frame and waits until it has arrived.
  /// @throws std::runtime_error if it did not within 10 s.
  void send(const bytes& frame) {
    post(frame);
    settle();
  }

  /// Sends one frame; waits for arrivals now and then.
  void post(const bytes& frame);

  /// Waits until all that was posted has arrived.
  void settle();

private:
  int sender_ = -1;
  int receiver_ = -1;
  unsigned under_way_ = 0;
};

} // namespace edgecap::test

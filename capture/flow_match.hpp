#pragma once

#include "capture/filter.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace edgecap::capture {

/// Which IP versions a filter lets pass.
enum class ip_family { any, ipv4, ipv6 };

/// An address in network byte order; an IPv4 address fills the first four
/// bytes.
using ip_address = std::array<std::uint8_t, 16>;

/// What `filter_fields` say, in a form that can be compared with packets.
struct flow_match {
  ip_family family = ip_family::any;
  std::optional<ip_address> source, destination; ///< Both of `family`.
  std::optional<std::uint16_t> source_port, destination_port;
  std::optional<std::uint8_t> protocol;

  /// True if a packet must have ports to match.
  bool wants_ports() const {
    return source_port || destination_port;
  }

  /// True if a packet need not even be IP to match.
  bool everything() const {
    return !source && !destination && !wants_ports() && !protocol;
  }
};

/// The protocols whose header begins with source and destination port: TCP,
/// UDP, DCCP, SCTP and UDP-Lite.
inline constexpr std::array<std::uint8_t, 5> port_protocols{6, 17, 33, 132,
                                                            136};

/// Reads `fields`. Every fault is appended to `faults`; the result is of use
/// only if there is none.
flow_match parse(const filter_fields& fields,
                 std::vector<filter_fault>& faults);

/// The same; fails with `bad_filter`, and every fault in the message.
expected<flow_match> match_of(const filter_fields& fields);

} // namespace edgecap::capture

#pragma once

#include "capture/capture_error.hpp"
#include "capture/packet_batch.hpp"

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::capture {

/// The structured filter of the API (`filter_v1`). It looks in one direction;
/// an absent field matches everything.
struct filter_fields {
  std::optional<std::string> source_address;      ///< IPv4 or IPv6 literal.
  std::optional<std::string> destination_address; ///< IPv4 or IPv6 literal.
  std::optional<std::uint16_t> source_port;
  std::optional<std::uint16_t> destination_port;
  std::optional<std::uint8_t> protocol; ///< IP protocol number (IANA).

  friend bool operator==(const filter_fields& x, const filter_fields& y) {
    return x.source_address == y.source_address
           && x.destination_address == y.destination_address
           && x.source_port == y.source_port
           && x.destination_port == y.destination_port
           && x.protocol == y.protocol;
  }
};

/// One fault of a filter.
struct filter_fault {
  std::string field;   ///< Name of the member that is to blame.
  std::string message; ///< What the value is and what the rule is.
};

/// Checks addresses, address families and port/protocol combinations. Returns
/// every fault, none for a good filter.
std::vector<filter_fault> validate(const filter_fields& fields);

/// How the kernel lays out what a socket filter sees.
enum class filter_layout {
  ethernet, ///< Ethernet header first (also what Linux loopback has).
  raw_ip,   ///< IP header first, no link layer (tun).
  cooked,   ///< IP header first, ethertype in SKF_AD_PROTOCOL (SOCK_DGRAM).
};

/// What a compiled program does beyond the filter.
struct filter_options {
  filter_layout layout = filter_layout::ethernet;
  /// Accepts one in this many matching packets at random (>= 1), by the
  /// kernel's random number (SKF_AD_RANDOM).
  std::uint32_t sampling_one_in = 1;
  /// Value that an accepting program returns: bytes to keep.
  std::uint32_t snaplen_bytes = 262144;
  /// Rejects outgoing packets (SKF_AD_PKTTYPE); for loopback, which shows each
  /// packet twice.
  bool incoming_only = false;
};

/// Classic BPF for SO_ATTACH_FILTER.
using bpf_program = std::vector<sock_filter>;

/// Compiles `fields`. Fails with `bad_filter` when `validate` finds a fault.
expected<bpf_program> compile(const filter_fields& fields,
                              const filter_options& options);

} // namespace edgecap::capture

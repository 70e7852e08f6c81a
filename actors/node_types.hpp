#pragma once

#include "actors/version.hpp"
#include "capture/packet_batch.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The plain values that nodes and their collector exchange. What crosses the
// network never changes its fields: CAF 0.17 tells versions of a type apart by
// its name alone, so a field more is another type, and a message more.
namespace edgecap {

using capture::unix_ns;

/// Labels of a node, at most.
inline constexpr std::size_t max_node_labels = 64;

/// Bytes of a node's name, colo and of each of its labels, at most.
inline constexpr std::size_t max_node_name_bytes = 64;
inline constexpr std::size_t max_node_label_bytes = 128;

/// "little" or "big".
std::string host_byte_order();

/// What a node says of itself when it dials.
struct node_hello {
  std::uint32_t protocol = node_protocol;
  std::string name;                ///< 1..64 of [A-Za-z0-9._-].
  std::string colo;                ///< The same, or empty.
  std::vector<std::string> labels; ///< `key=value`, for people.
  std::string version;             ///< Of its program.
  /// Batches cross the network as they are in memory.
  std::string byte_order = host_byte_order();
};

/// That a node is the one of its certificate.
struct node_proof {
  std::string certificate; ///< PEM; empty if it has none.
  std::string signature;   ///< Of the collector's challenge, by its key.
};

/// Bytes of a certificate in PEM, and of a signature, at most.
inline constexpr std::size_t max_certificate_bytes = 16384;
inline constexpr std::size_t max_signature_bytes = 4096;

/// How the fault of a protocol that a collector does not understand begins;
/// part of the protocol itself, for a node has to know.
inline constexpr const char* fault_of_protocol = "it speaks protocol ";

/// Why such a node cannot be taken: its protocol, its host, or a value that
/// breaks a rule above. Empty if it can.
std::string fault_of(const node_hello& x);

/// What a collector says to a node that it takes.
struct node_welcome {
  std::uint32_t protocol = node_protocol;
  std::string version; ///< Of the collector's program.
};

/// What is so now at a node.
struct node_pulse {
  unix_ns now = 0; ///< By the node's clock.
  /// Empty if the system does not tell.
  std::optional<std::vector<std::string>> interfaces;
  std::uint32_t samplers = 0; ///< That run.
  /// Load average of a minute (getloadavg(3)), in thousandths; empty if the
  /// system does not tell.
  std::optional<std::uint64_t> load_milli;
  std::uint32_t processors = 0;
};

/// What is known of a node's clock.
struct clock_reading {
  /// What its clock shows more than ours, in nanoseconds.
  std::int64_t offset_ns = 0;
  /// How much that may be wrong, either way: half of the round trip.
  std::uint64_t error_ns = 0;
};

/// A node as its collector sees it.
struct node_status {
  std::string name;
  std::string colo;
  std::vector<std::string> labels;
  std::string version;
  bool local = false;               ///< It is the collector's own process.
  bool connected = false;           ///< Jobs may use it.
  std::optional<unix_ns> joined;    ///< The last time; by our clock.
  std::optional<unix_ns> last_seen; ///< By our clock.
  std::string lost; ///< Why it is not connected; empty if it is.
  std::optional<clock_reading> clock;
  std::optional<node_pulse> pulse; ///< The last one.
};

} // namespace edgecap

#pragma once

#include "capture/packet_source.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/random_stream.hpp"
#include "tests/simulation/timeline.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// The interfaces of the simulated host. Every packet says which source
// delivered it as which, so that each record of a savefile can be judged.
namespace edgecap::simulation {

/// What a packet says of itself, at its end.
struct packet_identity {
  std::uint32_t source = 0;   ///< Number of the source.
  std::uint32_t sequence = 0; ///< Of the packets that it delivered.
};

/// Reads what a packet says; empty if that is none of ours or not whole.
std::optional<packet_identity> identify(const std::byte* data,
                                        std::size_t size);

/// One source that was opened, kept for judgement when it is long gone.
struct source_log {
  struct packet {
    capture::unix_ns time = 0;
    std::uint32_t captured_length = 0;
  };

  std::uint32_t number = 0;
  std::uint16_t subject = 0; ///< The request that it captures for.
  std::string interface;
  capture::unix_ns not_after = 0;
  instant opened_at{0};
  capture::source_counters counters;
  std::vector<packet> delivered;
  bool opened = false;
  bool ended = false;  ///< It has said its last word.
  bool let_go = false; ///< Nobody owns it any more.
  instant let_go_at{0};
  bool stopped = false;   ///< It was asked to stop.
  bool disturbed = false; ///< A fault struck it.
  /// Since when it has packets and no credit, if so.
  std::optional<instant> starved_since;
};

/// Opens sources for the engine and feeds them.
class network {
public:
  struct options {
    std::vector<std::string> interfaces;
    /// Every second interface has no Ethernet header.
    bool mixed_links = false;
    std::uint64_t mean_gap_ms = 1000;
    std::uint64_t most_at_once = 10;
  };

  network(options opts, std::uint64_t seed, timeline& time, faults& what,
          trace& log);
  ~network();

  /// For the node.
  capture::source_factory factory();

  /// What the machine has now, or why it does not say.
  capture::expected<std::vector<std::string>> interfaces();

  /// From now on nothing goes wrong any more.
  void calm() {
    calm_ = true;
  }

  const std::vector<std::shared_ptr<source_log>>& sources() const {
    return logs_;
  }

  /// How many of them somebody owns.
  std::size_t owned() const;

  /// Forgets those that nobody owns, for a run without judgement.
  void forget_gone();

private:
  class source;
  class handle;

  bool strikes(fault x, std::uint64_t one_in);

  options options_;
  random_stream traffic_;
  random_stream draws_;
  timeline& time_;
  faults& faults_;
  trace& trace_;
  bool calm_ = false;
  std::uint32_t opened_ = 0; ///< Sources so far.
  std::vector<std::shared_ptr<source_log>> logs_;
};

} // namespace edgecap::simulation

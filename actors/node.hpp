#pragma once

#include "actors/actor_support.hpp"
#include "actors/interfaces.hpp"
#include "capture/packet_source.hpp"

#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace edgecap {

/// One line of a system: which interfaces, and how they are read.
struct interface_rule {
  std::string pattern; ///< Name or shell glob (fnmatch(3)).
  std::uint32_t sampling_one_in = 1;
  std::uint32_t snaplen_bytes = 160;
  bool promiscuous = false;
};

/// Name of each system with its rules, the first that fits an interface wins.
using system_table = std::map<std::string, std::vector<interface_rule>>;

struct node_options {
  std::string name; ///< What this machine is called in reports.
  system_table systems;
  capture::source_options source;      ///< Ring, batch and wake-up sizes.
  capture::source_factory open_source; ///< Never empty.
  /// Names of the interfaces that the machine has now.
  std::function<capture::expected<std::vector<std::string>>()> list_interfaces;
  /// Now, for whoever compares clocks.
  std::function<unix_ns()> wall_clock;
};

/// Says what is wrong with the options, if anything.
caf::error validate(const node_options& options);

/// Applies the rules of a system to the interfaces that exist. A rule without
/// wildcards stands for its interface even if that is absent, so that a job
/// can say that it is missing.
std::vector<sampler_spec> survey(const std::vector<interface_rule>& rules,
                                 const std::vector<std::string>& present,
                                 const std::string& node);

/// State of a NODE.
struct node_state {
  explicit node_state(node_actor::pointer self);

  /// What is so now.
  node_pulse pulse() const;

  caf::result<std::vector<sampler_spec>> survey(const std::string& system);

  caf::result<sampler_actor> sample(sampler_spec spec,
                                    std::int64_t stamp_correction_ns,
                                    const batch_sink_actor& sink);

  /// A sampler has ended.
  void ended(const caf::actor_addr& source);

  caf::result<caf::ok_atom> shutdown();

  node_actor::pointer self;
  node_options options;
  std::vector<sampler_actor> samplers; ///< That run.
  bool shutting_down = false;
  std::vector<guarded_promise<caf::ok_atom>> shutdown_waiters;

  static inline const char* name = "node";
};

/// Hosts the samplers of one machine. Quits at once on invalid options.
node_actor::behavior_type node(node_actor::stateful_pointer<node_state> self,
                               node_options options);

} // namespace edgecap

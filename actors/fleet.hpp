#pragma once

#include "actors/clock_comparison.hpp"
#include "actors/interfaces.hpp"
#include "actors/node_identity.hpp"
#include "actors/ticker.hpp"

#include <caf/actor_addr.hpp>
#include <caf/error.hpp>
#include <caf/message_id.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace edgecap {

struct fleet_options {
  /// Of the collector's own node, if it has one; the name is its node's.
  node_hello own;
  /// Nodes that are remembered, there or lost; >= 1.
  std::uint32_t max_nodes = 4096;
  /// Between two looks at a node.
  std::chrono::milliseconds pulse_interval{1000};
  /// The same at the node of this process, which is never lost.
  std::chrono::milliseconds own_pulse_interval{10000};
  /// A node that has not answered for so long is lost. Its answers wait behind
  /// its packets on the way here, so a slow link needs a longer one.
  std::chrono::milliseconds lost_after{15000};
  /// Now, for people and for the comparison of clocks.
  std::function<unix_ns()> wall_clock;
  /// Judges who nodes are; empty to believe them.
  verify_identity verify;
};

/// Says what is wrong with the options, if anything.
caf::error validate(const fleet_options& options);

/// State of the FLEET.
struct fleet_state {
  // -- member types -----------------------------------------------------------

  using time_point = caf::actor_clock::time_point;

  struct member {
    node_status status;
    node_actor handle; ///< Null if it is gone.
    clock_comparison clock;
    std::uint32_t protocol = node_protocol;
    time_point heard;         ///< Its last answer, or its hello.
    bool asked = false;       ///< A pulse is under way.
    caf::message_id question; ///< With which it was asked.
  };

  struct asked_proof {
    std::string challenge;
    time_point expires;
  };

  /// Nodes that are about to say hello, at most.
  static constexpr std::size_t max_challenges = 4096;

  // -- initialization ---------------------------------------------------------

  explicit fleet_state(fleet_actor::pointer self);

  /// @param own The node of this process; null if it has none.
  void init(fleet_options opts, const node_actor& own);

  // -- nodes ------------------------------------------------------------------

  /// What the asking node is to sign.
  caf::result<std::string> challenge();

  caf::result<node_welcome> hello(const node_hello& said,
                                  const node_proof& proof,
                                  const node_actor& handle);

  /// Asks the nodes for their pulse, and sees which are lost.
  void tick();

  /// An actor that is watched is gone: a node, or who watches nodes.
  void gone(const caf::actor_addr& source, const caf::error& why);

  // -- looking ----------------------------------------------------------------

  std::vector<node_offer> watch(node_watcher_actor who);

  std::vector<node_status> list() const;

  // -- member variables -------------------------------------------------------

  fleet_actor::pointer self;
  fleet_options options;
  std::map<std::string, member> nodes; ///< By name.
  std::vector<node_watcher_actor> watchers;
  /// What nodes are to sign that have not said hello yet, by who asked.
  std::map<caf::actor_addr, asked_proof> challenges;

  ticker ticks; ///< Often only while there are nodes beside our own.

  static inline const char* name = "fleet";

private:
  std::string fault_of_identity(const node_hello& said,
                                const node_proof& proof);
  void take(const node_hello& said, const node_actor& handle, bool local);
  void ask(const std::string& who);
  void give_up(member& x);
  void answered(const std::string& who, const node_actor& handle,
                unix_ns asked_at, time_point asked_when, node_pulse pulse);
  void compare_clock(member& x, unix_ns asked_at,
                     std::chrono::nanoseconds round_trip, unix_ns theirs);
  void lose(member& x, const std::string& why);
  bool make_room();
  static node_offer offer(const member& x);
};

/// Knows the nodes of this collector. Quits at once on invalid options.
/// @param own The node of this process; null if it has none.
fleet_actor::behavior_type
fleet(fleet_actor::stateful_pointer<fleet_state> self, fleet_options options,
      const node_actor& own);

} // namespace edgecap

#pragma once

#include "actors/interfaces.hpp"
#include "actors/node_identity.hpp"

#include <caf/actor.hpp>
#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

namespace edgecap {

struct uplink_options {
  node_hello hello;
  /// Proves that the node is the one that it says; empty for a collector that
  /// believes it.
  prove_identity prove;
  std::string host; ///< Address of the collector, or of the wall before it.
  std::uint16_t port = 0;
  /// Before the second attempt; twice as long before each further one. Up to
  /// half as much is added by chance, so that a fleet does not dial in step.
  std::chrono::milliseconds first_pause{500};
  std::chrono::milliseconds longest_pause{30000}; ///< With what is added.
};

/// Says what is wrong with the options, if anything.
caf::error validate(const uplink_options& options);

/// State of an UPLINK.
struct uplink_state {
  // -- initialization ---------------------------------------------------------

  explicit uplink_state(uplink_actor::pointer self);

  void init(uplink_options opts, node_actor node, caf::actor middleman);

  // -- operations -------------------------------------------------------------

  /// Dials the collector, unless that is under way or done.
  void dial();

  /// The collector, or the way there, is gone.
  void lost(const caf::actor_addr& source);

  // -- member variables -------------------------------------------------------

  uplink_actor::pointer self;
  uplink_options options;
  node_actor own;
  caf::actor dialer;
  reception_actor collector; ///< Null while there is none.
  bool dialling = false;
  std::chrono::milliseconds pause{0};
  std::string trouble; ///< As logged last; empty when connected.
  std::minstd_rand chance{std::random_device{}()};

  static inline const char* name = "uplink";

private:
  void found(const caf::strong_actor_ptr& whom);
  void introduce();
  void say_hello(const node_proof& proof);
  void refused(const reception_actor& by, const caf::error& why);
  void fail(const std::string& why);
  void dial_later();
};

/// Keeps a node connected to its collector: dials, says hello, and dials again
/// when it is lost. Quits at once on invalid options.
/// @param own The node that it speaks for.
/// @param dialer CAF's middleman, or what understands its `connect`.
uplink_actor::behavior_type
uplink(uplink_actor::stateful_pointer<uplink_state> self,
       uplink_options options, node_actor own, caf::actor dialer);

} // namespace edgecap

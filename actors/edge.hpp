#pragma once

#include "actors/guardian.hpp"
#include "actors/interfaces.hpp"
#include "actors/node.hpp"
#include "actors/uplink.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/expected.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>

namespace edgecap {

struct edge_options {
  node_options node;
  uplink_options uplink;
  /// With which it proves its name (`make_prover`); empty for a collector that
  /// believes it.
  std::filesystem::path certificate;
  std::filesystem::path key;
  /// As of `engine_options`.
  loss_handler on_loss;
};

/// The actors of an edge: a node, and its uplink to the collector, whose jobs
/// it captures for. Used by one thread that is not an actor's.
class edge {
public:
  /// @pre `system` was made with `prepare_network`.
  static caf::expected<std::unique_ptr<edge>> start(caf::actor_system& system,
                                                    edge_options options);

  /// Ends what `stop` did not.
  ~edge();

  edge(const edge&) = delete;
  edge& operator=(const edge&) = delete;

  /// Has all samplers hand over what they have, and takes no new ones. Returns
  /// whether they did within `patience`.
  bool drain(std::chrono::milliseconds patience);

  /// Ends all actors. Returns how many refused to die, as `engine::stop`.
  std::size_t stop();

private:
  explicit edge(caf::actor_system& system);

  caf::actor_system& system_;
  node_actor node_;
  uplink_actor uplink_;
  caf::actor guardian_;
};

} // namespace edgecap

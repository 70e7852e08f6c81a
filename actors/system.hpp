#pragma once

#include "actors/fleet.hpp"
#include "actors/guardian.hpp"
#include "actors/interfaces.hpp"
#include "actors/job_registry.hpp"
#include "actors/network.hpp"
#include "actors/node.hpp"
#include "actors/rate_limiter.hpp"
#include "actors/storage.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/error.hpp>
#include <caf/expected.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

namespace edgecap {

/// Options of the whole tree.
struct engine_options {
  rate_limiter_options limiter;
  storage_options storage;
  /// Of this process; a collector need have none.
  std::optional<node_options> node;
  fleet_options fleet;
  /// Where other nodes report; none but in a collector.
  std::optional<network_endpoint> reception;
  /// By which they prove their names (`make_verifier`); empty to believe them.
  std::filesystem::path authority;
  std::filesystem::path revoked;
  job_registry_options registry;
  /// For storage to open its index and to resolve what a crash left.
  std::chrono::milliseconds start_timeout{120000};
  /// Called on an actor's thread when one of the tree's long-lived actors has
  /// died: the process is to end. Never empty.
  loss_handler on_loss;
};

/// What of them may change while the tree runs.
struct engine_limits {
  rate_limiter_options limiter;
  storage_limits storage;
  registry_limits registry;
};

/// Says what is wrong with the limits, if anything.
caf::error validate(const engine_limits& limits);

/// Watches over a tree that has started; to be ended before any part of it.
/// @param node Null if there is none.
caf::actor spawn_guardian(caf::actor_system& system, loss_handler on_loss,
                          const rate_limiter_actor& limiter,
                          const storage_actor& storage, const node_actor& node,
                          const fleet_actor& fleet,
                          const job_registry_actor& registry);

/// Prepares CAF for the engine: message types and scheduler. CAF's own
/// configuration files and command line are never read.
/// @param threads Scheduler threads, >= 1; storage has one more of its own.
void prepare(caf::actor_system_config& config, std::size_t threads);

/// The tree of long-lived actors. Used by one thread that is not an actor's.
class engine {
public:
  /// Spawns the tree, waits until storage has resolved what an earlier process
  /// left, and lets its jobs capture on.
  static caf::expected<std::unique_ptr<engine>> start(caf::actor_system& system,
                                                      engine_options options);

  /// Ends what `stop` did not.
  ~engine();

  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  /// Has every actor keep to these limits from now on or, if one of them would
  /// refuse, none. Returns when all do, or a timeout when one has not answered
  /// within `patience`: it has the message and keeps to it when it goes on.
  caf::error set_limits(const engine_limits& limits,
                        std::chrono::milliseconds patience);

  /// Refuses new jobs and ends the running ones, with what they captured.
  /// Returns whether all were sealed within `patience`.
  bool seal_jobs(std::chrono::milliseconds patience);

  /// Ends all actors. Returns how many refused to die; with those left,
  /// destroying the actor system no longer waits for them.
  std::size_t stop();

  const job_registry_actor& registry() const {
    return registry_;
  }

  const rate_limiter_actor& limiter() const {
    return limiter_;
  }

  const storage_actor& storage() const {
    return storage_;
  }

  const fleet_actor& fleet() const {
    return fleet_;
  }

private:
  explicit engine(caf::actor_system& system);

  caf::error wait_for_storage(std::chrono::milliseconds patience);
  caf::error resume(std::chrono::milliseconds patience);

  caf::actor_system& system_;
  rate_limiter_actor limiter_;
  storage_actor storage_;
  node_actor node_;
  fleet_actor fleet_;
  job_registry_actor registry_;
  caf::actor guardian_;
};

} // namespace edgecap

#pragma once

#include "actors/system.hpp"
#include "tests/simulation/random_stream.hpp"
#include "tests/simulation/trace.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/stateful_actor.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace edgecap::simulation {

/// Messages that may wait for one actor. The most wait for storage that stalls:
/// until a job gives it up, twelve samplers hand over twenty batches a second
/// each, for ten seconds. What clients have under way and the reports of all
/// jobs stay far below.
inline constexpr std::size_t max_mailbox = 4000;

/// One process of the engine: the whole tree of actors on one thread, where
/// nobody runs and no time passes unless it is said here.
class life {
public:
  /// Starts the tree. `failed` says whether it refused to.
  life(engine_options options, instant now, trace& log);

  /// Ends all actors, as a kill does: nobody gets a word out.
  ~life();

  life(const life&) = delete;
  life& operator=(const life&) = delete;

  bool failed() const {
    return failed_;
  }

  /// Whether the registry has taken up what an earlier process left. Nobody
  /// asks it anything before.
  bool resumed() const {
    return resumed_;
  }

  /// Whether all long-lived actors live; the states of dead ones are gone.
  bool whole() const {
    return !failed_ && !dead(limiter) && !dead(storage) && !dead(node)
           && !dead(fleet) && !dead(registry);
  }

  /// Delivers one message, to one of those who have any; `schedule` says how
  /// they are chosen. Returns false if nobody may run.
  /// @param away Says whose messages wait.
  bool deliver_one(random_stream& draws, std::uint32_t schedule,
                   const std::function<bool(const caf::abstract_actor*)>& away);

  /// Whether no message waits for anybody.
  bool idle() const {
    return scheduler_.jobs.empty();
  }

  /// When the next timer of an actor is due.
  std::optional<instant> next_timer() const;

  /// Lets the actors' time pass.
  void advance(instant to);

  /// Ends the tree in order. Returns how many actors are left over.
  std::size_t stop();

  /// The largest mailbox that was seen.
  std::size_t largest_mailbox() const {
    return largest_mailbox_;
  }

  /// The state of one of ours.
  template <class State, class Handle>
  static const State& state_of(const Handle& handle) {
    using actor_type = caf::stateful_actor<State, typename Handle::base>;
    return dynamic_cast<actor_type&>(
             *caf::actor_cast<caf::abstract_actor*>(handle))
      .state;
  }

  template <class Handle>
  static bool dead(const Handle& handle) {
    return caf::actor_cast<caf::abstract_actor*>(handle)->getf(
      caf::abstract_actor::is_terminated_flag);
  }

  caf::actor_system& system() {
    return system_;
  }

  rate_limiter_actor limiter;
  storage_actor storage;
  node_actor node;
  fleet_actor fleet;
  job_registry_actor registry;

private:
  using coordinator = caf::scheduler::test_coordinator;

  static caf::actor_system_config& prepared(caf::actor_system_config& config);
  std::size_t choose(random_stream& draws, std::uint32_t schedule) const;
  void run_all();
  std::size_t end_all(bool in_order);

  caf::actor_system_config config_;
  caf::actor_system system_;
  coordinator& scheduler_;
  trace& trace_;
  instant now_;
  std::size_t baseline_ = 0;
  std::size_t largest_mailbox_ = 0;
  caf::actor guardian_;
  bool failed_ = false;
  bool resumed_ = false;
  bool ended_ = false;
};

} // namespace edgecap::simulation

#pragma once

#include <caf/actor_addr.hpp>
#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <functional>
#include <map>
#include <string>

namespace edgecap {

/// Told which actor died, and why. Called at most once, by the guardian's
/// actor; may end the process.
using loss_handler
  = std::function<void(const std::string& name, const std::string& why)>;

/// The actors that a process is of no use without, by name.
using guarded_actors = std::map<std::string, caf::actor_addr>;

struct guardian_state {
  guarded_actors guarded;

  static inline const char* name = "guardian";
};

/// Watches over the long-lived actors. One that dies has not ended in order,
/// for the guardian goes first then. Nothing can stand in for it: what it knew
/// is gone, and whoever asks it waits in vain. So the process has to end, and
/// the next one resolves what it left.
caf::behavior guardian(caf::stateful_actor<guardian_state>* self,
                       guarded_actors guarded, loss_handler on_loss);

} // namespace edgecap

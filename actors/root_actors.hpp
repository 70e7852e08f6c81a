#pragma once

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include <cstddef>
#include <vector>

namespace edgecap {

/// Ends actors one after another, with whatever they have spawned: each is
/// asked to, and killed if it does not within two seconds. Returns how many
/// actors refused to die; with those left, destroying the actor system no
/// longer waits for them. Null handles are skipped. Blocks; not for an actor's
/// thread.
std::size_t end_root_actors(caf::actor_system& system,
                            std::vector<caf::actor> roots);

} // namespace edgecap

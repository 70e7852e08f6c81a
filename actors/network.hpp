#pragma once

#include "actors/interfaces.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/error.hpp>

#include <cstdint>
#include <string>

// CAF's own network runtime (caf_io, its protocol BASP): all that we use of it.
// Whoever reaches its port can bring the process down, by a single packet:
// nobody may but members of the fleet (docs/fleet.md).
namespace edgecap {

struct network_endpoint {
  std::string address; ///< IPv4 or IPv6 literal.
  std::uint16_t port = 0;
};

/// Has the actor systems that `config` is for speak to others. Both ends of a
/// connection look for each other every five seconds, and give up after twenty;
/// CAF has to have finished its handshake between two looks.
void prepare_network(caf::actor_system_config& config);

/// Lets nodes reach the fleet there. Blocks; not for an actor's thread.
caf::error publish(caf::actor_system& system, const reception_actor& target,
                   const network_endpoint& where);

/// Who understands CAF's `connect`.
caf::actor dialer_of(caf::actor_system& system);

} // namespace edgecap

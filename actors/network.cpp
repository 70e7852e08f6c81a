#include "actors/network.hpp"

#include <caf/actor_cast.hpp>
#include <caf/io/middleman.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace edgecap {

namespace {

constexpr std::chrono::seconds heartbeat_interval{5};
constexpr std::chrono::seconds connection_timeout{20};

/// Who connects must say the same. Changes only with what no `node_protocol`
/// can bridge.
constexpr const char* application = "edgecap-1";

} // namespace

void prepare_network(caf::actor_system_config& config) {
  config.load<caf::io::middleman>();
  config.set("middleman.heartbeat-interval", caf::timespan{heartbeat_interval});
  config.set("middleman.connection-timeout", caf::timespan{connection_timeout});
  config.set("middleman.app-identifiers",
             std::vector<std::string>{application});
}

caf::error publish(caf::actor_system& system, const reception_actor& target,
                   const network_endpoint& where) {
  const auto port = system.middleman().publish(target, where.port,
                                               where.address.c_str(), true);
  if (port)
    return caf::none;
  return make_error(errc::invalid_options, "listen for nodes on "
                                             + where.address + " port "
                                             + std::to_string(where.port) + ": "
                                             + caf::to_string(port.error()));
}

caf::actor dialer_of(caf::actor_system& system) {
  return caf::actor_cast<caf::actor>(system.middleman().actor_handle());
}

} // namespace edgecap

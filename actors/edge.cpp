#include "actors/edge.hpp"

#include "actors/errors.hpp"
#include "actors/network.hpp"
#include "actors/root_actors.hpp"

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>

#include <utility>
#include <vector>

namespace edgecap {

edge::edge(caf::actor_system& system) : system_(system) {}

edge::~edge() {
  stop();
}

caf::expected<std::unique_ptr<edge>> edge::start(caf::actor_system& system,
                                                 edge_options options) {
  if (auto err = validate(options.node))
    return err;
  if (auto err = validate(options.uplink))
    return err;
  if (!options.certificate.empty()) {
    auto made = make_prover(options.certificate, options.key);
    if (!made)
      return make_error(errc::invalid_options, std::move(made.error()));
    options.uplink.prove = std::move(*made);
  }
  std::unique_ptr<edge> result{new edge(system)};
  result->node_ = system.spawn(node, std::move(options.node));
  result->uplink_ = system.spawn(uplink, std::move(options.uplink),
                                 result->node_, dialer_of(system));
  result->guardian_
    = system.spawn(guardian,
                   guarded_actors{{"node", result->node_.address()},
                                  {"uplink", result->uplink_.address()}},
                   std::move(options.on_loss));
  return result;
}

bool edge::drain(std::chrono::milliseconds patience) {
  if (!node_)
    return true;
  auto drained = false;
  caf::scoped_actor self{system_};
  self->request(node_, patience, atom::shutdown_v)
    .receive([&](caf::ok_atom) { drained = true; }, [](caf::error&) {});
  return drained;
}

std::size_t edge::stop() {
  if (!node_)
    return 0;
  const auto roots = std::vector<caf::actor>{
    std::exchange(guardian_, nullptr),
    caf::actor_cast<caf::actor>(std::exchange(uplink_, nullptr)),
    caf::actor_cast<caf::actor>(std::exchange(node_, nullptr))};
  return end_root_actors(system_, roots);
}

} // namespace edgecap

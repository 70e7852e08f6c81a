#include "actors/system.hpp"

#include "actors/root_actors.hpp"

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

#include <utility>
#include <vector>

namespace edgecap {

void prepare(caf::actor_system_config& config, std::size_t threads) {
  config.set("scheduler.max-threads", threads);
  // Idle workers sleep instead of polling, and wake twenty times sooner.
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("logger.console", caf::atom("none"));
  config.add_message_types<caf::id_block::edgecap>();
  config.add_message_types<caf::id_block::edgecap_handles>();
}

caf::error validate(const engine_limits& limits) {
  if (auto err = validate(limits.limiter))
    return err;
  if (auto err = validate(limits.storage))
    return err;
  return validate(limits.registry);
}

caf::actor spawn_guardian(caf::actor_system& system, loss_handler on_loss,
                          const rate_limiter_actor& limiter,
                          const storage_actor& storage, const node_actor& node,
                          const fleet_actor& fleet,
                          const job_registry_actor& registry) {
  guarded_actors guarded{{"rate-limiter", limiter.address()},
                         {"storage", storage.address()},
                         {"fleet", fleet.address()},
                         {"job-registry", registry.address()}};
  if (node)
    guarded.emplace("node", node.address());
  return system.spawn(guardian, std::move(guarded), std::move(on_loss));
}

engine::engine(caf::actor_system& system) : system_(system) {}

engine::~engine() {
  stop();
}

caf::expected<std::unique_ptr<engine>> engine::start(caf::actor_system& system,
                                                     engine_options options) {
  if (!options.authority.empty()) {
    auto made = make_verifier(options.authority, options.revoked);
    if (!made)
      return make_error(errc::invalid_options, std::move(made.error()));
    options.fleet.verify = std::move(*made);
  }
  std::unique_ptr<engine> result{new engine(system)};
  result->limiter_ = system.spawn(rate_limiter, options.limiter);
  // Storage waits for disks, so it has a thread of its own.
  result->storage_
    = system.spawn<caf::detached>(edgecap::storage, std::move(options.storage));
  if (auto err = result->wait_for_storage(options.start_timeout))
    return err;
  if (options.node)
    result->node_ = system.spawn(node, std::move(*options.node));
  result->fleet_
    = system.spawn(edgecap::fleet, std::move(options.fleet), result->node_);
  result->registry_ = system.spawn(
    job_registry, std::move(options.registry),
    job_registry_peers{result->limiter_, result->storage_, result->fleet_});
  result->guardian_ = spawn_guardian(
    system, std::move(options.on_loss), result->limiter_, result->storage_,
    result->node_, result->fleet_, result->registry_);
  if (auto err = result->resume(options.start_timeout))
    return err;
  if (options.reception)
    if (auto err = publish(system, result->fleet_, *options.reception))
      return err;
  return result;
}

caf::error engine::resume(std::chrono::milliseconds patience) {
  caf::scoped_actor self{system_};
  caf::error failure;
  self->request(registry_, patience, atom::resume_v)
    .receive([](caf::ok_atom) {},
             [&](caf::error& err) { failure = std::move(err); });
  return failure;
}

caf::error engine::wait_for_storage(std::chrono::milliseconds patience) {
  caf::scoped_actor self{system_};
  self->monitor(storage_);
  caf::error failure;
  self->request(storage_, patience, atom::stats_v)
    .receive([](const storage_stats&) {},
             [&](caf::error& err) { failure = std::move(err); });
  if (!failure)
    return caf::none;
  // An actor that quit says why in its DOWN message only, which may come after
  // the request has bounced.
  if (failure == caf::sec::request_receiver_down)
    self->receive([&](const caf::down_msg& down) { failure = down.reason; },
                  caf::after(patience) >> [] {});
  return failure;
}

caf::error engine::set_limits(const engine_limits& limits,
                              std::chrono::milliseconds patience) {
  if (auto err = validate(limits))
    return err;
  caf::scoped_actor self{system_};
  // All have their messages before the first answer is waited for.
  auto limiter
    = self->request(limiter_, patience, atom::limits_v, limits.limiter);
  auto storage
    = self->request(storage_, patience, atom::limits_v, limits.storage);
  auto registry
    = self->request(registry_, patience, atom::limits_v, limits.registry);
  caf::error failure;
  const auto kept = [](caf::ok_atom) {};
  const auto failed = [&](caf::error& err) { failure = std::move(err); };
  limiter.receive(kept, failed);
  storage.receive(kept, failed);
  registry.receive(kept, failed);
  return failure;
}

bool engine::seal_jobs(std::chrono::milliseconds patience) {
  if (!registry_)
    return true;
  auto sealed = false;
  caf::scoped_actor self{system_};
  self->request(registry_, patience, atom::shutdown_v)
    .receive([&](caf::ok_atom) { sealed = true; }, [](caf::error&) {});
  return sealed;
}

std::size_t engine::stop() {
  if (!storage_)
    return 0;
  // Whoever talks goes before whom it talks to.
  std::vector<caf::actor> roots{guardian_};
  const auto add = [&](auto& handle) {
    roots.push_back(caf::actor_cast<caf::actor>(handle));
    handle = nullptr;
  };
  guardian_ = nullptr;
  add(registry_);
  add(fleet_);
  add(node_);
  add(limiter_);
  add(storage_);
  return end_root_actors(system_, std::move(roots));
}

} // namespace edgecap

#include "actors/node.hpp"

#include "actors/sampler.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <thread>
#include <utility>

namespace edgecap {

caf::error validate(const node_options& options) {
  const auto bad = [](const char* text) {
    return make_error(errc::invalid_options, std::string{"node: "} + text);
  };
  if (options.name.empty())
    return bad("no name");
  if (!options.open_source || !options.list_interfaces)
    return bad("no access to interfaces");
  if (!options.wall_clock)
    return bad("no clock");
  if (options.systems.empty())
    return bad("no systems");
  return caf::none;
}

std::vector<sampler_spec> survey(const std::vector<interface_rule>& rules,
                                 const std::vector<std::string>& present,
                                 const std::string& node) {
  std::vector<sampler_spec> result;
  std::set<std::string> taken;
  const auto take
    = [&](const std::string& interface, const interface_rule& rule) {
        if (!taken.insert(interface).second)
          return;
        sampler_spec spec;
        spec.node = node;
        spec.interface = interface;
        spec.sampling_one_in = rule.sampling_one_in;
        spec.snaplen_bytes = rule.snaplen_bytes;
        spec.promiscuous = rule.promiscuous;
        result.push_back(std::move(spec));
      };
  for (const auto& rule : rules) {
    if (rule.pattern.find_first_of("*?[") == std::string::npos) {
      take(rule.pattern, rule);
      continue;
    }
    for (const auto& interface : present)
      if (fnmatch(rule.pattern.c_str(), interface.c_str(), 0) == 0)
        take(interface, rule);
  }
  return result;
}

node_state::node_state(node_actor::pointer ptr) : self(ptr) {}

node_pulse node_state::pulse() const {
  node_pulse result;
  result.now = options.wall_clock();
  if (auto present = options.list_interfaces())
    result.interfaces = std::move(*present);
  result.samplers = static_cast<std::uint32_t>(samplers.size());
  if (double load = 0; getloadavg(&load, 1) == 1)
    result.load_milli = static_cast<std::uint64_t>(load * 1000);
  result.processors = std::thread::hardware_concurrency();
  return result;
}

caf::result<std::vector<sampler_spec>>
node_state::survey(const std::string& system) {
  const auto i = options.systems.find(system);
  if (i == options.systems.end())
    return make_error(errc::unknown_system,
                      "node " + options.name + " has no system " + system);
  const auto present = options.list_interfaces();
  if (!present)
    return make_error(errc::no_interface, present.error().message);
  return edgecap::survey(i->second, *present, options.name);
}

caf::result<sampler_actor> node_state::sample(sampler_spec spec,
                                              std::int64_t stamp_correction_ns,
                                              const batch_sink_actor& sink) {
  if (shutting_down)
    return make_error(errc::shutting_down,
                      "node " + options.name + " is shutting down");
  samplers.push_back(self->spawn<caf::monitored>(
    sampler,
    sampler_options{std::move(spec), options.source, options.open_source,
                    stamp_correction_ns},
    sink));
  return samplers.back();
}

void node_state::ended(const caf::actor_addr& source) {
  const auto i
    = std::find_if(samplers.begin(), samplers.end(),
                   [&](const auto& x) { return x.address() == source; });
  if (i == samplers.end())
    return;
  *i = std::move(samplers.back());
  samplers.pop_back();
  if (samplers.empty())
    for (const auto& promise : std::exchange(shutdown_waiters, {}))
      promise.deliver(caf::ok_atom_v);
}

caf::result<caf::ok_atom> node_state::shutdown() {
  shutting_down = true;
  if (samplers.empty())
    return caf::ok_atom_v;
  for (const auto& x : samplers)
    self->send(x, atom::stop_v);
  shutdown_waiters.emplace_back(self->make_response_promise<caf::ok_atom>());
  return shutdown_waiters.back().raw();
}

node_actor::behavior_type node(node_actor::stateful_pointer<node_state> self,
                               node_options options) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return node_actor::behavior_type::make_empty_behavior();
  }
  self->state.options = std::move(options);
  self->set_down_handler(
    [self](caf::down_msg& down) { self->state.ended(down.source); });
  return {
    [self](atom::pulse) { return self->state.pulse(); },
    [self](atom::survey, const std::string& system) {
      return self->state.survey(system);
    },
    [self](atom::sample, sampler_spec& spec, const batch_sink_actor& sink) {
      return self->state.sample(std::move(spec), 0, sink);
    },
    [self](atom::sample, sampler_spec& spec, std::int64_t stamp_correction_ns,
           const batch_sink_actor& sink) {
      return self->state.sample(std::move(spec), stamp_correction_ns, sink);
    },
    [self](atom::shutdown) { return self->state.shutdown(); },
  };
}

} // namespace edgecap

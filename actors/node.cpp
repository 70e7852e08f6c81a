#include "actors/node.hpp"

#include "actors/actor_support.hpp"
#include "actors/sampler.hpp"

#include <fnmatch.h>

#include <set>
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

node_actor::behavior_type node(node_actor::stateful_pointer<node_state> self,
                               node_options options) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return node_actor::behavior_type::make_empty_behavior();
  }
  self->state.options = std::move(options);
  return {
    [self](atom::survey, const std::string& system)
      -> caf::result<std::vector<sampler_spec>> {
      const auto& opts = self->state.options;
      const auto i = opts.systems.find(system);
      if (i == opts.systems.end())
        return make_error(errc::unknown_system,
                          "node " + opts.name + " has no system " + system);
      const auto present = opts.list_interfaces();
      if (!present)
        return make_error(errc::no_interface, present.error().message);
      return survey(i->second, *present, opts.name);
    },
    [self](atom::sample, sampler_spec& spec,
           const batch_sink_actor& sink) -> caf::result<sampler_actor> {
      const auto& opts = self->state.options;
      return self->spawn(
        sampler,
        sampler_options{std::move(spec), opts.source, opts.open_source}, sink);
    },
  };
}

} // namespace edgecap

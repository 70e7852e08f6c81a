#include "actors/guardian.hpp"

#include "actors/actor_support.hpp"

#include <algorithm>
#include <utility>

namespace edgecap {

caf::behavior guardian(caf::stateful_actor<guardian_state>* self,
                       guarded_actors guarded, loss_handler on_loss) {
  install_default_handlers(self);
  self->state.guarded = std::move(guarded);
  for (const auto& [name, address] : self->state.guarded)
    self->monitor(address);
  self->set_down_handler([self,
                          on_loss = std::move(on_loss)](caf::down_msg& down) {
    const auto& all = self->state.guarded;
    const auto i = std::find_if(all.begin(), all.end(), [&](const auto& entry) {
      return entry.second == down.source;
    });
    const auto name = i == all.end() ? std::string{"unknown"} : i->first;
    const auto why = caf::to_string(down.reason);
    log_event{"actor-lost"}.with("actor", name).with("error", why).error();
    self->quit();
    on_loss(name, why);
  });
  return {[](caf::ok_atom) {
    // Nobody has anything to say to it.
  }};
}

} // namespace edgecap

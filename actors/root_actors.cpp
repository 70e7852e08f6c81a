#include "actors/root_actors.hpp"

#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <thread>

namespace edgecap {

namespace {

/// For an actor to end after EXIT, and then once more after KILL.
constexpr std::chrono::milliseconds exit_timeout{2000};

/// Pause between two looks at what still runs.
constexpr std::chrono::milliseconds poll_interval{10};

} // namespace

std::size_t end_root_actors(caf::actor_system& system,
                            std::vector<caf::actor> roots) {
  {
    caf::scoped_actor self{system};
    for (const auto reason :
         {caf::exit_reason::user_shutdown, caf::exit_reason::kill})
      for (const auto& root : roots) {
        if (!root)
          continue;
        auto down = false;
        self->monitor(root);
        self->send_exit(root, reason);
        self->receive([&](const caf::down_msg&) { down = true; },
                      caf::after(exit_timeout) >> [] {});
        if (!down)
          break; // the next round kills it
      }
  }
  roots.clear();
  // Their children are on their way.
  const auto deadline = std::chrono::steady_clock::now() + exit_timeout;
  while (system.registry().running() > 0
         && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(poll_interval);
  const auto left = system.registry().running();
  if (left > 0)
    system.await_actors_before_shutdown(false);
  return left;
}

} // namespace edgecap

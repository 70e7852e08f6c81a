#include "tests/simulation/life.hpp"

#include "actors/actor_support.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace edgecap::simulation {

namespace {

/// Where the actors' clock begins; its zero has a meaning of its own in CAF.
constexpr auto clock_base = std::chrono::hours{1};

/// What a message is about.
const char* subject_of(const caf::mailbox_element& x) {
  const auto& content = x.content();
  if (content.match_elements<caf::down_msg>())
    return "gets down";
  if (content.match_elements<caf::exit_msg>())
    return "gets exit";
  if (x.mid.is_response())
    return content.match_elements<caf::error>() ? "gets error" : "gets answer";
  return "gets";
}

std::string verb_of(const caf::mailbox_element& x) {
  const auto& content = x.content();
  if (content.size() > 0 && content.match_element<caf::atom_value>(0))
    return to_string(content.get_as<caf::atom_value>(0));
  return {};
}

} // namespace

caf::actor_system_config& life::prepared(caf::actor_system_config& config) {
  prepare(config, 1);
  config.set("scheduler.policy", caf::atom("testing"));
  config.set("logger.inline-output", true);
  return config;
}

life::life(engine_options options, instant now, trace& log)
  : system_(prepared(config_)),
    scheduler_(dynamic_cast<coordinator&>(system_.scheduler())), trace_(log),
    now_(now) {
  scheduler_.clock().current_time += clock_base + now;
  run_all();
  baseline_ = system_.registry().running();
  limiter = system_.spawn(rate_limiter, options.limiter);
  storage = system_.spawn(edgecap::storage, std::move(options.storage));
  // As the engine does: nobody is served before storage is open. What it does
  // after that takes its turns as all else does.
  for (auto starts = scheduler_.jobs.size(); starts > 0; --starts)
    scheduler_.try_run_once();
  if (dead(storage)) {
    failed_ = true;
    return;
  }
  node = system_.spawn(edgecap::node, std::move(*options.node));
  fleet = system_.spawn(edgecap::fleet, std::move(options.fleet), node);
  registry = system_.spawn(job_registry, std::move(options.registry),
                           job_registry_peers{limiter, storage, fleet});
  guardian_ = spawn_guardian(system_, std::move(options.on_loss), limiter,
                             storage, node, fleet, registry);
  system_.spawn([this](caf::event_based_actor* self) {
    install_default_handlers(self);
    self->request(registry, request_timeout, atom::resume_v)
      .then([this](caf::ok_atom) { resumed_ = true; },
            [this](caf::error&) { failed_ = true; });
  });
}

life::~life() {
  end_all(false);
}

std::size_t life::stop() {
  return end_all(true);
}

bool life::deliver_one(
  random_stream& draws, std::uint32_t schedule,
  const std::function<bool(const caf::abstract_actor*)>& away) {
  auto& jobs = scheduler_.jobs;
  if (jobs.empty())
    return false;
  auto index = choose(draws, schedule);
  for (std::size_t seen = 0;
       away(dynamic_cast<const caf::abstract_actor*>(jobs[index])); ++seen) {
    if (seen == jobs.size())
      return false;
    index = (index + 1) % jobs.size();
  }
  auto* actor = dynamic_cast<caf::scheduled_actor*>(jobs[index]);
  if (actor != nullptr) {
    largest_mailbox_ = std::max(largest_mailbox_, actor->mailbox().size());
    if (const auto* next = actor->peek_at_next_mailbox_element())
      trace_.note(now_, actor->name(), actor->id(), subject_of(*next), 0,
                  verb_of(*next));
  }
  const auto i = jobs.begin() + static_cast<std::ptrdiff_t>(index);
  std::rotate(jobs.begin(), i, i + 1);
  return scheduler_.try_run_once();
}

/// Mostly anybody; some schedules prefer the last or the first who became
/// ready, or let one kind of actor wait for long.
std::size_t life::choose(random_stream& draws, std::uint32_t schedule) const {
  const auto& jobs = scheduler_.jobs;
  const auto any = static_cast<std::size_t>(draws.below(jobs.size()));
  switch (schedule) {
  case 4:
    return draws.one_in(4) ? any : jobs.size() - 1;
  case 5:
    return draws.one_in(16) ? any : 0;
  case 6:
  case 7: {
    static constexpr const char* slow[] = {"job", "job-registry"};
    const auto* actor = dynamic_cast<caf::scheduled_actor*>(jobs[any]);
    if (actor == nullptr || draws.one_in(16)
        || std::strcmp(actor->name(), slow[schedule - 6]) != 0)
      return any;
    return static_cast<std::size_t>(draws.below(jobs.size()));
  }
  default:
    return any;
  }
}

std::optional<instant> life::next_timer() const {
  const auto& schedule = scheduler_.clock().schedule();
  if (schedule.empty())
    return std::nullopt;
  return std::chrono::duration_cast<instant>(
           schedule.begin()->first.time_since_epoch())
         - clock_base;
}

void life::advance(instant to) {
  if (to > now_)
    scheduler_.advance_time(to - now_);
  now_ = to;
}

void life::run_all() {
  while (scheduler_.try_run_once()) {
    // All that there is to do at this moment.
  }
}

std::size_t life::end_all(bool in_order) {
  if (std::exchange(ended_, true))
    return 0;
  const auto reason
    = in_order ? caf::exit_reason::user_shutdown : caf::exit_reason::kill;
  // Whoever talks goes before whom it talks to.
  const auto end = [&](auto& handle) {
    if (!handle)
      return;
    caf::anon_send_exit(handle, reason);
    handle = nullptr;
    run_all();
  };
  end(guardian_);
  end(registry);
  end(fleet);
  end(node);
  end(limiter);
  end(storage);
  // Timers hold their actors, and nobody will fire them any more.
  scheduler_.clock().cancel_all();
  run_all();
  const auto left = system_.registry().running() - baseline_;
  if (left > 0)
    system_.await_actors_before_shutdown(false); // say so instead of hanging
  return left;
}

} // namespace edgecap::simulation

#include "tests/support/actor_fixture.hpp"

namespace edgecap::test {

namespace {

/// 2026-01-01T00:00:00Z less the hour that the clock starts with.
constexpr unix_ns epoch = 1'767'225'600'000'000'000 - 3'600'000'000'000;

} // namespace

caf::actor_system_config&
actor_fixture::prepare(caf::actor_system_config& cfg) {
  // An atom, not a string, or CAF ignores it and starts real threads.
  cfg.set("scheduler.policy", caf::atom("testing"));
  cfg.set("logger.console", caf::atom("none"));
  cfg.set("logger.inline-output", true);
  cfg.add_message_types<caf::id_block::edgecap>();
  cfg.add_message_types<caf::id_block::edgecap_handles>();
  return cfg;
}

actor_fixture::actor_fixture()
  : sys(prepare(cfg)), self(sys, true),
    sched(dynamic_cast<coordinator&>(sys.scheduler())) {
  // The zero of the clock has a special meaning in CAF.
  sched.clock().current_time += std::chrono::hours(1);
  baseline_ = sys.registry().running();
}

void actor_fixture::TearDown() {
  for (const auto& address : tracked_)
    if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(address))
      caf::anon_send_exit(caf::actor_cast<caf::actor>(strong),
                          caf::exit_reason::kill);
  run();
  // Timers hold their actors, and nobody will fire them any more.
  sched.clock().cancel_all();
  run();
  tracked_.clear();
  const auto left = sys.registry().running();
  EXPECT_EQ(left, baseline_) << "actors outlive the test";
  if (left != baseline_)
    sys.await_actors_before_shutdown(false); // fail instead of hanging
}

void actor_fixture::advance(std::chrono::nanoseconds duration,
                            std::chrono::nanoseconds hop) {
  run();
  while (duration.count() > 0) {
    const auto next = std::min(duration, hop);
    sched.advance_time(next);
    run();
    duration -= next;
  }
}

unix_ns actor_fixture::now() const {
  return epoch
         + std::chrono::nanoseconds{sched.clock().now().time_since_epoch()}
             .count();
}

::testing::AssertionResult actor_fixture::idle() {
  if (!sched.has_job())
    return ::testing::AssertionSuccess();
  auto result = ::testing::AssertionFailure();
  for (auto* job : sched.jobs)
    if (auto* actor = dynamic_cast<caf::abstract_actor*>(job))
      result << " actor " << actor->id() << ": " << next_message(actor);
  return result;
}

bool actor_fixture::deliver(caf::abstract_actor* target) {
  if (auto* blocking = dynamic_cast<caf::blocking_actor*>(target)) {
    blocking->dequeue();
    return true;
  }
  auto* job = dynamic_cast<caf::resumable*>(target);
  const auto i = std::find(sched.jobs.begin(), sched.jobs.end(), job);
  if (job == nullptr || i == sched.jobs.end())
    return false;
  std::rotate(sched.jobs.begin(), i, std::next(i));
  return sched.try_run_once();
}

caf::behavior probe(caf::event_based_actor* self) {
  self->set_default_handler(
    [](caf::scheduled_actor*, caf::message_view&) -> caf::result<caf::message> {
      // Not caf::drop, which answers what was merely sent with an error.
      return caf::message{};
    });
  self->set_down_handler([](caf::down_msg&) {});
  return {[](caf::ok_atom) {}};
}

} // namespace edgecap::test

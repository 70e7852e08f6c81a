#include "http/asker.hpp"

#include "actors/log_event.hpp"
#include "actors/messages.hpp"

#include <caf/sec.hpp>

namespace edgecap::http {

namespace {

thread_local asker* current_asker = nullptr;

} // namespace

void log_thrown(const char* what) noexcept {
  try {
    log_event{"http-continuation-threw"}.with("error", what).error();
  } catch (...) { // NOLINT(bugprone-empty-catch)
    // Who cannot log cannot say so either.
  }
}

asker::scope::scope(asker* self) noexcept
  : before_(std::exchange(current_asker, self)) {}

asker::scope::~scope() {
  current_asker = before_;
}

asker::asker(caf::actor_config& config) : caf::event_based_actor(config) {
  set_default_handler(caf::drop);
}

asker* asker::current() noexcept {
  return current_asker;
}

caf::behavior asker::make_behavior() {
  return {
    [this](errand& begin) {
      const scope as_current{this};
      begin(*this);
    },
    [this](atom::tick) { look_at_deadlines(); },
  };
}

void asker::on_exit() {
  for (auto& [instant, open] : std::exchange(open_, {}))
    open.what->fail(
      make_error(errc::shutting_down, "edgecap is shutting down"));
}

asker::deadlines::iterator asker::watch(caf::message_id response,
                                        std::chrono::milliseconds patience,
                                        std::shared_ptr<question> what) {
  tick_later();
  // Most questions have the same patience, so that the last is the latest.
  return open_.emplace_hint(open_.end(), clock().now() + patience,
                            open_question{response, std::move(what)});
}

void asker::forget(deadlines::iterator place) {
  open_.erase(place);
}

void asker::look_at_deadlines() {
  ticking_ = false;
  const auto now = clock().now();
  while (!open_.empty() && open_.begin()->first <= now) {
    const auto late = std::move(open_.begin()->second);
    open_.erase(open_.begin());
    // An answer that comes all the same finds no handler, and is dropped.
    multiplexed_responses_.erase(late.response);
    const scope as_current{this};
    late.what->fail(caf::make_error(caf::sec::request_timeout));
  }
  if (!open_.empty())
    tick_later();
}

void asker::tick_later() {
  if (std::exchange(ticking_, true))
    return;
  delayed_send(this, tick_interval, atom::tick_v);
}

} // namespace edgecap::http

#pragma once

#include "actors/log_event.hpp"

#include <caf/error.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/message_view.hpp>
#include <caf/result.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>

// What every actor of the house needs and CAF 0.17 does not give.
namespace edgecap {

/// Longest that one actor waits for another's answer. Each pending request
/// keeps its requester in memory until then, answered or not, so it is short.
inline constexpr std::chrono::seconds request_timeout{10};

/// Routes what CAF would print on stdout to the log: unexpected messages,
/// exceptions, DOWN and EXIT messages that nobody handles.
template <class Self>
void install_default_handlers(Self* self) {
  self->set_default_handler(
    [](caf::scheduled_actor* me,
       caf::message_view& view) -> caf::result<caf::message> {
      log_event{"unexpected-message"}
        .with("actor", me->name())
        .with("id", me->id())
        .with("message", to_string(view.move_content_to_message()))
        .warn();
      return caf::sec::unexpected_message;
    });
  self->set_exception_handler(
    [](caf::scheduled_actor* me, std::exception_ptr& pending) -> caf::error {
      std::string what = "unknown exception";
      try {
        std::rethrow_exception(pending);
      } catch (const std::exception& x) {
        what = x.what();
      } catch (...) {
        // Keeps the text above: there is nothing to ask.
      }
      log_event{"actor-threw"}
        .with("actor", me->name())
        .with("id", me->id())
        .with("error", what)
        .error();
      return caf::make_error(caf::sec::runtime_error, what);
    });
  // An error that answers no request (a peer refused what was merely sent)
  // would end the actor.
  self->set_error_handler([](caf::scheduled_actor* me, caf::error& err) {
    log_event{"unexpected-error"}
      .with("actor", me->name())
      .with("id", me->id())
      .with("error", caf::to_string(err))
      .warn();
  });
  self->set_down_handler([](caf::scheduled_actor*, caf::down_msg&) {
    // An actor that cares installs its own; a late DOWN is no event.
  });
}

/// A promise that cannot be forgotten: CAF 0.17 has no broken promise, so a
/// dropped one would leave its asker to the timeout. Copies share it; when the
/// last one goes unanswered, it answers an error.
template <class... Ts>
class guarded_promise {
public:
  explicit guarded_promise(caf::typed_response_promise<Ts...> promise)
    : box_(std::make_shared<box>(std::move(promise))) {}

  /// Answers; later calls have no effect.
  template <class... Us>
  void deliver(Us&&... xs) const {
    if (box_->promise.pending())
      box_->promise.deliver(std::forward<Us>(xs)...);
  }

  bool pending() const {
    return box_->promise.pending();
  }

  /// What the message handler returns.
  caf::typed_response_promise<Ts...> raw() const {
    return box_->promise;
  }

private:
  struct box {
    explicit box(caf::typed_response_promise<Ts...> x)
      : promise(std::move(x)) {}

    ~box() {
      if (promise.pending())
        promise.deliver(caf::make_error(caf::sec::runtime_error,
                                        std::string{"broken promise"}));
    }

    caf::typed_response_promise<Ts...> promise;
  };

  std::shared_ptr<box> box_;
};

} // namespace edgecap

#pragma once

#include "actors/errors.hpp"
#include "http/bridge.hpp"

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>

namespace edgecap::http {

/// What waits for an answer of the engine.
class question {
public:
  virtual ~question() = default;

  /// Ends it without an answer; nothing happens if it has ended.
  virtual void fail(const caf::error& why) noexcept = 0;
};

/// Logs an exception of a continuation.
void log_thrown(const char* what) noexcept;

/// Calls a continuation exactly once: in its destructor at the latest, when the
/// actor system goes down with the question.
template <class T>
class completion final : public question {
public:
  explicit completion(continuation<T> then) : then_(std::move(then)) {}

  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  ~completion() override {
    fail(make_error(errc::shutting_down, "edgecap is shutting down"));
  }

  void fail(const caf::error& why) noexcept override {
    if (then_)
      fire(tl::unexpected<failure>{describe(why)});
  }

  /// Nothing happens if it has ended.
  void fire(outcome<T> answer) noexcept {
    const auto then = std::exchange(then_, nullptr);
    if (!then)
      return;
    try {
      then(std::move(answer));
    } catch (const std::exception& error) {
      log_thrown(error.what());
    } catch (...) {
      log_thrown("of an unknown type");
    }
  }

private:
  continuation<T> then_;
};

/// An actor that asks others on behalf of threads that are no actors.
///
/// CAF can keep time for each request, but that wakes the thread of its clock
/// for each, and keeps the request in memory until then, answered or not. An
/// asker asks without a timeout and looks at all its deadlines now and then.
class asker : public caf::event_based_actor {
public:
  /// A message that has an asker do something on its thread.
  using errand = std::function<void(asker&)>;

  explicit asker(caf::actor_config& config);

  /// The asker whose errand or whose answer this thread works at, or null.
  static asker* current() noexcept;

  void on_exit() override;

  /// Asks `whom`; `then` is called on this actor's thread, with a timeout as
  /// its error at most a `tick_interval` after `patience`. `Wire` is the type
  /// that `whom` answers, of which `convert` makes what `then` takes.
  template <class Wire, class T, class Handle, class... Ts>
  void ask(const Handle& whom, std::chrono::milliseconds patience,
           std::shared_ptr<completion<T>> then, Ts&&... xs) {
    const auto response
      = this->request(whom, caf::infinite, std::forward<Ts>(xs)...);
    const auto place = watch(response.id(), patience, then);
    response.then(
      [this, place, then](Wire& answer) {
        const scope as_current{this};
        forget(place);
        if constexpr (std::is_same_v<Wire, caf::ok_atom>)
          then->fire(http::done{});
        else
          then->fire(std::move(answer));
      },
      [this, place, then](caf::error& why) {
        const scope as_current{this};
        forget(place);
        then->fail(why);
      });
  }

  /// How late it may be noticed that a question is out of time.
  static constexpr std::chrono::milliseconds tick_interval{100};

protected:
  caf::behavior make_behavior() override;

private:
  struct open_question {
    caf::message_id response;
    std::shared_ptr<question> what;
  };

  using deadlines = std::multimap<caf::actor_clock::time_point, open_question>;

  /// Makes an asker the current one, as long as it lives.
  class scope {
  public:
    explicit scope(asker* self) noexcept;
    ~scope();

    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

  private:
    asker* before_;
  };

  deadlines::iterator watch(caf::message_id response,
                            std::chrono::milliseconds patience,
                            std::shared_ptr<question> what);
  void forget(deadlines::iterator place);
  void look_at_deadlines();
  void tick_later();

  deadlines open_;
  bool ticking_ = false;
};

} // namespace edgecap::http

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::http::asker::errand)

#pragma once

#include "actors/interfaces.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/blocking_actor.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

// The harness for actor tests: see tests/support/README.md for the one page
// that a writer of such a test needs.
namespace edgecap::test {

/// Stands for any sender in `expect`.
struct any_t {};
inline constexpr any_t any{};

/// Runs actors one message at a time, on simulated time, in the test's thread.
///
/// CAF's own caf/test/dsl.hpp cannot be used with GoogleTest: its macros
/// (`expect`, `inject`, `_`) collide with ours and GoogleMock's.
class actor_fixture : public ::testing::Test {
public:
  using coordinator = caf::scheduler::test_coordinator;

  // -- lifetime ---------------------------------------------------------------

  actor_fixture();

  /// Kills what the test left, and fails the test if an actor survives: a
  /// survivor is a leaked handle, promise or timer.
  void TearDown() override;

  /// Has `handle` killed at the end of the test; returns it.
  template <class Handle>
  Handle track(Handle handle) {
    tracked_.push_back(caf::actor_cast<caf::actor_addr>(handle));
    return handle;
  }

  /// Spawns an actor and runs its initialization, but nothing else.
  template <class... Ts>
  auto spawn(Ts&&... xs) {
    auto handle = track(sys.spawn(std::forward<Ts>(xs)...));
    if (raw(handle)->peek_at_next_mailbox_element() == nullptr)
      deliver(raw(handle));
    return handle;
  }

  // -- running ----------------------------------------------------------------

  /// Delivers messages until none is left. Time stands still.
  std::size_t run() {
    return sched.run();
  }

  /// Delivers one message of the next ready actor; false if there is none.
  bool step() {
    return sched.try_run_once();
  }

  /// Lets time pass in small hops, firing what is due and running what that
  /// wakes.
  void advance(std::chrono::nanoseconds duration,
               std::chrono::nanoseconds hop = std::chrono::milliseconds{10});

  /// Lets time pass but leaves the messages that this produces undelivered.
  void advance_only(std::chrono::nanoseconds duration) {
    sched.advance_time(duration);
  }

  /// The simulated date, in step with the actor clock.
  unix_ns now() const;

  // -- looking ----------------------------------------------------------------

  /// The next message of `to`, if it has exactly these types.
  template <class... Ts, class To>
  std::optional<std::tuple<Ts...>> peek(const To& to) {
    auto* element = raw(to)->peek_at_next_mailbox_element();
    if (element == nullptr
        || !element->content().template match_elements<Ts...>())
      return std::nullopt;
    return std::apply([](auto&&... xs) { return std::tuple<Ts...>{xs...}; },
                      element->content().template get_as_tuple<Ts...>());
  }

  /// The next message of `to` as text, "<none>" if there is none.
  template <class To>
  std::string next_message(const To& to) {
    auto* element = raw(to)->peek_at_next_mailbox_element();
    return element == nullptr ? "<none>" : to_string(element->content());
  }

  /// Expects that the next message of `to` has the types `Ts` and comes from
  /// `from` (or `any`), delivers just this message and returns its content.
  /// Otherwise the test fails and nothing is delivered.
  template <class... Ts, class From, class To>
  std::optional<std::tuple<Ts...>> expect(const From& from, const To& to) {
    auto* target = raw(to);
    auto* element = target->peek_at_next_mailbox_element();
    if (element == nullptr) {
      ADD_FAILURE() << "expected a message, but there is none for actor "
                    << target->id();
      return std::nullopt;
    }
    if constexpr (!std::is_same_v<From, any_t>) {
      if (caf::actor_cast<caf::abstract_actor*>(element->sender) != raw(from)) {
        ADD_FAILURE() << "wrong sender of " << to_string(element->content());
        return std::nullopt;
      }
    }
    auto result = peek<Ts...>(to);
    if (!result) {
      ADD_FAILURE() << "the next message is " << to_string(element->content());
      return std::nullopt;
    }
    deliver(target);
    return result;
  }

  /// Delivers one message to `to`, whatever it is; false if there is none.
  template <class To>
  bool deliver_to(const To& to) {
    return deliver(raw(to));
  }

  /// Whether `handle` has ended.
  template <class Handle>
  bool dead(const Handle& handle) {
    return raw(handle)->getf(caf::abstract_actor::is_terminated_flag);
  }

  /// The state of a typed stateful actor, for looking only.
  template <class State, class Handle>
  static const State& state_of(const Handle& handle) {
    using actor_type = caf::stateful_actor<State, typename Handle::base>;
    return dynamic_cast<actor_type&>(*raw(handle)).state;
  }

  /// Succeeds if no message waits anywhere.
  ::testing::AssertionResult idle();

  // -- sending ----------------------------------------------------------------

  /// Sends as `from` and leaves the message undelivered.
  template <class From, class To, class... Ts>
  void send_as(const From& from, const To& to, Ts&&... xs) {
    caf::send_as(caf::actor_cast<caf::actor>(from),
                 caf::actor_cast<caf::actor>(to), std::forward<Ts>(xs)...);
  }

  /// Sends a request without running it; for `receive_answer`.
  template <class To, class... Ts>
  auto ask_later(const To& to, Ts&&... xs) {
    return self->request(to, caf::infinite, std::forward<Ts>(xs)...);
  }

  /// The answer to an earlier `ask_later`; a timeout error if none has come.
  template <class Result, class Pending>
  caf::expected<Result> receive_answer(Pending& pending) {
    caf::expected<Result> result{caf::make_error(caf::sec::request_timeout)};
    // A blocking receive without a message would hang the test.
    if (!self->has_next_message())
      return result;
    pending.receive([&](Result& x) { result = std::move(x); },
                    [&](caf::error& err) { result = std::move(err); });
    return result;
  }

  /// Asks, runs everything, returns the answer. Fires no timeout: what stays
  /// unanswered is a timeout error.
  template <class Result, class To, class... Ts>
  caf::expected<Result> ask(const To& to, Ts&&... xs) {
    auto pending = ask_later(to, std::forward<Ts>(xs)...);
    run();
    return receive_answer<Result>(pending);
  }

  caf::actor_system_config cfg;
  caf::actor_system sys;
  caf::scoped_actor self;
  coordinator& sched;

private:
  static caf::actor_system_config& prepare(caf::actor_system_config& cfg);

  static caf::abstract_actor* raw(caf::abstract_actor* x) {
    return x;
  }

  static caf::abstract_actor* raw(const caf::scoped_actor& x) {
    return caf::actor_cast<caf::abstract_actor*>(x);
  }

  template <class Handle>
  static caf::abstract_actor* raw(const Handle& x) {
    return caf::actor_cast<caf::abstract_actor*>(x);
  }

  bool deliver(caf::abstract_actor* target);

  std::vector<caf::actor_addr> tracked_;
  std::size_t baseline_ = 0;
};

/// An actor that takes everything and does nothing: stands in for any peer.
/// Messages wait in its mailbox until they are expected, or until `run`.
caf::behavior probe(caf::event_based_actor* self);

/// The failure that an answer carries; `ours == false` if it is a value.
template <class T>
failure failure_of(const caf::expected<T>& answer) {
  return answer ? failure{} : describe(answer.error());
}

} // namespace edgecap::test

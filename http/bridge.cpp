#include "http/bridge.hpp"

#include "actors/interfaces.hpp"
#include "actors/log_event.hpp"
#include "http/deadline_list.hpp"
#include "http/server.hpp"

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace edgecap::http {

namespace {

/// Longest that anybody waits for the engine.
constexpr std::chrono::milliseconds max_timeout{10000};

/// How late it may be noticed that a question is out of time.
constexpr std::chrono::milliseconds tick_interval{100};

/// Calls a continuation exactly once: with the answer, when it is out of time,
/// or in its destructor, when the actor system goes down with the question.
template <class T>
class completion final : public timed {
public:
  completion(continuation<T> then, std::shared_ptr<deadline_list> deadlines)
    : then_(std::move(then)), deadlines_(std::move(deadlines)) {}

  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  ~completion() override {
    failure ended;
    ended.ours = true;
    ended.code = errc::shutting_down;
    ended.text = "edgecap is shutting down";
    fire(tl::unexpected<failure>{std::move(ended)});
  }

  /// Before anybody may answer. Returns whether somebody must begin to look at
  /// the deadlines.
  bool watch(deadline_list::time_point until, std::weak_ptr<timed> self) {
    const auto added = deadlines_->add(until, std::move(self));
    place_ = added.place;
    return added.first;
  }

  void time_out() noexcept override {
    fire(tl::unexpected<failure>{
      describe(caf::make_error(caf::sec::request_timeout))});
  }

  void fire(outcome<T> answer) noexcept {
    // The answer may come when the time is over, on another thread.
    if (fired_.exchange(true))
      return;
    deadlines_->remove(place_);
    const auto then = std::exchange(then_, nullptr);
    try {
      then(std::move(answer));
    } catch (const std::exception& error) {
      log_event{"http-continuation-threw"}.with("error", error.what()).error();
    } catch (...) {
      log_event{"http-continuation-threw"}.error();
    }
  }

private:
  std::atomic<bool> fired_{false};
  continuation<T> then_;
  std::shared_ptr<deadline_list> deadlines_;
  deadline_list::handle place_;
};

/// Looks at the deadlines for as long as there are any. CAF would keep time for
/// each request, and wake its clock's thread for each; this is one for all.
caf::behavior keep_time(caf::event_based_actor* self,
                        const std::shared_ptr<deadline_list>& deadlines) {
  self->set_default_handler(caf::drop);
  return {[self, deadlines](atom::tick) {
    if (deadlines->expire(self->clock().now()))
      self->delayed_send(self, tick_interval, atom::tick_v);
  }};
}

template <class Wire>
struct answer_of {
  using type = Wire;
};

template <>
struct answer_of<caf::ok_atom> {
  using type = done;
};

/// The actor whose answer this thread hands on right now.
thread_local caf::event_based_actor* current_asker = nullptr;

/// Makes an actor the current one, as long as it lives.
class asker_scope {
public:
  explicit asker_scope(caf::event_based_actor* self)
    : before_(std::exchange(current_asker, self)) {}

  asker_scope(const asker_scope&) = delete;
  asker_scope& operator=(const asker_scope&) = delete;

  ~asker_scope() {
    current_asker = before_;
  }

private:
  caf::event_based_actor* before_;
};

} // namespace

class bridge::impl {
public:
  impl(caf::actor_system& sys, engine_handles handles,
       std::chrono::milliseconds patience)
    : system(sys), engine(std::move(handles)), timeout(patience),
      time_keeper(system.spawn<caf::hidden>(keep_time, deadlines)) {}

  template <class Wire, class Handle, class... Ts>
  void ask(const Handle& whom, std::chrono::milliseconds patience,
           continuation<typename answer_of<Wire>::type> then, Ts... xs) const;

  caf::actor_system& system;
  engine_handles engine;
  std::chrono::milliseconds timeout;
  std::shared_ptr<deadline_list> deadlines = std::make_shared<deadline_list>();
  caf::actor time_keeper;
};

/// `Wire` is the type that the actor answers. One short-lived hidden actor per
/// request of a client: it needs no monitor, for the deadline ends every wait,
/// and CAF drops it with the system. A continuation that asks again does so
/// with the actor that called it.
template <class Wire, class Handle, class... Ts>
void bridge::impl::ask(const Handle& whom, std::chrono::milliseconds patience,
                       continuation<typename answer_of<Wire>::type> then,
                       Ts... xs) const {
  using answer_type = typename answer_of<Wire>::type;
  auto pending
    = std::make_shared<completion<answer_type>>(std::move(then), deadlines);
  if (pending->watch(system.clock().now() + patience, pending))
    caf::anon_send(time_keeper, atom::tick_v);
  const auto begin = [=](caf::event_based_actor* self) {
    self->request(whom, caf::infinite, xs...)
      .then(
        [self, pending](Wire& answer) {
          const asker_scope scope{self};
          if constexpr (std::is_same_v<Wire, caf::ok_atom>)
            pending->fire(done{});
          else
            pending->fire(std::move(answer));
        },
        [self, pending](caf::error& error) {
          const asker_scope scope{self};
          pending->fire(tl::unexpected<failure>{describe(error)});
        });
  };
  if (current_asker != nullptr)
    return begin(current_asker);
  system.spawn<caf::hidden>([begin](caf::event_based_actor* self) {
    self->set_default_handler(caf::drop);
    begin(self);
  });
}

bridge::bridge(caf::actor_system& system, engine_handles engine,
               std::chrono::milliseconds timeout)
  : impl_(std::make_unique<const impl>(system, std::move(engine),
                                       std::min(timeout, max_timeout))) {}

bridge::~bridge() = default;

void bridge::acquire(std::string account, continuation<admission> then) const {
  impl_->ask<admission>(impl_->engine.limiter, impl_->timeout, std::move(then),
                        atom::acquire_v, std::move(account),
                        allowance::general);
}

void bridge::create(job_spec spec, std::string key,
                    continuation<creation> then) const {
  impl_->ask<creation>(impl_->engine.registry, impl_->timeout, std::move(then),
                       atom::create_v, std::move(spec), std::move(key));
}

void bridge::get(std::string account, std::string id,
                 continuation<job_record> then) const {
  impl_->ask<job_record>(impl_->engine.registry, impl_->timeout,
                         std::move(then), atom::get_v, std::move(account),
                         std::move(id));
}

void bridge::list(list_query query, continuation<shared_job_page> then) const {
  impl_->ask<shared_job_page>(impl_->engine.registry, impl_->timeout,
                              std::move(then), atom::list_v, std::move(query));
}

void bridge::stop(std::string account, std::string id,
                  continuation<job_record> then) const {
  impl_->ask<job_record>(impl_->engine.registry, impl_->timeout,
                         std::move(then), atom::stop_v, std::move(account),
                         std::move(id));
}

void bridge::erase(std::string account, std::string id,
                   continuation<done> then) const {
  impl_->ask<caf::ok_atom>(impl_->engine.registry, impl_->timeout,
                           std::move(then), atom::erase_v, std::move(account),
                           std::move(id));
}

void bridge::download(std::string account, std::string id,
                      savefile_format format,
                      continuation<savefile> then) const {
  impl_->ask<savefile>(impl_->engine.registry, impl_->timeout, std::move(then),
                       atom::download_v, std::move(account), std::move(id),
                       format);
}

void bridge::follow(std::string account, std::string id, follower_ptr who,
                    continuation<done> then) const {
  impl_->ask<caf::ok_atom>(impl_->engine.registry, impl_->timeout,
                           std::move(then), atom::follow_v, std::move(account),
                           std::move(id), std::move(who));
}

void bridge::engine_facts(std::chrono::milliseconds patience,
                          continuation<engine_stats> then) const {
  impl_->ask<engine_stats>(impl_->engine.registry,
                           std::min(patience, impl_->timeout), std::move(then),
                           atom::stats_v);
}

void bridge::storage_facts(std::chrono::milliseconds patience,
                           continuation<storage_stats> then) const {
  impl_->ask<storage_stats>(impl_->engine.storage,
                            std::min(patience, impl_->timeout), std::move(then),
                            atom::stats_v);
}

} // namespace edgecap::http

#include "http/bridge.hpp"

#include "actors/interfaces.hpp"
#include "actors/log_event.hpp"
#include "http/server.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/sec.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace edgecap::http {

namespace {

/// Longest that CAF may be asked to wait: each request keeps its asker in
/// memory until then, answered or not.
constexpr std::chrono::milliseconds max_timeout{10000};

/// Calls a continuation exactly once: at the latest in its destructor, when the
/// actor system goes down with the question.
template <class T>
class completion {
public:
  explicit completion(continuation<T> then) : then_(std::move(then)) {}

  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  ~completion() {
    failure ended;
    ended.ours = true;
    ended.code = errc::shutting_down;
    ended.text = "edgecap is shutting down";
    fire(tl::unexpected<failure>{std::move(ended)});
  }

  void fire(outcome<T> answer) noexcept {
    const auto then = std::exchange(then_, nullptr);
    if (!then)
      return;
    try {
      then(std::move(answer));
    } catch (const std::exception& error) {
      log_event{"http-continuation-threw"}.with("error", error.what()).error();
    } catch (...) {
      log_event{"http-continuation-threw"}.error();
    }
  }

private:
  continuation<T> then_;
};

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

/// `Wire` is the type that the actor answers. One short-lived hidden actor per
/// request of a client: it needs no monitor, for the timeout ends every wait,
/// and CAF drops it with the system. A continuation that asks again does so
/// with the actor that called it.
template <class Wire, class Handle, class... Ts>
void ask(caf::actor_system& system, const Handle& whom,
         std::chrono::milliseconds timeout,
         continuation<typename answer_of<Wire>::type> then, Ts... xs) {
  using answer_type = typename answer_of<Wire>::type;
  auto pending = std::make_shared<completion<answer_type>>(std::move(then));
  const auto begin = [=](caf::event_based_actor* self) {
    self->request(whom, timeout, xs...)
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

} // namespace

class bridge::impl {
public:
  caf::actor_system& system;
  engine_handles engine;
  std::chrono::milliseconds timeout;
};

bridge::bridge(caf::actor_system& system, engine_handles engine,
               std::chrono::milliseconds timeout)
  : impl_(new impl{system, std::move(engine), std::min(timeout, max_timeout)}) {
}

bridge::~bridge() = default;

void bridge::acquire(std::string account, continuation<admission> then) const {
  ask<admission>(impl_->system, impl_->engine.limiter, impl_->timeout,
                 std::move(then), atom::acquire_v, std::move(account),
                 allowance::general);
}

void bridge::create(job_spec spec, std::string key,
                    continuation<creation> then) const {
  ask<creation>(impl_->system, impl_->engine.registry, impl_->timeout,
                std::move(then), atom::create_v, std::move(spec),
                std::move(key));
}

void bridge::get(std::string account, std::string id,
                 continuation<job_record> then) const {
  ask<job_record>(impl_->system, impl_->engine.registry, impl_->timeout,
                  std::move(then), atom::get_v, std::move(account),
                  std::move(id));
}

void bridge::list(list_query query, continuation<shared_job_page> then) const {
  ask<shared_job_page>(impl_->system, impl_->engine.registry, impl_->timeout,
                       std::move(then), atom::list_v, std::move(query));
}

void bridge::stop(std::string account, std::string id,
                  continuation<job_record> then) const {
  ask<job_record>(impl_->system, impl_->engine.registry, impl_->timeout,
                  std::move(then), atom::stop_v, std::move(account),
                  std::move(id));
}

void bridge::erase(std::string account, std::string id,
                   continuation<done> then) const {
  ask<caf::ok_atom>(impl_->system, impl_->engine.registry, impl_->timeout,
                    std::move(then), atom::erase_v, std::move(account),
                    std::move(id));
}

void bridge::download(std::string account, std::string id,
                      savefile_format format,
                      continuation<savefile> then) const {
  ask<savefile>(impl_->system, impl_->engine.registry, impl_->timeout,
                std::move(then), atom::download_v, std::move(account),
                std::move(id), format);
}

void bridge::follow(std::string account, std::string id, follower_ptr who,
                    continuation<done> then) const {
  ask<caf::ok_atom>(impl_->system, impl_->engine.registry, impl_->timeout,
                    std::move(then), atom::follow_v, std::move(account),
                    std::move(id), std::move(who));
}

void bridge::engine_facts(std::chrono::milliseconds patience,
                          continuation<engine_stats> then) const {
  ask<engine_stats>(impl_->system, impl_->engine.registry,
                    std::min(patience, impl_->timeout), std::move(then),
                    atom::stats_v);
}

void bridge::storage_facts(std::chrono::milliseconds patience,
                           continuation<storage_stats> then) const {
  ask<storage_stats>(impl_->system, impl_->engine.storage,
                     std::min(patience, impl_->timeout), std::move(then),
                     atom::stats_v);
}

} // namespace edgecap::http

#include "http/bridge.hpp"

#include "actors/interfaces.hpp"
#include "http/asker.hpp"
#include "http/server.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

namespace edgecap::http {

namespace {

/// Longest that anybody waits for the engine.
constexpr std::chrono::milliseconds max_timeout{10000};

} // namespace

class bridge::impl {
public:
  impl(caf::actor_system& system, engine_handles handles,
       std::chrono::milliseconds patience)
    : engine(std::move(handles)), timeout(patience) {
    // As many as can run at a time.
    const auto workers
      = std::max<std::size_t>(system.scheduler().num_workers(), 1);
    for (std::size_t i = 0; i < workers; ++i)
      askers_.push_back(system.spawn<asker, caf::hidden>());
  }

  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  ~impl() {
    for (const auto& x : askers_)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  }

  /// `Wire` is the type that `whom` answers. A continuation that asks again
  /// does so with the actor that called it.
  template <class Wire, class T, class Handle, class... Ts>
  void ask(const Handle& whom, std::chrono::milliseconds patience,
           continuation<T> then, Ts&&... xs) const {
    auto waiting = std::make_shared<completion<T>>(std::move(then));
    if (auto* self = asker::current()) {
      self->ask<Wire>(whom, patience, std::move(waiting),
                      std::forward<Ts>(xs)...);
      return;
    }
    caf::anon_send(
      next_asker(),
      asker::errand{[whom, patience, waiting, xs...](asker& self) mutable {
        self.ask<Wire>(whom, patience, std::move(waiting), std::move(xs)...);
      }});
  }

  engine_handles engine;
  std::chrono::milliseconds timeout;

private:
  const caf::actor& next_asker() const {
    return askers_[next_.fetch_add(1, std::memory_order_relaxed)
                   % askers_.size()];
  }

  std::vector<caf::actor> askers_;
  mutable std::atomic<std::size_t> next_{0};
};

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

void bridge::nodes(continuation<std::vector<node_status>> then) const {
  fleet_facts(impl_->timeout, std::move(then));
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

void bridge::fleet_facts(std::chrono::milliseconds patience,
                         continuation<std::vector<node_status>> then) const {
  impl_->ask<std::vector<node_status>>(impl_->engine.fleet,
                                       std::min(patience, impl_->timeout),
                                       std::move(then), atom::list_v);
}

} // namespace edgecap::http

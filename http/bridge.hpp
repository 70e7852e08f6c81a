#pragma once

#include "actors/errors.hpp"
#include "actors/follower.hpp"
#include "actors/job_types.hpp"
#include "actors/node_types.hpp"

#include <tl/expected.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace caf {
class actor_system;
}

namespace edgecap::http {

struct engine_handles;

/// What the engine answered.
template <class T>
using outcome = tl::expected<T, failure>;

/// Takes an answer: is called exactly once, in a thread of the engine (or of
/// whoever destroys the actor system), and must not block. An exception from
/// it is logged and goes no further.
template <class T>
using continuation = std::function<void(outcome<T>)>;

/// The answer of an operation that has nothing to tell.
struct done {};

/// Asks the engine on behalf of threads that are no actors. No call ever waits;
/// each ends in its continuation after `timeout` at the latest. Usable on any
/// thread for as long as the actor system lives.
class bridge {
public:
  bridge(caf::actor_system& system, engine_handles engine,
         std::chrono::milliseconds timeout);
  ~bridge();

  bridge(const bridge&) = delete;
  bridge& operator=(const bridge&) = delete;

  /// Draws on the general allowance of an account.
  void acquire(std::string account, continuation<admission> then) const;

  /// `key` is the request's idempotency key, empty if it has none.
  void create(job_spec spec, std::string key,
              continuation<creation> then) const;

  void get(std::string account, std::string id,
           continuation<job_record> then) const;

  void list(list_query query, continuation<shared_job_page> then) const;

  void stop(std::string account, std::string id,
            continuation<job_record> then) const;

  void erase(std::string account, std::string id,
             continuation<done> then) const;

  void download(std::string account, std::string id, savefile_format format,
                continuation<savefile> then) const;

  /// Has `who` see the packets to come of a running job.
  void follow(std::string account, std::string id, follower_ptr who,
              continuation<done> then) const;

  void nodes(continuation<std::vector<node_status>> then) const;

  /// All wait at most `patience`, or the bridge's own timeout if that is less.
  void engine_facts(std::chrono::milliseconds patience,
                    continuation<engine_stats> then) const;
  void storage_facts(std::chrono::milliseconds patience,
                     continuation<storage_stats> then) const;
  void fleet_facts(std::chrono::milliseconds patience,
                   continuation<std::vector<node_status>> then) const;

private:
  class impl;
  std::unique_ptr<const impl> impl_;
};

} // namespace edgecap::http

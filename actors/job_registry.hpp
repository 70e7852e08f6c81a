#pragma once

#include "actors/actor_support.hpp"
#include "actors/interfaces.hpp"
#include "actors/job.hpp"
#include "actors/record_memory.hpp"

#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgecap {

/// Finished jobs that are remembered, at most. With one interface each takes
/// about 800 bytes: 100 MiB if clients ask for as many.
inline constexpr std::size_t max_remembered_jobs = 131072;

struct job_registry_options {
  std::set<std::string> systems;    ///< That a job may name.
  std::uint32_t running_jobs = 256; ///< Most at once, in all accounts.
  job_options job;
  /// Makes an id of 32 lower-case hex characters that was never made before.
  std::function<std::string()> make_id;
};

/// Says what is wrong with the limits, if anything.
caf::error validate(const registry_limits& limits);

/// Says what is wrong with the options, if anything.
caf::error validate(const job_registry_options& options);

/// 128 random bits as an id (from the system's generator).
std::string random_job_id();

/// Handles that the registry works with.
struct job_registry_peers {
  rate_limiter_actor limiter;
  storage_actor storage;
  fleet_actor fleet;
};

/// State of the JOB REGISTRY.
struct job_registry_state {
  // -- member types -----------------------------------------------------------

  using ok_promise = guarded_promise<caf::ok_atom>;
  using creation_promise = guarded_promise<creation>;

  /// A job that is not terminal yet, or whose end is not durable yet.
  struct running_job {
    job_actor handle;
    job_record record; ///< As last reported, or its durable end.
    /// How it ended, for storage to make that durable. Nobody else is told
    /// before: a crash would make it end otherwise.
    std::optional<job_record> end;
    bool asked = false;              ///< Storage, to make the end durable.
    std::vector<ok_promise> erasers; ///< Who waits for its removal.
  };

  /// A job that storage may have although its request was refused, as it is to
  /// end.
  struct withdrawn_job {
    job_record record;
    bool asked = false; ///< Storage, to end it.
  };

  /// A request for a job that is not answered yet.
  struct pending_create {
    job_spec spec;
    std::string key; ///< Idempotency key, empty if it has none.
    caf::actor_clock::time_point accepted;
    creation_promise promise;
    /// Who asked the same with the same key meanwhile; as many as requests may
    /// be in flight.
    std::vector<creation_promise> followers;
  };

  using pending_create_ptr = std::shared_ptr<pending_create>;

  // -- initialization ---------------------------------------------------------

  explicit job_registry_state(job_registry_actor::pointer self);

  /// Takes its jobs along: without a registry nobody could stop them.
  ~job_registry_state();

  void init(job_registry_options opts, job_registry_peers handles);

  /// Keeps to other limits from now on.
  caf::result<caf::ok_atom> set_limits(const registry_limits& limits);

  /// Takes up what storage has of an earlier process.
  caf::result<caf::ok_atom> resume();

  // -- a job's beginning ------------------------------------------------------

  caf::result<creation> create(job_spec spec, std::string key);

  // -- a job's end ------------------------------------------------------------

  /// Takes a job off the list of running ones once its end is durable.
  void finished(job_record terminal, bool durable);

  /// Asks storage again to make ends durable that it refused before.
  void settle_ends();

  /// A job's actor is gone; if it never finished, its captures are sealed.
  void job_died(const caf::actor_addr& source, const caf::error& why);

  caf::result<job_record> stop(const std::string& account,
                               const std::string& id);

  caf::result<caf::ok_atom> erase(const std::string& account,
                                  const std::string& id);

  caf::result<caf::ok_atom> shutdown();

  // -- looking ----------------------------------------------------------------

  /// Has `who` see the packets to come of a running job.
  caf::result<caf::ok_atom> follow(const std::string& account,
                                   const std::string& id, follower_ptr who);

  /// Returns a job of an account, running or finished.
  caf::result<job_record> get(const std::string& account,
                              const std::string& id);

  /// The running job of that account, or nullptr.
  running_job* find(const std::string& account, const std::string& id);

  /// What is known of a job that storage has: what it last reported if it runs,
  /// and its end if storage has that.
  const job_record& newest(const job_record& stored);

  /// Makes the jobs of a page the newest.
  shared_job_page overlay(shared_job_page page);

  engine_stats stats() const;

  // -- member variables -------------------------------------------------------

  job_registry_actor::pointer self;
  job_registry_options options;
  job_registry_peers peers;
  std::unordered_map<std::string, running_job> running;
  /// Finished jobs that were asked for. They change no more, but may be
  /// removed by storage, which says so.
  record_memory remembered{max_remembered_jobs};
  /// Storage is asked until it has their ends. They count as running.
  std::unordered_map<std::string, withdrawn_job> withdrawn;
  std::uint32_t creating = 0; ///< Jobs that are admitted, but not durable yet.
  /// Creates under way that have a key, by account and key.
  std::map<std::pair<std::string, std::string>, pending_create_ptr> keyed;
  bool shutting_down = false;
  std::vector<ok_promise> shutdown_waiters;
  engine_stats totals; ///< Of finished jobs.

  static inline const char* name = "job-registry";

private:
  void recall(const pending_create_ptr& asked);
  void admit(const pending_create_ptr& asked);
  void insert(const pending_create_ptr& asked, std::uint64_t ticket);
  void withdraw(job_record record);
  void settle_withdrawn(withdrawn_job& x);
  template <class Atom>
  caf::result<job_record> ask_for(Atom what, const std::string& account,
                                  const std::string& id);
  void go_on(job_record record);
  void start(job_record record, std::chrono::nanoseconds time_left);
  void create_failed(const pending_create_ptr& asked, const caf::error& why);
  void answer(const pending_create_ptr& asked, creation made);
  void refuse(const pending_create_ptr& asked, const caf::error& why);
  void erase_stored(const std::string& account, const std::string& id,
                    const ok_promise& promise);
  void answer_shutdown_if_done();
  static void add(engine_stats& to, const job_record& record);
};

/// The front door of the engine. Quits at once on invalid options.
job_registry_actor::behavior_type
job_registry(job_registry_actor::stateful_pointer<job_registry_state> self,
             job_registry_options options, job_registry_peers peers);

} // namespace edgecap

#include "actors/job_registry.hpp"

#include <caf/send.hpp>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

namespace edgecap {

namespace {

/// Pause between two attempts to make the end of a job durable.
constexpr std::chrono::seconds settle_interval{5};

/// Requests to remove a job that may wait for its end at a time.
constexpr std::size_t max_erasers = 16;

/// Interfaces that the totals tell apart. Names come and go with containers and
/// tunnels; those beyond share one entry without a name.
constexpr std::size_t max_interface_totals = 1000;

/// Why a job that is still with us has no file to download.
caf::error no_download(const job_record& record) {
  if (record.phase == job_phase::failed)
    return make_error(errc::no_savefile, "capture " + record.id + " failed: "
                                           + record.error_message);
  // Whoever downloads knows one word for every phase before the end.
  return make_error(errc::not_ready,
                    "capture " + record.id
                      + " is pending; its file can be downloaded when its "
                        "status is success");
}

/// Why nobody can follow this job (any more).
caf::error captures_no_more(const std::string& id) {
  return make_error(errc::not_running,
                    "capture " + id
                      + " captures no more; only a running one can be "
                        "streamed");
}

caf::error shutting_down_error() {
  return make_error(errc::shutting_down, "edgecap is shutting down");
}

caf::error bad(const char* text) {
  return make_error(errc::invalid_options, std::string{"registry: "} + text);
}

caf::error key_reused() {
  return make_error(errc::key_reused,
                    "the idempotency key belongs to another request of this "
                    "account; a new request needs a new key");
}

} // namespace

caf::error validate(const registry_limits& limits) {
  if (limits.running_jobs == 0)
    return bad("no running jobs allowed");
  if (limits.max_followers == 0)
    return bad("no followers allowed");
  return caf::none;
}

caf::error validate(const job_registry_options& options) {
  if (options.systems.empty())
    return bad("no systems");
  if (auto err = validate(
        registry_limits{options.running_jobs, options.job.max_followers}))
    return err;
  if (!options.make_id)
    return bad("no source of ids");
  return validate(options.job);
}

std::string random_job_id() {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the system's random generator failed");
  constexpr const char* digits = "0123456789abcdef";
  std::string result;
  result.reserve(2 * bytes.size());
  for (const auto byte : bytes) {
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

// -- initialization -----------------------------------------------------------

job_registry_state::job_registry_state(job_registry_actor::pointer ptr)
  : self(ptr) {}

job_registry_state::~job_registry_state() {
  for (const auto& [id, entry] : running)
    caf::anon_send_exit(entry.handle, caf::exit_reason::kill);
}

void job_registry_state::init(job_registry_options opts,
                              job_registry_peers handles) {
  options = std::move(opts);
  peers = std::move(handles);
}

caf::result<caf::ok_atom>
job_registry_state::set_limits(const registry_limits& limits) {
  if (auto err = validate(limits))
    return err;
  options.running_jobs = limits.running_jobs;
  options.job.max_followers = limits.max_followers;
  return caf::ok_atom_v;
}

caf::result<caf::ok_atom> job_registry_state::resume() {
  ok_promise promise{self->make_response_promise<caf::ok_atom>()};
  self->request(peers.storage, request_timeout, atom::resume_v)
    .then(
      [this, promise](resumption& left) {
        self->send(peers.limiter, atom::resume_v, std::move(left.collects));
        for (auto& record : left.jobs)
          go_on(std::move(record));
        promise.deliver(caf::ok_atom_v);
      },
      [promise](caf::error& err) { promise.deliver(std::move(err)); });
  return promise.raw();
}

void job_registry_state::go_on(job_record record) {
  log_event{"job-resumed"}
    .with("job", record.id)
    .with("packets", record.packets_captured)
    .info();
  // Should the clock have been set back, the limit is still one.
  const auto limit = time_limit_ns(record.spec);
  const auto left
    = std::min(record.submitted + limit - options.job.wall_clock(), limit);
  start(std::move(record), std::chrono::nanoseconds{left});
}

// -- a job's beginning --------------------------------------------------------

caf::result<creation> job_registry_state::create(job_spec spec,
                                                 std::string key) {
  if (shutting_down)
    return shutting_down_error();
  if (options.systems.count(spec.system) == 0)
    return make_error(errc::unknown_system,
                      "there is no system " + spec.system);
  creation_promise promise{self->make_response_promise<creation>()};
  auto asked = std::make_shared<pending_create>(pending_create{
    std::move(spec), std::move(key), self->clock().now(), promise, {}});
  if (asked->key.empty()) {
    admit(asked);
    return promise.raw();
  }
  const auto [first, fresh]
    = keyed.try_emplace({asked->spec.account_id, asked->key}, asked);
  if (fresh) {
    recall(asked);
    return promise.raw();
  }
  // The first one is still under way: what it gets, this one gets.
  auto& leader = *first->second;
  if (leader.spec == asked->spec)
    leader.followers.push_back(promise);
  else
    promise.deliver(key_reused());
  return promise.raw();
}

void job_registry_state::recall(const pending_create_ptr& asked) {
  self
    ->request(peers.storage, request_timeout, atom::recall_v,
              asked->spec.account_id, asked->key)
    .then(
      [this, asked](job_record& record) {
        if (!(record.spec == asked->spec)) {
          refuse(asked, key_reused());
          return;
        }
        answer(asked, {newest(record), true});
      },
      [this, asked](caf::error& err) {
        const auto why = describe(err);
        if (why.ours && why.code == errc::unknown_job)
          admit(asked);
        else
          refuse(asked, err);
      });
}

void job_registry_state::admit(const pending_create_ptr& asked) {
  if (shutting_down)
    return refuse(asked, shutting_down_error());
  if (running.size() + creating + withdrawn.size() >= options.running_jobs)
    return refuse(asked, make_error(errc::too_many_jobs,
                                    "the limit of "
                                      + std::to_string(options.running_jobs)
                                      + " running captures is reached"));
  ++creating;
  self
    ->request(peers.limiter, request_timeout, atom::acquire_v,
              asked->spec.account_id, allowance::collect)
    .then(
      [this, asked](const admission& answer) {
        if (answer.granted) {
          insert(asked, answer.ticket);
          return;
        }
        create_failed(
          asked, make_rate_limited(
                   "the limit of " + std::to_string(answer.limit)
                     + " collect request(s) per "
                     + std::to_string(answer.window_s) + " s is reached",
                   {answer.limit, answer.window_s, answer.retry_after_ms}));
      },
      [this, asked](caf::error& err) { create_failed(asked, err); });
}

void job_registry_state::insert(const pending_create_ptr& asked,
                                std::uint64_t ticket) {
  job_record record;
  record.id = options.make_id();
  record.spec = asked->spec;
  record.submitted = options.job.wall_clock();
  self
    ->request(peers.storage, request_timeout, atom::insert_v, record,
              asked->key)
    .then(
      [this, record, asked](caf::ok_atom) {
        --creating;
        ++totals.jobs_created;
        start(record, asked->accepted
                        + std::chrono::seconds{record.spec.time_limit_s}
                        - self->clock().now());
        answer(asked, {record, false});
      },
      [this, record, asked, ticket](caf::error& err) {
        // Our failure must not cost the client its minute.
        self->send(peers.limiter, atom::refund_v, record.spec.account_id,
                   allowance::collect, ticket);
        // A slow storage may still write what nobody waits for any more.
        if (describe(err).timeout) {
          self->send(peers.storage, atom::refund_v, record.id);
          withdraw(record);
        }
        create_failed(asked, err);
      });
}

void job_registry_state::withdraw(job_record record) {
  record.phase = job_phase::failed;
  record.reason = end_reason::storage_error;
  record.error_message = "storage did not confirm the capture in time";
  record.finished = options.job.wall_clock();
  const auto [entry, fresh]
    = withdrawn.emplace(record.id, withdrawn_job{record, false});
  settle_withdrawn(entry->second);
}

void job_registry_state::settle_withdrawn(withdrawn_job& x) {
  if (std::exchange(x.asked, true))
    return;
  self->request(peers.storage, caf::infinite, atom::fail_v, x.record)
    .then([this](const job_record& failed) { withdrawn.erase(failed.id); },
          [this, id = x.record.id](caf::error& err) {
            const auto why = describe(err);
            if (why.ours && why.code == errc::unknown_job) {
              withdrawn.erase(id); // it never stood
              return;
            }
            if (const auto i = withdrawn.find(id); i != withdrawn.end())
              i->second.asked = false;
            log_event{"job-not-withdrawn"}
              .with("job", id)
              .with("error", why.text)
              .warn();
          });
}

void job_registry_state::start(job_record record,
                               std::chrono::nanoseconds time_left) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_left);
  const auto handle = self->spawn<caf::monitored>(
    job, record, std::max(left, std::chrono::milliseconds{0}),
    job_peers{job_registry_actor{self}, peers.storage, peers.fleet},
    options.job);
  auto id = record.id;
  running.emplace(std::move(id),
                  running_job{handle, std::move(record), {}, false, {}});
  if (shutting_down)
    self->send(handle, atom::stop_v, end_reason::shutdown);
}

void job_registry_state::create_failed(const pending_create_ptr& asked,
                                       const caf::error& why) {
  --creating;
  refuse(asked, why);
  answer_shutdown_if_done();
}

void job_registry_state::answer(const pending_create_ptr& asked,
                                creation made) {
  keyed.erase({asked->spec.account_id, asked->key});
  asked->promise.deliver(made);
  made.replayed = true;
  for (const auto& follower : asked->followers)
    follower.deliver(made);
}

void job_registry_state::refuse(const pending_create_ptr& asked,
                                const caf::error& why) {
  keyed.erase({asked->spec.account_id, asked->key});
  asked->promise.deliver(why);
  for (const auto& follower : asked->followers)
    follower.deliver(why);
}

// -- a job's end --------------------------------------------------------------

void job_registry_state::finished(job_record terminal, bool durable) {
  const auto i = running.find(terminal.id);
  if (i == running.end())
    return;
  if (!durable) {
    i->second.end = std::move(terminal);
    answer_shutdown_if_done();
    return;
  }
  add(totals, terminal);
  log_event{"job-finished"}
    .with("job", terminal.id)
    .with("phase", to_string(terminal.phase))
    .with("reason", to_string(terminal.reason))
    .with("packets", terminal.packets_captured)
    .with("error", terminal.error_message)
    .info();
  const auto erasers = std::move(i->second.erasers);
  running.erase(i);
  for (const auto& promise : erasers)
    erase_stored(terminal.spec.account_id, terminal.id, promise);
  answer_shutdown_if_done();
}

void job_registry_state::settle_ends() {
  for (auto& [id, entry] : running) {
    if (!entry.end || std::exchange(entry.asked, true))
      continue;
    // One question at a time: a storage that hangs must not find thousands.
    self->request(peers.storage, caf::infinite, atom::fail_v, *entry.end)
      .then(
        [this](job_record& terminal) { finished(std::move(terminal), true); },
        [this, id = id](caf::error& err) {
          const auto why = describe(err);
          const auto i = running.find(id);
          if (i != running.end())
            i->second.asked = false;
          // It has been durable for long, only the answer was lost; since then
          // storage has removed the job.
          if (why.ours && why.code == errc::unknown_job && i != running.end())
            return finished(job_record{*i->second.end}, true);
          log_event{"job-end-not-durable"}
            .with("job", id)
            .with("error", why.text)
            .warn();
        });
  }
  for (auto& [id, entry] : withdrawn)
    settle_withdrawn(entry);
  self->delayed_send(self, settle_interval, atom::tick_v);
}

void job_registry_state::job_died(const caf::actor_addr& source,
                                  const caf::error& why) {
  const auto i
    = std::find_if(running.begin(), running.end(), [&](const auto& entry) {
        return entry.second.handle.address() == source;
      });
  if (i == running.end() || i->second.end)
    return; // it finished before
  auto record = i->second.record;
  log_event{"job-died"}
    .with("job", record.id)
    .with("error", caf::to_string(why))
    .error();
  record.phase = job_phase::sealing;
  record.reason = end_reason::shutdown;
  record.error_message
    = "the capture's supervisor died: " + caf::to_string(why);
  record.finished = options.job.wall_clock();
  self->request(peers.storage, caf::infinite, atom::seal_v, record)
    .then([this](job_record& terminal) { finished(std::move(terminal), true); },
          [this, record](caf::error& err) mutable {
            record.phase = job_phase::failed;
            record.reason = end_reason::storage_error;
            record.error_message += "; seal: " + describe(err).text;
            finished(std::move(record), false);
          });
}

caf::result<job_record> job_registry_state::stop(const std::string& account,
                                                 const std::string& id) {
  auto* entry = find(account, id);
  if (entry == nullptr) {
    // A terminal job, and stopping it again changes nothing; or one of an
    // earlier process that storage could not end yet.
    const auto* known = remembered.find(id);
    if (known != nullptr && known->spec.account_id == account)
      return *known;
    return ask_for(atom::stop_v, account, id);
  }
  if (is_terminal(entry->record.phase))
    return entry->record;
  entry->record.stop_requested = true;
  self->send(entry->handle, atom::stop_v, end_reason::stopped);
  // What a client was told a crash must not undo.
  guarded_promise<job_record> promise{
    self->make_response_promise<job_record>()};
  self->request(peers.storage, request_timeout, atom::stop_v, account, id)
    .then([promise, record = entry->record](
            const job_record&) { promise.deliver(record); },
          [promise](caf::error& err) { promise.deliver(std::move(err)); });
  return promise.raw();
}

caf::result<caf::ok_atom> job_registry_state::erase(const std::string& account,
                                                    const std::string& id) {
  ok_promise promise{self->make_response_promise<caf::ok_atom>()};
  if (auto* entry = find(account, id)) {
    if (entry->erasers.size() >= max_erasers)
      return make_error(errc::storage_unavailable,
                        "the end of capture " + id + " is not stored yet, and "
                          + std::to_string(max_erasers)
                          + " requests wait to remove it already");
    self->send(entry->handle, atom::stop_v, end_reason::stopped);
    entry->erasers.push_back(promise);
  } else {
    erase_stored(account, id, promise);
  }
  return promise.raw();
}

void job_registry_state::erase_stored(const std::string& account,
                                      const std::string& id,
                                      const ok_promise& promise) {
  self->request(peers.storage, request_timeout, atom::erase_v, account, id)
    .then([promise](caf::ok_atom) { promise.deliver(caf::ok_atom_v); },
          [promise](caf::error& err) { promise.deliver(std::move(err)); });
}

caf::result<caf::ok_atom> job_registry_state::shutdown() {
  ok_promise promise{self->make_response_promise<caf::ok_atom>()};
  shutdown_waiters.push_back(promise);
  if (!shutting_down) {
    shutting_down = true;
    for (const auto& [id, entry] : running)
      self->send(entry.handle, atom::stop_v, end_reason::shutdown);
  }
  answer_shutdown_if_done();
  return promise.raw();
}

void job_registry_state::answer_shutdown_if_done() {
  const auto runs = [](const auto& entry) { return !entry.second.end; };
  if (!shutting_down || creating > 0
      || std::any_of(running.begin(), running.end(), runs))
    return;
  for (const auto& promise : std::exchange(shutdown_waiters, {}))
    promise.deliver(caf::ok_atom_v);
}

// -- looking ------------------------------------------------------------------

caf::result<job_record> job_registry_state::get(const std::string& account,
                                                const std::string& id) {
  if (auto* entry = find(account, id))
    return entry->record;
  const auto* known = remembered.find(id);
  if (known != nullptr && known->spec.account_id == account)
    return *known;
  return ask_for(atom::get_v, account, id);
}

/// Asks storage for a job that does not run, and remembers it if it has ended.
template <class Atom>
caf::result<job_record> job_registry_state::ask_for(Atom what,
                                                    const std::string& account,
                                                    const std::string& id) {
  guarded_promise<job_record> promise{
    self->make_response_promise<job_record>()};
  self->request(peers.storage, request_timeout, what, account, id)
    .then(
      [this, promise](const job_record& record) {
        if (is_terminal(record.phase))
          remembered.add(record);
        promise.deliver(record);
      },
      [promise](caf::error& err) { promise.deliver(std::move(err)); });
  return promise.raw();
}

caf::result<caf::ok_atom> job_registry_state::follow(const std::string& account,
                                                     const std::string& id,
                                                     follower_ptr who) {
  ok_promise promise{self->make_response_promise<caf::ok_atom>()};
  const auto refuse
    = [promise](caf::error& err) { promise.deliver(std::move(err)); };
  const auto* entry = find(account, id);
  if (entry == nullptr) {
    // Another account's, a finished one, or none.
    self->request(peers.storage, request_timeout, atom::get_v, account, id)
      .then([promise,
             id](const job_record&) { promise.deliver(captures_no_more(id)); },
            refuse);
    return promise.raw();
  }
  self->request(entry->handle, request_timeout, atom::follow_v, std::move(who))
    .then([promise](caf::ok_atom) { promise.deliver(caf::ok_atom_v); },
          [promise, id](caf::error& err) {
            // It ended while we asked.
            if (err == caf::sec::request_receiver_down)
              promise.deliver(captures_no_more(id));
            else
              promise.deliver(std::move(err));
          });
  return promise.raw();
}

job_registry_state::running_job*
job_registry_state::find(const std::string& account, const std::string& id) {
  const auto i = running.find(id);
  if (i == running.end() || i->second.record.spec.account_id != account)
    return nullptr;
  return &i->second;
}

const job_record& job_registry_state::newest(const job_record& stored) {
  const auto i = running.find(stored.id);
  if (i == running.end())
    return stored;
  auto& record = i->second.record;
  // Its end is durable, and its job is about to say so: whoever has seen the
  // end must not see less of it afterwards.
  if (is_terminal(stored.phase))
    record = stored;
  return record;
}

shared_job_page job_registry_state::overlay(shared_job_page page) {
  const auto is_running
    = [this](const job_record& x) { return running.count(x.id) != 0; };
  if (std::none_of(page->jobs.begin(), page->jobs.end(), is_running))
    return page;
  auto result = std::make_shared<job_page>(*page);
  for (auto& record : result->jobs)
    if (is_running(record))
      record = newest(record);
  return result;
}

engine_stats job_registry_state::stats() const {
  auto result = totals;
  result.jobs_running = running.size();
  return result;
}

void job_registry_state::add(engine_stats& to, const job_record& record) {
  const auto success = record.phase == job_phase::succeeded;
  const auto outcome
    = std::find_if(to.outcomes.begin(), to.outcomes.end(), [&](const auto& x) {
        return x.reason == record.reason && x.success == success;
      });
  if (outcome == to.outcomes.end())
    to.outcomes.push_back({record.reason, success, 1});
  else
    ++outcome->jobs;
  to.bytes_captured += record.bytes_captured;
  for (const auto& report : record.interfaces) {
    auto i = std::find_if(
      to.interfaces.begin(), to.interfaces.end(), [&](const auto& x) {
        return x.node == report.node && x.interface == report.interface;
      });
    if (i == to.interfaces.end()) {
      if (to.interfaces.size() < max_interface_totals)
        to.interfaces.push_back({report.node, report.interface});
      else if (to.interfaces.size() == max_interface_totals)
        to.interfaces.push_back({"", ""});
      i = std::prev(to.interfaces.end());
    }
    i->packets_captured += report.packets_captured;
    i->dropped_by_kernel += report.dropped_by_kernel.value_or(0);
    i->dropped_by_interface += report.dropped_by_interface.value_or(0);
    i->dropped_by_us += report.dropped_by_us.value_or(0);
  }
}

// -- behavior -----------------------------------------------------------------

job_registry_actor::behavior_type
job_registry(job_registry_actor::stateful_pointer<job_registry_state> self,
             job_registry_options options, job_registry_peers peers) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return job_registry_actor::behavior_type::make_empty_behavior();
  }
  self->set_down_handler([self](caf::down_msg& down) {
    self->state.job_died(down.source, down.reason);
  });
  self->state.init(std::move(options), std::move(peers));
  self->send(self->state.peers.storage, atom::expired_v,
             expiry_sink_actor{self});
  self->delayed_send(self, settle_interval, atom::tick_v);
  return {
    [self](atom::resume) { return self->state.resume(); },
    [self](atom::expired, const std::string& id) {
      self->state.remembered.forget(id);
    },
    [self](atom::create, job_spec& spec, std::string& key) {
      return self->state.create(std::move(spec), std::move(key));
    },
    [self](atom::get, const std::string& account, const std::string& id) {
      return self->state.get(account, id);
    },
    [self](atom::list,
           const list_query& query) -> caf::result<shared_job_page> {
      // What nothing is to be put over takes the short way.
      if (self->state.running.empty())
        return self->delegate(self->state.peers.storage, atom::list_v, query);
      guarded_promise<shared_job_page> promise{
        self->make_response_promise<shared_job_page>()};
      self
        ->request(self->state.peers.storage, request_timeout, atom::list_v,
                  query)
        .then(
          [self, promise](shared_job_page& page) {
            promise.deliver(self->state.overlay(std::move(page)));
          },
          [promise](caf::error& err) { promise.deliver(std::move(err)); });
      return promise.raw();
    },
    [self](atom::stop, const std::string& account, const std::string& id) {
      return self->state.stop(account, id);
    },
    [self](atom::erase, const std::string& account, const std::string& id) {
      return self->state.erase(account, id);
    },
    [self](atom::download, const std::string& account, const std::string& id,
           savefile_format format) -> caf::result<savefile> {
      const auto* entry = self->state.find(account, id);
      if (entry != nullptr && entry->record.phase != job_phase::succeeded)
        return no_download(entry->record);
      return self->delegate(self->state.peers.storage, atom::download_v,
                            account, id, format);
    },
    [self](atom::follow, const std::string& account, const std::string& id,
           follower_ptr& who) {
      return self->state.follow(account, id, std::move(who));
    },
    [self](atom::stats) { return self->state.stats(); },
    [self](atom::limits, const registry_limits& limits) {
      return self->state.set_limits(limits);
    },
    [self](atom::shutdown) { return self->state.shutdown(); },
    [self](atom::progress, job_record& record) {
      const auto i = self->state.running.find(record.id);
      if (i != self->state.running.end() && !i->second.end)
        i->second.record = std::move(record);
    },
    [self](atom::finished, job_record& terminal, bool durable) {
      self->state.finished(std::move(terminal), durable);
    },
    [self](atom::tick) { self->state.settle_ends(); },
  };
}

} // namespace edgecap

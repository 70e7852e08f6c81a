#include "actors/storage.hpp"

#include "actors/log_event.hpp"
#include "actors/recovery.hpp"
#include "actors/renewal.hpp"
#include "actors/retention.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace edgecap {

namespace {

/// Jobs that one step of retention removes, at most; others get their turn
/// before the next.
constexpr std::size_t sweep_step_jobs = 16;

/// Between two looks for a directory that is gone. It is not made anew before
/// the second one: whoever removes it may still be at it.
constexpr std::chrono::seconds renew_interval{1};

/// Between two attempts to write the last row of a job whose savefile stands.
constexpr std::chrono::seconds last_row_interval{1};

/// Idempotency keys that it forgets, at most, and jobs that it no longer counts
/// against allowances.
constexpr std::size_t sweep_step_rows = 250;

caf::error as_error(const store_error& x) {
  switch (x.code) {
  case store_errc::full:
    return make_error(errc::storage_full, x.message);
  case store_errc::quota:
    return make_error(errc::quota_reached, x.message);
  case store_errc::unavailable:
  case store_errc::damaged:
    break;
  }
  return make_error(errc::storage_unavailable, x.message);
}

caf::error unknown(const std::string& id) {
  return make_error(errc::unknown_job, "there is no capture " + id);
}

/// Why a job that has not succeeded has nothing to download.
std::string why_failed(const job_record& x) {
  return "capture " + x.id + " failed (" + to_string(x.reason)
         + "): " + x.error_message;
}

std::uint64_t size_of(const job_record& x, savefile_format format) {
  return format == savefile_format::pcap ? x.savefile_bytes : x.pcapng_bytes;
}

/// Why a job has no such file by its record; no error if it has.
caf::error nothing_to_download(const job_record& x, savefile_format format) {
  if (!is_terminal(x.phase))
    return make_error(errc::not_ready, "capture " + x.id
                                         + " is pending: it has no savefile "
                                           "yet");
  if (x.phase == job_phase::failed)
    return make_error(errc::no_savefile, why_failed(x));
  if (size_of(x, format) == 0)
    return make_error(errc::no_savefile,
                      "capture " + x.id + " has no pcapng file");
  return caf::none;
}

/// Files without a row are strays and are removed, but not all of them: an
/// index that vanished must not take the savefiles with it.
/// @param size_bytes Of the index, 0 if there is none.
stored<void> check_index_present(const savefile_store& store,
                                 const std::filesystem::path& index,
                                 std::uint64_t size_bytes) {
  if (size_bytes > 0)
    return {};
  const auto files = store.has_files();
  if (!files)
    return tl::unexpected<store_error>{files.error()};
  if (!*files)
    return {};
  return store_failure(store_errc::damaged,
                       "open index " + index.string()
                         + ": it is missing or empty, but there are "
                           "savefiles; restore it, or move them away");
}

std::filesystem::path index_file(const storage_options& options) {
  return options.directory / "index.sqlite";
}

/// Size of the index, 0 if there is none.
std::uint64_t index_bytes(const storage_options& options) {
  const auto found = options.files->status(index_file(options));
  return found ? found->size_bytes : 0;
}

/// Whether to check an index while it is in use: before would take too long.
bool is_large(const storage_options& options, std::uint64_t size_bytes) {
  return size_bytes > options.check_at_open_bytes;
}

/// @param size_bytes Of the index.
stored<storage_parts> open_parts(const storage_options& options,
                                 std::uint64_t size_bytes) {
  storage_parts result;
  auto store = savefile_store::open(
    {options.directory, options.max_open_runs, options.files});
  if (!store)
    return tl::unexpected<store_error>{store.error()};
  const auto file = index_file(options);
  if (auto present = check_index_present(**store, file, size_bytes); !present)
    return tl::unexpected<store_error>{present.error()};
  result.reserve = std::make_unique<space_reserve>(
    *options.files, options.directory / "reserve", options.reserve_bytes);
  const auto open = [&] {
    return job_index::open(file, *options.files, options.index_vfs,
                           is_large(options, size_bytes)
                             ? index_checking::elsewhere
                             : index_checking::at_open);
  };
  auto index = open();
  // An index is written to when it is opened.
  if (!index && index.error().code == store_errc::full
      && result.reserve->give(space_reserve::step_bytes))
    index = open();
  if (!index)
    return tl::unexpected<store_error>{index.error()};
  result.index = std::move(*index);
  result.store = std::move(*store);
  result.min_free_bytes = options.min_free_bytes;
  result.pcapng = options.pcapng;
  result.precision = options.precision;
  result.wall_clock = options.wall_clock;
  result.faults = options.faults;
  return result;
}

caf::error bad(const char* text) {
  return make_error(errc::invalid_options, std::string{"storage: "} + text);
}

} // namespace

caf::error validate(const storage_limits& limits) {
  constexpr std::chrono::seconds zero{0};
  if (limits.max_age <= zero)
    return bad("max_age is not positive");
  if (limits.max_bytes == 0)
    return bad("max_bytes is 0");
  if (limits.max_jobs == 0)
    return bad("max_jobs is 0");
  if (limits.download_hold < zero)
    return bad("download_hold is negative");
  if (limits.key_lifetime <= zero)
    return bad("key_lifetime is not positive");
  if (limits.collect_window <= zero)
    return bad("collect_window is not positive");
  if (limits.sweep_interval <= zero)
    return bad("sweep_interval is not positive");
  return caf::none;
}

caf::error validate(const storage_options& options) {
  if (options.directory.empty())
    return bad("no directory");
  if (auto err = validate(static_cast<const storage_limits&>(options)))
    return err;
  if (options.seal_slice_bytes == 0)
    return bad("seal_slice_bytes is 0");
  if (options.inspection_slice == 0)
    return bad("inspection_slice is 0");
  if (options.max_open_runs == 0)
    return bad("max_open_runs is 0");
  if (!options.wall_clock)
    return bad("no clock");
  if (!options.files)
    return bad("no file system");
  return caf::none;
}

// -- initialization -----------------------------------------------------------

storage_state::storage_state(storage_actor::pointer ptr) : self(ptr) {}

caf::error storage_state::init(storage_options opts) {
  options = std::move(opts);
  const auto size = index_bytes(options);
  auto opened = open_parts(options, size);
  if (!opened)
    return as_error(opened.error());
  parts = std::move(*opened);
  auto report = recover(parts);
  if (!report)
    return as_error(report.error());
  log_event{"storage-opened"}
    .with("directory", options.directory.string())
    .with("resumed", report->resumed.size())
    .with("kept", report->kept)
    .with("failed", report->failed)
    .with("unresolved", report->unresolved.size())
    .info();
  unresolved.assign(report->unresolved.begin(), report->unresolved.end());
  home = directory_identity{*options.files, options.directory};
  parts.check_place = [this]() -> stored<void> {
    if (const auto loss = home.compare())
      return store_failure(store_errc::unavailable, loss.text);
    return {};
  };
  room = make_capacity();
  for (const auto& x : report->resumed) {
    open_jobs.emplace(x.id, caf::none);
    room.open(x.id, x.spec.account_id);
    room.adopt(x.id, parts.store->runs(x.id));
  }
  for (const auto& id : unresolved)
    claim(id);
  resumable = std::move(report->resumed);
  if (const auto space = room.check_space("start", self->clock().now()); !space)
    log_event{"storage-full"}.with("error", space.error().message).warn();
  if (is_large(options, size))
    begin_check();
  inspect_anew();
  self->send(self, atom::sweep_v, sweep_round);
  return caf::none;
}

/// Has the index looked at in the background.
void storage_state::begin_check() {
  const auto not_checked = [](const store_error& why) {
    log_event{"storage-index-not-checked"}.with("error", why.message).warn();
  };
  // Runs in the check's thread.
  auto tell = [aut = caf::actor_cast<storage_actor>(self),
               not_checked](const stored<void>& verdict) {
    if (verdict)
      log_event{"storage-index-checked"}.info();
    else if (verdict.error().code == store_errc::damaged)
      caf::anon_send(aut, atom::damaged_v, verdict.error().message);
    else
      not_checked(verdict.error());
  };
  auto begun = index_check::begin(index_file(options), options.index_vfs, tell);
  if (begun)
    check = std::move(*begun);
  else
    not_checked(begun.error());
}

// -- after a restart ----------------------------------------------------------

caf::result<resumption> storage_state::resume() {
  const auto collects = parts.index->collects_since(oldest_collect());
  if (!collects)
    return as_error(collects.error());
  const auto now = parts.wall_clock();
  resumption result;
  for (const auto& x : *collects)
    // A clock that was set back makes none younger than now.
    result.collects.push_back(
      {x.account_id,
       static_cast<std::uint64_t>(std::max(now - x.moment, unix_ns{0}))});
  result.jobs = std::exchange(resumable, {});
  return result;
}

// -- a job's packets ----------------------------------------------------------

caf::result<caf::ok_atom> storage_state::insert(const job_record& record,
                                                const std::string& key) {
  const auto attempt = "insert job " + record.id;
  if (!is_job_id(record.id))
    return make_error(errc::storage_unavailable,
                      attempt + ": its id is not 32 lower-case hex characters");
  if (auto err = check_change()) {
    room.count_refusal({store_errc::unavailable, ""});
    return err;
  }
  if (auto admitted = room.admit(record, *parts.index, self->clock().now());
      !admitted)
    return as_error(admitted.error());
  auto done = permit(parts, storage_step::insert, record.id);
  if (done)
    done = parts.index->insert(record, key);
  if (!done) {
    room.count_refusal(done.error());
    return as_error(done.error());
  }
  open_jobs.emplace(record.id, caf::none);
  room.open(record.id, record.spec.account_id);
  return caf::ok_atom_v;
}

void storage_state::note_progress(const job_record& record,
                                  std::uint32_t first_run) {
  if (open_jobs.count(record.id) == 0 || check_home(false))
    return; // late: the job has ended; or it will soon
  // Worth as much as the runs are: a crash of the host may undo both.
  auto written = parts.index->note(record, first_run);
  if (!written)
    log_event{"storage-progress-lost"}
      .with("job", record.id)
      .with("error", written.error().message)
      .warn();
}

caf::result<caf::ok_atom>
storage_state::append(const std::string& id, std::uint32_t run,
                      const capture::packet_batch& batch) {
  if (auto err = check_home(false))
    return err;
  const auto open = open_jobs.find(id);
  if (open == open_jobs.end())
    return make_error(errc::unknown_job, "capture " + id
                                           + " takes no packets: it has ended "
                                             "or never was");
  auto& lost = open->second;
  if (lost)
    return lost;
  auto done = room.check(id, run, batch, *parts.index, self->clock().now());
  if (done)
    done = permit(parts, storage_step::append, id);
  if (done)
    done = parts.store->append(id, run, batch);
  if (!done) {
    lost = as_error(done.error());
    return lost;
  }
  room.grow(id, run, batch);
  return caf::ok_atom_v;
}

// -- a job's end --------------------------------------------------------------

caf::result<job_record> storage_state::stop(const std::string& account,
                                            const std::string& id) {
  if (auto err = check_home(true))
    return err;
  auto found = parts.index->find(id);
  if (!found)
    return as_error(found.error());
  if (!*found || (*found)->spec.account_id != account)
    return unknown(id);
  auto& record = **found;
  if (is_terminal(record.phase))
    return std::move(record);
  // Where not even the reserve helps: that passes, and it is no new capture
  // that there would be too little space for.
  if (auto noted = note_stop(parts, account, id); !noted)
    return make_error(errc::storage_unavailable, noted.error().message);
  record.stop_requested = true;
  // The stop stands, whether it can be carried out now or later.
  static_cast<void>(settle(record));
  return std::move(record);
}

void storage_state::refund(const std::string& id) {
  if (auto refunded = parts.index->refund(id); !refunded)
    log_event{"storage-refund-lost"}
      .with("job", id)
      .with("error", refunded.error().message)
      .warn();
}

caf::result<job_record> storage_state::seal(const job_record& record) {
  auto queued = find_seal(record.id);
  if (queued == seals.end()) {
    auto found = parts.index->find(record.id);
    if (!found)
      return as_error(found.error());
    if (!*found)
      return unknown(record.id);
    if (is_terminal((*found)->phase))
      return std::move(**found);
    open_jobs.erase(record.id);
    queued = seals.insert(seals.end(), pending_seal{seal_task{record}, {}, {}});
    go_on_sealing();
  }
  queued->askers.emplace_back(self->make_response_promise<job_record>());
  return queued->askers.back().raw();
}

void storage_state::go_on_sealing() {
  if (!seals.empty() && !working) {
    if (ready_seal() != seals.end())
      self->send(self, atom::work_v);
    else
      self->delayed_send(self, last_row_interval, atom::work_v);
  }
  working = !seals.empty();
}

void storage_state::seal_slice() {
  working = false;
  if (check_home(false))
    return; // they wait for the directory
  const auto next = ready_seal();
  if (next == seals.end())
    return go_on_sealing();
  const auto done = next->task.step(parts, options.seal_slice_bytes);
  if (!done) {
    seal_failed(next, done.error());
  } else if (*done) {
    room.close(next->task.record().id);
    for (const auto& asker : next->askers)
      asker.deliver(next->task.record());
    seals.erase(next);
  }
  go_on_sealing();
}

void storage_state::seal_failed(const std::deque<pending_seal>::iterator& which,
                                const store_error& why) {
  auto& task = which->task;
  // What is missing in another directory is not lost: it waits as well.
  if (check_home(true)) {
    task = seal_task{task.record()};
    which->again.reset();
    return;
  }
  if (!task.published()) {
    auto ended = std::move(*which);
    seals.erase(which);
    return finish_seal(std::move(ended), why);
  }
  // A crash now would keep the savefile, and so do we.
  if (!which->again)
    log_event{"storage-end-not-durable"}
      .with("job", task.record().id)
      .with("error", why.message)
      .error();
  which->again = self->clock().now() + last_row_interval;
}

/// Ends a job that cannot be sealed.
void storage_state::finish_seal(pending_seal ended, const store_error& why) {
  const auto& record = ended.task.record();
  log_event{"storage-seal-failed"}
    .with("job", record.id)
    .with("error", why.message)
    .error();
  const auto failed = commit_storage_error(parts, record, why);
  if (failed)
    room.close(record.id);
  else
    log_event{"storage-end-not-durable"}
      .with("job", record.id)
      .with("error", failed.error().message)
      .error();
  for (const auto& asker : ended.askers)
    asker.deliver(as_error(why));
}

caf::result<job_record> storage_state::fail(const job_record& record) {
  if (auto err = check_home(true))
    return err;
  auto found = parts.index->find(record.id);
  if (!found)
    return as_error(found.error());
  if (!*found)
    return unknown(record.id);
  if (is_terminal((*found)->phase))
    return std::move(**found);
  if (const auto queued = find_seal(record.id); queued != seals.end()) {
    // Its packets are whole, however long that takes.
    queued->askers.emplace_back(self->make_response_promise<job_record>());
    return queued->askers.back().raw();
  }
  auto failed = commit_failed(parts, record);
  if (!failed)
    return as_error(failed.error());
  open_jobs.erase(record.id);
  room.close(record.id);
  return std::move(*failed);
}

// -- what clients ask ---------------------------------------------------------

caf::result<job_record> storage_state::get(const std::string& account,
                                           const std::string& id) {
  auto found = parts.index->find(id);
  if (!found)
    return as_error(found.error());
  if (!*found || (*found)->spec.account_id != account)
    return unknown(id);
  return std::move(**found);
}

caf::result<job_record> storage_state::recall(const std::string& account,
                                              const std::string& key) {
  auto found = parts.index->recall(account, key, oldest_key());
  if (!found)
    return as_error(found.error());
  if (!*found)
    return make_error(errc::unknown_job, "no capture has this key");
  return std::move(**found);
}

caf::result<shared_job_page> storage_state::list(const list_query& query) {
  auto page = parts.index->list(query);
  if (!page)
    return as_error(page.error());
  return std::move(*page);
}

caf::result<caf::ok_atom> storage_state::erase(const std::string& account,
                                               const std::string& id) {
  if (auto err = check_change())
    return err;
  auto found = parts.index->find(id);
  if (!found)
    return as_error(found.error());
  if (!*found || (*found)->spec.account_id != account)
    return unknown(id);
  if (auto err = settle(**found))
    return err;
  if (!is_terminal((*found)->phase))
    return make_error(errc::not_ready, "capture " + id + " is "
                                         + to_string((*found)->phase)
                                         + ": only a finished one is removed");
  // The row first: files without a row are removed after the next start, a row
  // without its files would be an accusation.
  // Not even with the reserve: that passes, and nobody is to delete for it.
  if (auto erased = erase_rows(parts, {id}); !erased)
    return make_error(errc::storage_unavailable, erased.error().message);
  tell_of_change(id);
  leases.forget(id);
  drop_files(parts, id);
  return caf::ok_atom_v;
}

caf::result<savefile> storage_state::download(const std::string& account,
                                              const std::string& id,
                                              savefile_format format) {
  if (auto err = check_home(true))
    return err;
  const auto found = parts.index->find(id);
  if (!found)
    return as_error(found.error());
  if (!*found || (*found)->spec.account_id != account)
    return unknown(id);
  const auto& record = **found;
  if (auto err = nothing_to_download(record, format))
    return err;
  auto opened = parts.store->open_savefile(id, format);
  if (opened && opened->size_bytes == size_of(record, format)) {
    leases.add(id, opened->descriptor, self->clock().now());
    return std::move(*opened);
  }
  // Somebody has cut or removed it behind our back.
  const auto state
    = verify(parts, {id, record.savefile_bytes, record.pcapng_bytes});
  if (!state)
    return as_error(state.error());
  tell_of_change(id);
  const auto changed = parts.index->find(id);
  if (changed && *changed)
    if (auto err = nothing_to_download(**changed, format))
      return err;
  if (!opened)
    return as_error(opened.error());
  return make_error(errc::storage_unavailable,
                    "open savefile of capture " + id
                      + ": it changed while it was opened");
}

caf::result<storage_stats> storage_state::stats() {
  if (auto err = check_change())
    return err;
  const auto totals = parts.index->totals();
  if (!totals)
    return as_error(totals.error());
  const auto free_bytes = parts.store->free_bytes();
  if (!free_bytes)
    return as_error(free_bytes.error());
  storage_stats result;
  result.jobs = totals->jobs;
  result.savefile_bytes = totals->savefile_bytes;
  result.free_bytes = *free_bytes;
  result.expired_jobs = removed_jobs;
  result.unsealed_bytes = room.unsealed_bytes();
  result.reserve_bytes = parts.reserve->held_bytes();
  result.full = !room.check_space("look", self->clock().now());
  result.quota_bytes = options.total.bytes;
  result.quota_jobs = options.total.jobs;
  for (const auto& [cause, jobs] : room.refusals())
    result.refused.push_back({cause, jobs});
  return result;
}

// -- upkeep -------------------------------------------------------------------

void storage_state::inspect_slice() {
  inspect_sent = false;
  if (!inspecting || check_change())
    return; // it begins anew when the directory is back
  const auto done = inspecting->step(parts);
  for (const auto& id : inspecting->take_changed())
    tell_of_change(id);
  if (!done) {
    log_event{"storage-not-inspected"}
      .with("error", done.error().message)
      .error();
    inspect_sent = true;
    self->delayed_send(self, options.sweep_interval, atom::inspect_v);
    return;
  }
  if (!inspecting->done()) {
    inspect_sent = true;
    self->send(self, atom::inspect_v);
    return;
  }
  const auto& found = inspecting->found();
  log_event{"storage-inspected"}
    .with("jobs", found.jobs)
    .with("lost", found.lost)
    .with("unknown", found.unknown)
    .with("strays", found.strays)
    .info();
  inspecting.reset();
}

void storage_state::note_damage(const std::string& text) {
  log_event{"storage-index-damaged"}.with("error", text).error();
  index_damage
    = make_error(errc::index_damaged,
                 "the index of the captures is damaged: none is taken or "
                 "removed until the operator has restored it");
}

void storage_state::sweep(std::uint64_t round) {
  if (round != sweep_round)
    return;
  if (check_change()) {
    self->delayed_send(self, options.sweep_interval, atom::sweep_v, round);
    return;
  }
  const auto resolved = retry_unresolved();
  const auto now = self->clock().now();
  leases.prune(now);
  const auto victims = expired_jobs(*parts.index, options, leases,
                                    parts.wall_clock(), now, sweep_step_jobs);
  if (!victims)
    log_event{"storage-sweep-failed"}
      .with("error", victims.error().message)
      .error();
  // A step that removed something may have left more; one that could not must
  // not spin.
  const auto removed = victims && remove(*victims);
  const auto forgot = forget_old();
  if (resolved || removed || forgot)
    self->send(self, atom::sweep_v, round);
  else
    self->delayed_send(self, options.sweep_interval, atom::sweep_v, round);
}

/// Removes jobs by retention. Returns whether there were any and it could.
bool storage_state::remove(const std::vector<stored_savefile>& victims) {
  if (victims.empty())
    return false;
  std::vector<std::string> ids;
  for (const auto& x : victims)
    ids.push_back(x.id);
  if (const auto erased = erase_rows(parts, ids); !erased) {
    log_event{"storage-sweep-failed"}
      .with("error", erased.error().message)
      .error();
    return false;
  }
  for (const auto& id : ids) {
    tell_of_change(id);
    drop_files(parts, id);
    leases.forget(id);
    log_event{"storage-job-expired"}.with("job", id).info();
  }
  removed_jobs += ids.size();
  return true;
}

void storage_state::tell_of_change(const std::string& id) {
  if (expiry_sink)
    self->send(expiry_sink, atom::expired_v, id);
}

caf::result<caf::ok_atom> storage_state::set_limits(storage_limits limits) {
  if (auto err = validate(limits))
    return err;
  static_cast<storage_limits&>(options) = limits;
  parts.min_free_bytes = limits.min_free_bytes;
  room.set_limits(std::move(limits));
  self->send(self, atom::sweep_v, ++sweep_round);
  return caf::ok_atom_v;
}

/// Forgets some of what is too old to count. Returns whether there may be more.
bool storage_state::forget_old() {
  const auto more = [](const stored<std::size_t>& forgotten) {
    if (!forgotten)
      log_event{"storage-sweep-failed"}
        .with("error", forgotten.error().message)
        .error();
    return forgotten && *forgotten == sweep_step_rows;
  };
  const auto keys
    = more(parts.index->forget_keys(oldest_key(), sweep_step_rows));
  const auto collects
    = more(parts.index->forget_collects(oldest_collect(), sweep_step_rows));
  return keys || collects;
}

unix_ns storage_state::oldest_key() const {
  return parts.wall_clock()
         - std::chrono::nanoseconds{options.key_lifetime}.count();
}

unix_ns storage_state::oldest_collect() const {
  return parts.wall_clock()
         - std::chrono::nanoseconds{options.collect_window}.count();
}

/// Tries again to end one job of an earlier process. Returns whether it could,
/// and there are more.
bool storage_state::retry_unresolved() {
  if (unresolved.empty())
    return false;
  auto id = std::move(unresolved.front());
  unresolved.pop_front();
  if (resolve(parts, id)) {
    room.close(id);
    return !unresolved.empty();
  }
  claim(id);
  unresolved.push_back(std::move(id));
  return false;
}

/// Counts what a job takes whose end the index has refused: it is in no total
/// of the index.
void storage_state::claim(const std::string& id) {
  const auto found = parts.index->find(id);
  if (!found || !*found)
    return; // Next time.
  auto runs = parts.store->runs(id);
  if (runs.empty()) {
    // Not read, for it has a savefile, or not to be read: the row says at least
    // what was last noted.
    auto& all = runs[0];
    all.packets = (*found)->packets_captured;
    all.captured_bytes = (*found)->bytes_captured;
  }
  room.close(id);
  room.open(id, (*found)->spec.account_id);
  room.adopt(id, runs);
}

/// Ends a job of an earlier process whose end the index has refused so far, for
/// somebody who asks for it to be over.
caf::error storage_state::settle(job_record& record) {
  const auto i = std::find(unresolved.begin(), unresolved.end(), record.id);
  if (i == unresolved.end())
    return caf::none;
  auto resolved = resolve(parts, record.id);
  if (!resolved)
    return as_error(resolved.error());
  unresolved.erase(i);
  room.close(record.id);
  record = std::move(*resolved);
  return caf::none;
}

/// Looks at all rows and files again, from the first.
void storage_state::inspect_anew() {
  inspecting.emplace(options.inspection_slice);
  if (!std::exchange(inspect_sent, true))
    self->send(self, atom::inspect_v);
}

/// Why no job may be added or removed, if so.
caf::error storage_state::check_change() {
  if (auto err = check_home(true))
    return err;
  return index_damage;
}

// -- a directory that is lost -------------------------------------------------

/// Whether the directory is the one that was opened. It is looked at five times
/// a second at most, or at once for what is promised to be durable.
caf::error storage_state::check_home(bool at_once) {
  const auto now = self->clock().now();
  if (home_lost
      || (!at_once && home_seen && now - *home_seen < capacity::look_interval))
    return home_lost;
  home_seen = now;
  const auto loss = home.compare();
  if (!loss)
    return caf::none;
  log_event{"storage-lost"}.with("error", loss.text).error();
  home_lost
    = make_error(errc::storage_lost,
                 "the storage directory was removed, replaced or unmounted "
                 "while edgecapd used it; it is looked for, and made anew "
                 "if that can be");
  self->delayed_send(self, renew_interval, atom::renew_v);
  return home_lost;
}

void storage_state::look_for_directory() {
  auto loss = home.compare();
  if (store_replaced && !loss.lock) {
    loss.lock = true;
    loss.text += (loss.text.empty() ? "" : ", ") + options.directory.string()
                 + " is back after another one was taken up";
  }
  auto done = stored<void>{};
  if (loss)
    done = renew_home(loss);
  if (!done) {
    // Tried each second, and said once.
    if (const auto& why = done.error().message;
        std::exchange(home_trouble, why) != why)
      log_event{"storage-not-renewed"}
        .with("loss", loss.text)
        .with("error", why)
        .error();
    self->delayed_send(self, renew_interval, atom::renew_v);
    return;
  }
  home_lost = caf::none;
  home_trouble.clear();
  log_event{"storage-found"}.with("was", loss.text).warn();
  take_up_seals(loss);
  inspect_anew();
}

stored<void> storage_state::renew_home(const directory_loss& loss) {
  if (auto obstacle = home.obstacle(); !obstacle.empty())
    return store_failure(store_errc::unavailable, std::move(obstacle));
  if (loss.lock) {
    auto replaced = replace_store(parts, options);
    store_replaced = store_replaced || replaced || !parts.store;
    if (!replaced)
      return replaced;
    room = make_capacity();
  }
  const auto report = renew(parts, options, loss);
  if (!report)
    return tl::unexpected<store_error>{report.error()};
  home = directory_identity{*options.files, options.directory};
  store_replaced = false;
  for (const auto& id : report->failed) {
    open_jobs.erase(id);
    room.close(id);
  }
  log_event{"storage-renewed"}.with("failed", report->failed.size()).warn();
  return {};
}

/// Goes on with the seals that have waited for the directory.
void storage_state::take_up_seals(const directory_loss& loss) {
  for (auto& x : std::exchange(seals, {})) {
    const auto record = x.task.record();
    auto known = parts.index->find(record.id);
    if (known && *known && !is_terminal((*known)->phase)) {
      if (loss)
        x.task = seal_task{record}; // what it had written may be gone
      x.again.reset();
      seals.push_back(std::move(x));
      continue;
    }
    // It has failed with the directory.
    for (const auto& asker : x.askers) {
      if (known && *known)
        asker.deliver(**known);
      else
        asker.deliver(known ? unknown(record.id) : as_error(known.error()));
    }
  }
  go_on_sealing();
}

// -- helpers ------------------------------------------------------------------

capacity storage_state::make_capacity() {
  capacity::options opts;
  opts.limits = options;
  opts.pcapng = options.pcapng;
  opts.links = options.precision == capture::time_precision::nanoseconds;
  opts.reserve = parts.reserve.get();
  return {std::move(opts), [this] { return parts.store->free_bytes(); }};
}

std::deque<storage_state::pending_seal>::iterator
storage_state::find_seal(const std::string& id) {
  return std::find_if(seals.begin(), seals.end(),
                      [&](const auto& x) { return x.task.record().id == id; });
}

std::deque<storage_state::pending_seal>::iterator storage_state::ready_seal() {
  const auto now = self->clock().now();
  return std::find_if(seals.begin(), seals.end(), [&](const auto& x) {
    return !x.again || *x.again <= now;
  });
}

// -- behavior -----------------------------------------------------------------

storage_actor::behavior_type
storage(storage_actor::stateful_pointer<storage_state> self,
        storage_options options) {
  install_default_handlers(self);
  auto err = validate(options);
  if (!err)
    err = self->state.init(std::move(options));
  if (err) {
    log_event{"storage-not-opened"}.with("error", describe(err).text).error();
    self->quit(err);
    return storage_actor::behavior_type::make_empty_behavior();
  }
  return {
    [self](atom::resume) { return self->state.resume(); },
    [self](atom::insert, const job_record& record, const std::string& key) {
      return self->state.insert(record, key);
    },
    [self](atom::recall, const std::string& account, const std::string& key) {
      return self->state.recall(account, key);
    },
    [self](atom::progress, const job_record& record, std::uint32_t first_run) {
      self->state.note_progress(record, first_run);
    },
    [self](atom::stop, const std::string& account, const std::string& id) {
      return self->state.stop(account, id);
    },
    [self](atom::refund, const std::string& id) { self->state.refund(id); },
    [self](atom::append, const std::string& id, std::uint32_t run,
           const capture::packet_batch& batch) {
      return self->state.append(id, run, batch);
    },
    [self](atom::seal, const job_record& record) {
      return self->state.seal(record);
    },
    [self](atom::fail, const job_record& record) {
      return self->state.fail(record);
    },
    [self](atom::get, const std::string& account, const std::string& id) {
      return self->state.get(account, id);
    },
    [self](atom::list, const list_query& query) {
      return self->state.list(query);
    },
    [self](atom::erase, const std::string& account, const std::string& id) {
      return self->state.erase(account, id);
    },
    [self](atom::download, const std::string& account, const std::string& id,
           savefile_format format) {
      return self->state.download(account, id, format);
    },
    [self](atom::stats) { return self->state.stats(); },
    [self](atom::expired, const expiry_sink_actor& sink) {
      self->state.expiry_sink = sink;
    },
    [self](atom::limits, storage_limits& limits) {
      return self->state.set_limits(std::move(limits));
    },
    [self](atom::work) { self->state.seal_slice(); },
    [self](atom::inspect) { self->state.inspect_slice(); },
    [self](atom::damaged, const std::string& text) {
      self->state.note_damage(text);
    },
    [self](atom::sweep, std::uint64_t round) { self->state.sweep(round); },
    [self](atom::renew) { self->state.look_for_directory(); },
  };
}

} // namespace edgecap

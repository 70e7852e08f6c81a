#include "tests/simulation/world.hpp"

#include "tests/simulation/engine_setup.hpp"

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

namespace edgecap::simulation {

using namespace std::chrono_literals;

namespace {

/// What a client waits for an answer, as http/ does.
constexpr std::chrono::seconds answer_timeout{10};

/// For everything to come to rest: the longest time limit, draining, sealing,
/// and to settle ends that were not durable.
constexpr instant rest_timeout = 1000s;

/// Steps in which a run without a fault has always ended.
constexpr std::uint64_t max_steps = 3'000'000;

/// Where the engine keeps its files.
constexpr const char* directory = "/var/lib/edgecap";

/// So much that a disk is never full by itself.
constexpr std::uint64_t large_disk_bytes = std::uint64_t{1} << 40;

std::string read_all(const savefile& file) {
  std::string result(file.size_bytes, '\0');
  const auto n = ::pread(*file.descriptor, result.data(), result.size(), 0);
  result.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return result;
}

instant drawn(random_stream& draws, instant low, instant high) {
  return instant{static_cast<std::int64_t>(
    draws.between(static_cast<std::uint64_t>(low.count()),
                  static_cast<std::uint64_t>(high.count())))};
}

/// Calls to the disk that failed.
std::uint64_t disk_errors(const test::simulated_disk& disk) {
  using test::disk_fault;
  return disk.hits(disk_fault::no_space) + disk.hits(disk_fault::short_write)
         + disk.hits(disk_fault::write_error)
         + disk.hits(disk_fault::sync_error) + disk.hits(disk_fault::read_error)
         + disk.hits(disk_fault::no_descriptor);
}

fault fault_of(storage_step step) {
  switch (step) {
  case storage_step::insert:
    return fault::insert_fails;
  case storage_step::append:
    return fault::append_fails;
  case storage_step::close:
    return fault::close_fails;
  case storage_step::merge:
    return fault::merge_fails;
  case storage_step::publish:
    return fault::publish_fails;
  case storage_step::commit:
    return fault::commit_fails;
  case storage_step::resume:
    return fault::resume_fails;
  case storage_step::clean:
    break;
  }
  return fault::clean_fails;
}

} // namespace

outcome run_seed(const run_options& options) {
  return world{options}.run();
}

world::world(const run_options& options)
  : options_(options), setup_(make_setup(options.seed)),
    plan_(make_plan(options.seed, setup_)), faults_(options.what),
    trace_(options.print), schedule_(options.seed, schedule_stream),
    chaos_(options.seed, chaos_stream),
    storage_draws_(options.seed, storage_stream),
    network_({setup_.interfaces, setup_.mixed_links, setup_.mean_gap_ms,
              setup_.most_at_once},
             options.seed, time_, faults_, trace_),
    model_(setup_, time_, network_,
           [this](const char* rule, std::string text) { violate(rule, text); }),
    disk_(options.seed),
    edges_(setup_.edges, options.seed, time_, network_, trace_) {
  disk_.files().make_directories("/var/lib");
  disk_.write_back(); // the host was there before us
  outcome_.operations = plan_.size();
  plan_.resize(std::min(plan_.size(), options.operations));
}

outcome world::run() {
  operations_left_ = plan_.size();
  for (const auto& x : plan_)
    time_.at(x.at, [this, x] {
      --operations_left_;
      perform(x);
    });
  plan_faults();
  look_at_running();
  start_process();
  while (!broken() && (operations_left_ > 0 || !life_))
    step();
  if (!broken())
    come_to_rest();
  if (!broken())
    look_at_all();
  if (!broken())
    restart_in_order();
  dying_ = true;
  edges_.collector_ended();
  life_.reset();
  count_disk_faults();
  note("disk", disk_.digest());
  outcome_.hash = trace_.hash();
  outcome_.events = trace_.events();
  outcome_.tail = trace_.tail();
  outcome_.simulated = time_.now();
  outcome_.jobs = model_.known_jobs().size();
  outcome_.hits = faults_;
  return outcome_;
}

// -- running ------------------------------------------------------------------

engine_options world::options_of_process() {
  auto to = make_engine_options(setup_, time_, network_, ids_);
  to.storage.directory = directory;
  to.storage.files = &disk_.files();
  to.storage.index_vfs = disk_.vfs();
  to.storage.faults = [this](storage_step step, const std::string& id) {
    return storage_fault(step, id);
  };
  to.node->list_interfaces = [this] {
    auto result = network_.interfaces();
    if (!result)
      model_.node_lost();
    return result;
  };
  to.on_loss
    = [this](const std::string& name, const std::string&) { lose(name); };
  return to;
}

/// What a process finds and leaves, for whoever reads the trace.
void world::note_files() {
  for (const auto& path : disk_.paths())
    note("file", disk_.contents(path)->size(), path);
}

void world::start_process() {
  ++life_number_;
  note("process starts", life_number_);
  storage_back_ = time_.now();
  if (disk_.down()) {
    lose_savefile();
    disk_.start();
    note_files();
  }
  set_disk_faults();
  model_.process_started();
  life_ = std::make_unique<life>(options_of_process(), time_.now(), trace_);
  if (!life_->failed())
    edges_.collector_started(*life_);
  const auto excused = disk_.down() || disk_errors(disk_) > disk_errors_;
  notice_disk_errors();
  if (life_->failed() && !excused)
    return violate("a process starts on what another left", {});
  if (life_->failed())
    return end_process(); // its supervisor tries again
  // Jobs end while it still looks at what another process left.
  steps_to_pause_.reset();
  const auto paused = chaos_.one_in(6);
  const auto after = chaos_.below(80);
  if (paused && !calm_ && faults_.enabled(fault::storage_pauses))
    steps_to_pause_ = after;
}

void world::end_process() {
  note(host_dies_ ? "host crashes" : "process ends", life_number_);
  note_files();
  dying_ = true;
  if (!disk_.down())
    disk_.crash(host_dies_ ? test::crash_kind::host
                           : test::crash_kind::process);
  downloads_.clear();
  outcome_.largest_mailbox
    = std::max(outcome_.largest_mailbox, life_->largest_mailbox());
  edges_.collector_ended();
  life_.reset();
  requests_open_ = 0;
  model_.process_ended(host_dies_);
  dying_ = false;
  host_dies_ = false;
  steps_to_crash_.reset();
  time_.in(drawn(chaos_, 1ms, 8s), [this] { start_process(); });
}

void world::step() {
  if (trace_.events() > max_steps)
    return violate("a run comes to its end", "steps without end");
  time_.run_due();
  if (life_ && disk_.down() && !dying_) {
    faults_.hit(fault::crash_in_call);
    host_dies_ = call_takes_host_;
  }
  if (life_ && life_->failed() && !disk_.down()) {
    if (!model_.troubled())
      return violate("a process takes up what another left", {});
    return end_process(); // its supervisor tries again
  }
  if (life_ && (disk_.down() || (steps_to_crash_ && (*steps_to_crash_)-- == 0)))
    return end_process();
  if (!life_)
    return pass_time(true);
  if (steps_to_pause_ && (*steps_to_pause_)-- == 0) {
    steps_to_pause_.reset();
    pause_storage(fault::storage_pauses, drawn(chaos_, 20ms, 4s));
  }
  const auto away = [this](const caf::abstract_actor* x) {
    return (time_.now() < storage_back_
            && x == caf::actor_cast<caf::abstract_actor*>(life_->storage))
           || edges_.silent(x);
  };
  if (schedule_.one_in(setup_.hurry))
    pass_time(false);
  else if (life_->deliver_one(schedule_, setup_.schedule, away))
    notice_disk_errors();
  else
    pass_time(true);
}

/// Goes on to what happens next, or only a little towards it.
void world::pass_time(bool idle) {
  auto to = time_.now() + 1h;
  if (const auto next = time_.next())
    to = std::min(to, *next);
  if (life_)
    if (const auto next = life_->next_timer())
      to = std::min(to, *next);
  for (const auto back : {storage_back_, edges_.heard_again()})
    if (time_.now() < back)
      to = std::min(to, back);
  if (!idle)
    to = std::min(to, time_.now() + drawn(schedule_, 0ns, 20ms));
  to = std::max(to, time_.now());
  time_.advance(to);
  if (life_)
    life_->advance(to);
}

/// Every few seconds.
void world::look_at_running() {
  time_.in(5s, [this] { look_at_running(); });
  if (!life_ || disk_.down() || !life_->whole())
    return;
  model_.look_at_sources();
  const auto& all = life::state_of<job_registry_state>(life_->registry).running;
  for (const auto& [id, entry] : all)
    if (!life::dead(entry.handle))
      model_.look_at_running(
        entry.record, life::state_of<job_state>(entry.handle).shares.size());
}

// -- what goes wrong ----------------------------------------------------------

void world::plan_faults() {
  const auto end = plan_.empty() ? instant{30s} : plan_.back().at + 5s;
  const auto some_time = [&] { return drawn(chaos_, 0ns, end); };
  const auto plan = [&](fault what, std::uint64_t one_in, auto then) {
    const auto happens = chaos_.one_in(one_in);
    const auto when = some_time();
    if (!happens || !faults_.enabled(what))
      return;
    time_.at(when, [this, then] {
      if (!calm_ && life_ && !disk_.down() && life_->whole())
        then();
    });
  };
  for (int i = 0; i < 3; ++i)
    plan(fault::storage_pauses, 4, [this] {
      pause_storage(fault::storage_pauses, drawn(chaos_, 20ms, 4s));
    });
  plan(fault::storage_stalls, 8, [this] {
    pause_storage(fault::storage_stalls, drawn(chaos_, 9s, 40s));
  });
  plan(fault::storage_stalls, 60, [this] {
    pause_storage(fault::storage_stalls, drawn(chaos_, 290s, 330s));
  });
  for (int i = 0; i < 2; ++i) {
    plan(fault::job_dies, 10, [this] { kill_job(); });
    plan(fault::sampler_dies, 8, [this] { kill_sampler(); });
  }
  for (int i = 0; i < 3; ++i) {
    plan(fault::edge_cut, 4, [this] {
      if (!edges_.cut())
        return;
      faults_.hit(fault::edge_cut);
      model_.edge_was_away(time_.now(), time_.now());
    });
    plan(fault::edge_silent, 5, [this] {
      const auto duration = drawn(chaos_, 100ms, 40s);
      if (!edges_.silence(duration))
        return;
      faults_.hit(fault::edge_silent);
      model_.edge_was_away(time_.now(), time_.now() + duration);
    });
  }
  for (const auto what : {fault::node_dies, fault::registry_dies,
                          fault::limiter_dies, fault::storage_dies})
    plan(what, 40, [this, what] { kill_root(what); });
  plan(fault::clock_forward, 10, [this] {
    faults_.hit(fault::clock_forward);
    time_.jump(drawn(chaos_, 1ms, 600s));
  });
  plan(fault::clock_back, 10, [this] {
    faults_.hit(fault::clock_back);
    time_.jump(-drawn(chaos_, 1ms, 600s));
  });
  plan(fault::ordered_stop, 12, [this] { stop_process(); });
  plan(fault::disk_stays_full, 5, [this] {
    const auto room = chaos_.one_of({0u, 2000u, 20'000u, 200'000u, 2u << 20});
    fill_disk(room, drawn(chaos_, 100ms, 60s));
  });
  for (const auto what : {fault::process_crash, fault::host_crash}) {
    plan(what, 5, [this, what] { plan_crash(what, 0); });
    // Right after something was asked, where there is most to lose.
    const auto steps = chaos_.below(60);
    const auto when
      = plan_.empty() ? instant{0} : plan_[chaos_.below(plan_.size())].at;
    if (chaos_.one_in(6) && faults_.enabled(what))
      time_.at(when, [this, what, steps] {
        if (!calm_ && life_ && !disk_.down())
          plan_crash(what, steps);
      });
  }
  for (int i = 0; i < 2; ++i)
    plan(fault::crash_in_call, 5, [this] {
      call_takes_host_ = chaos_.one_in(2);
      disk_.crash_at_change(chaos_.below(40), call_takes_host_
                                                ? test::crash_kind::host
                                                : test::crash_kind::process);
    });
}

void world::plan_crash(fault what, std::uint64_t steps) {
  if (steps_to_crash_)
    return;
  faults_.hit(what);
  host_dies_ = what == fault::host_crash;
  steps_to_crash_ = steps;
}

void world::set_disk_faults() {
  const auto rate = [this](fault what, std::uint32_t times) {
    return calm_ || !faults_.enabled(what) ? 0 : times * setup_.disk_faults;
  };
  test::disk_rates rates;
  rates.no_space = rate(fault::disk_full, 1);
  rates.short_write = rate(fault::disk_short_write, 1);
  rates.write_error = rate(fault::disk_write_error, 1);
  rates.sync_error = rate(fault::disk_sync_error, 1);
  rates.read_error = rate(fault::disk_read_error, 4);
  rates.no_descriptor = rate(fault::no_descriptor, 2);
  rates.slow = rate(fault::disk_slow, 1);
  disk_.set_rates(rates);
}

/// What a call to the disk did shows only after the message in which it was.
void world::notice_disk_errors() {
  if (const auto errors = disk_errors(disk_);
      std::exchange(disk_errors_, errors) != errors) {
    note("disk fails", errors);
    model_.disk_failed();
  }
  if (disk_full_)
    model_.disk_has(disk_bytes_ - std::min(disk_bytes_, disk_.used_bytes()));
  if (disk_.take_slow())
    pause_storage(fault::storage_pauses, drawn(chaos_, 20ms, 4s));
}

void world::lose_savefile() {
  if (calm_ || !chaos_.one_in(8) || !faults_.enabled(fault::savefile_lost))
    return;
  std::vector<std::string> savefiles;
  for (const auto& path : disk_.paths())
    if (path.find("/savefiles/") != std::string::npos
        && std::filesystem::path{path}.extension() == ".pcap")
      savefiles.push_back(path);
  if (savefiles.empty())
    return;
  const auto& path = savefiles[chaos_.below(savefiles.size())];
  if (!(chaos_.one_in(2) ? disk_.lose(path) : disk_.cut(path, 30)))
    return;
  faults_.hit(fault::savefile_lost);
  const auto id = std::filesystem::path{path}.stem().string();
  note("savefile is lost", 0, id);
  model_.savefile_lost(id);
}

void world::count_disk_faults() {
  using test::disk_fault;
  static constexpr std::pair<fault, disk_fault> pairs[]
    = {{fault::disk_full, disk_fault::no_space},
       {fault::disk_short_write, disk_fault::short_write},
       {fault::disk_write_error, disk_fault::write_error},
       {fault::disk_sync_error, disk_fault::sync_error},
       {fault::disk_read_error, disk_fault::read_error},
       {fault::no_descriptor, disk_fault::no_descriptor},
       {fault::disk_slow, disk_fault::slow},
       {fault::torn_write, disk_fault::torn_write},
       {fault::lost_write, disk_fault::lost_write},
       {fault::lost_name, disk_fault::lost_name}};
  for (const auto& [ours, theirs] : pairs)
    faults_.hit(ours, disk_.hits(theirs));
}

void world::pause_storage(fault what, instant duration) {
  faults_.hit(what);
  note(
    name_of(what),
    static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
  storage_back_ = std::max(storage_back_, time_.now() + duration);
  model_.storage_was_away(time_.now(), storage_back_);
}

/// Others take all space but so much, for a while.
void world::fill_disk(std::uint64_t room_bytes, instant duration) {
  faults_.hit(fault::disk_stays_full);
  note(name_of(fault::disk_stays_full), room_bytes);
  disk_bytes_ = disk_.used_bytes() + room_bytes;
  disk_.set_capacity(disk_bytes_);
  disk_full_ = true;
  model_.disk_is_full(room_bytes);
  time_.in(duration, [this, number = ++times_full_] {
    if (number == times_full_)
      make_room();
  });
}

void world::make_room() {
  if (!std::exchange(disk_full_, false))
    return;
  note("disk has room again");
  disk_.set_capacity(large_disk_bytes);
  model_.disk_has_room();
}

void world::kill_job() {
  const auto& running
    = life::state_of<job_registry_state>(life_->registry).running;
  if (running.empty())
    return;
  // By id, for the order of a hash is nobody's business.
  std::vector<std::string> ids;
  for (const auto& [id, entry] : running)
    ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  const auto& id = ids[chaos_.below(ids.size())];
  const auto& entry = running.at(id);
  if (!entry.handle || life::dead(entry.handle))
    return;
  faults_.hit(fault::job_dies);
  note("job is killed", 0, id);
  model_.job_killed(id);
  caf::anon_send_exit(entry.handle, caf::exit_reason::kill);
}

void world::kill_sampler() {
  std::map<std::string, std::vector<sampler_actor>> samplers;
  for (const auto& [id, entry] :
       life::state_of<job_registry_state>(life_->registry).running) {
    if (!entry.handle || life::dead(entry.handle))
      continue;
    for (const auto& share : life::state_of<job_state>(entry.handle).shares)
      if (share.handle && !life::dead(share.handle))
        samplers[id].push_back(share.handle);
  }
  if (samplers.empty())
    return;
  const auto i
    = std::next(samplers.begin(),
                static_cast<std::ptrdiff_t>(chaos_.below(samplers.size())));
  faults_.hit(fault::sampler_dies);
  note("sampler is killed", 0, i->first);
  model_.sampler_killed(i->first);
  caf::anon_send_exit(i->second[chaos_.below(i->second.size())],
                      caf::exit_reason::kill);
}

/// A process without one of its long-lived actors ends at once.
void world::lose(const std::string& root) {
  if (dying_)
    return;
  note("actor is lost", 0, root);
  dying_ = true;
  if (!disk_.down())
    disk_.crash(test::crash_kind::process);
  host_dies_ = false;
}

void world::kill_root(fault what) {
  faults_.hit(what);
  note(name_of(what));
  model_.trouble(time_.now());
  model_.node_lost();
  const auto kill = [](const auto& handle) {
    caf::anon_send_exit(handle, caf::exit_reason::kill);
  };
  if (what == fault::node_dies)
    kill(life_->node);
  else if (what == fault::registry_dies)
    kill(life_->registry);
  else if (what == fault::limiter_dies)
    kill(life_->limiter);
  else
    kill(life_->storage);
}

std::optional<store_error> world::storage_fault(storage_step step,
                                                const std::string& id) {
  if (dying_)
    return std::nullopt;
  const auto fails
    = setup_.storage_faults > 0 && storage_draws_.one_in(setup_.storage_faults);
  if (calm_ || disk_.down())
    return std::nullopt;
  const auto kind = fault_of(step);
  if (!faults_.strikes(kind, fails))
    return std::nullopt;
  note(name_of(kind), 0, id);
  if (step == storage_step::append)
    model_.append_refused(id);
  else if (step != storage_step::clean)
    model_.storage_refused(id);
  return store_error{store_errc::unavailable,
                     std::string{name_of(kind)} + ": Input/output error"};
}

void world::stop_process() {
  faults_.hit(fault::ordered_stop);
  note("process is asked to stop", life_number_);
  model_.stopping();
  auto x = std::make_shared<request>();
  const auto number = life_number_;
  const auto done = [this, number](bool sealed) {
    if (dying_ || disk_.down() || number != life_number_)
      return;
    note("process is done", sealed ? 1 : 0);
    // What is not sealed by now, the next start resolves.
    steps_to_crash_ = 0;
    host_dies_ = false;
  };
  life_->system().spawn(
    [done, registry = life_->registry](caf::event_based_actor* self) {
      install_default_handlers(self);
      self->request(registry, grace_period, atom::shutdown_v)
        .then([done](caf::ok_atom) { done(true); },
              [done](caf::error&) { done(false); });
    });
}

// -- what clients do ----------------------------------------------------------

template <class Result, class Handle, class OnValue, class... Ts>
void world::ask(const request_ptr& x, const Handle& whom, OnValue on_value,
                Ts... xs) {
  ++requests_open_;
  model_.asked(x);
  const auto number = life_number_;
  const auto heard = [this, number] {
    if (dying_ || disk_.down() || number != life_number_)
      return false;
    --requests_open_;
    return true;
  };
  life_->system().spawn([=](caf::event_based_actor* self) {
    install_default_handlers(self);
    self->request(whom, answer_timeout, xs...)
      .then(
        [=](Result& value) {
          if (heard())
            on_value(value);
        },
        [=](caf::error& err) {
          if (!heard())
            return;
          const auto why = describe(err);
          note("is refused", 0, why.text);
          model_.refused(*x, why);
        });
  });
}

std::string world::choose_job(const operation& x) const {
  const auto known = model_.known_jobs();
  if (known.empty() || x.pick % 16 == 0)
    return "00000000000000000000000000000bad";
  // The youngest ones are the ones that still run.
  const auto back = (x.pick / 16) % std::min<std::size_t>(known.size(), 6);
  return known[known.size() - 1 - back];
}

void world::perform(const operation& op) {
  if (!life_ || disk_.down() || !life_->resumed())
    return; // nobody answers the phone
  auto x = std::make_shared<request>();
  x->op = op;
  if (op.what != action::create && op.what != action::list) {
    x->target = choose_job(op);
    // Now and then another account's.
    const auto known = model_.known_jobs();
    if (op.pick % 8 != 1
        && std::find(known.begin(), known.end(), x->target) != known.end())
      x->op.account = model_.account_of(x->target);
  }
  send(x);
}

/// Some clients change their mind while the engine is about to begin.
void world::stop_at_once(const operation& creation, const std::string& id) {
  auto x = std::make_shared<request>();
  x->op = creation;
  x->op.what = action::stop;
  x->target = id;
  time_.in(0ns, [this, x] {
    if (life_ && !disk_.down() && life_->resumed())
      send(x);
  });
}

/// Some clients are slow to read.
void world::take_download(request& x, const savefile& file) {
  model_.downloaded(x, read_all(file));
  if (x.op.takes <= 0ns)
    return;
  model_.download_goes_on(x.target, time_.now() + x.op.takes);
  const auto i = downloads_.insert(downloads_.end(), file.descriptor);
  // Those of a process that is gone are closed with it.
  time_.in(x.op.takes, [this, number = life_number_, i] {
    if (number == life_number_ && !downloads_.empty())
      downloads_.erase(i);
  });
}

void world::send(const request_ptr& x) {
  const auto& op = x->op;
  note(name_of(op.what), 0, op.account.substr(0, 2) + " " + x->target + op.key);
  const auto& whom = life_->registry;
  const auto tell = [this, x](job_record& record) { model_.told(*x, record); };
  switch (op.what) {
  case action::create:
    return ask<creation>(
      x, whom,
      [this, x](creation& made) {
        model_.created(*x, made);
        if (x->op.pick % 8 == 2)
          stop_at_once(x->op, made.record.id);
      },
      atom::create_v, op.spec, op.key);
  case action::stop:
    return ask<job_record>(x, whom, tell, atom::stop_v, op.account, x->target);
  case action::erase:
    return ask<caf::ok_atom>(
      x, whom, [this, x](caf::ok_atom) { model_.erased(*x); }, atom::erase_v,
      op.account, x->target);
  case action::get:
    return ask<job_record>(x, whom, tell, atom::get_v, op.account, x->target);
  case action::list: {
    list_query query;
    query.account_id = op.account;
    query.status = op.status;
    return ask<shared_job_page>(
      x, whom, [this, x](shared_job_page& page) { model_.listed(*x, *page); },
      atom::list_v, query);
  }
  case action::download:
    return ask<savefile>(
      x, whom, [this, x](savefile& file) { take_download(*x, file); },
      atom::download_v, op.account, x->target, op.format);
  case action::follow: {
    watchers_.push_back(std::make_shared<watcher>(
      [this](const char* rule, const std::string& text) {
        if (!dying_)
          violate(rule, text);
      }));
    return ask<caf::ok_atom>(
      x, whom, [x, this](caf::ok_atom) { x->answered = time_.now(); },
      atom::follow_v, op.account, x->target, follower_ptr{watchers_.back()});
  }
  case action::stats:
    return ask<engine_stats>(
      x, whom, [this, x](engine_stats& stats) { model_.told_stats(*x, stats); },
      atom::stats_v);
  }
}

// -- the end ------------------------------------------------------------------

bool world::quiet() const {
  if (!life_ || disk_.down() || steps_to_crash_ || requests_open_ > 0
      || time_.now() < storage_back_ || time_.now() < edges_.heard_again()
      || !life_->whole() || !life_->idle() || !life_->resumed())
    return false;
  const auto& registry = life::state_of<job_registry_state>(life_->registry);
  const auto& store = life::state_of<storage_state>(life_->storage);
  return registry.running.empty() && registry.creating == 0
         && registry.withdrawn.empty() && registry.keyed.empty()
         && store.seals.empty() && store.unresolved.empty()
         && store.open_jobs.empty() && !store.inspecting;
}

void world::come_to_rest() {
  calm_ = true;
  make_room();
  network_.calm();
  set_disk_faults();
  note("calm");
  const auto deadline = time_.now() + rest_timeout;
  while (!broken() && !quiet() && time_.now() < deadline)
    step();
  if (broken() || quiet())
    return;
  violate("everything comes to rest", what_is_left());
}

std::string world::what_is_left() const {
  auto result = std::to_string(requests_open_) + " requests are open";
  if (!life_ || !life_->whole())
    return result + ", no process is whole";
  const auto& registry = life::state_of<job_registry_state>(life_->registry);
  const auto& store = life::state_of<storage_state>(life_->storage);
  for (const auto& [id, entry] : registry.running)
    result += ", job " + id + " is " + to_string(entry.record.phase);
  for (const auto& [id, lost] : store.open_jobs)
    result += ", storage takes packets of " + id;
  for (const auto& id : store.unresolved)
    result += ", " + id + " is unresolved";
  if (store.inspecting)
    result += ", files of an earlier process are looked at";
  return result + ", " + std::to_string(registry.creating) + " creating, "
         + std::to_string(registry.keyed.size()) + " with keys, "
         + std::to_string(store.seals.size()) + " seals";
}

void world::look_at_all() {
  const auto ask_all = [&](auto&& fill) {
    for (const auto& id : model_.known_jobs()) {
      auto x = std::make_shared<request>();
      x->target = id;
      x->op.account = model_.account_of(id);
      if (fill(*x))
        send(x);
    }
    const auto deadline = time_.now() + 60s;
    while (!broken() && !quiet() && time_.now() < deadline)
      step();
    if (!broken() && requests_open_ > 0)
      violate("every request is answered",
              std::to_string(requests_open_) + " were not");
  };
  ask_all([](request& x) {
    x.op.what = action::get;
    return true;
  });
  for (const auto format : {savefile_format::pcap, savefile_format::pcapng})
    ask_all([&](request& x) {
      x.op.what = action::download;
      x.op.format = format;
      return model_.has_savefile(x.target);
    });
  if (!broken())
    check_engine_at_rest();
}

void world::check_engine_at_rest() {
  if (network_.owned() > 0)
    violate("no source outlives its job", std::to_string(network_.owned()));
  const auto& store = life::state_of<storage_state>(life_->storage);
  std::vector<job_record> everything;
  std::set<std::string> accounts;
  for (const auto& id : model_.known_jobs())
    accounts.insert(model_.account_of(id));
  for (const auto& x : plan_)
    accounts.insert(x.account);
  for (const auto& account : accounts) {
    list_query query;
    query.account_id = account;
    const auto page = store.parts.index->list(query);
    if (!page)
      return violate("the index can be read", page.error().message);
    everything.insert(everything.end(), (*page)->jobs.begin(),
                      (*page)->jobs.end());
  }
  const auto totals = store.parts.index->totals();
  if (!totals || totals->jobs != everything.size())
    violate("totals agree", "jobs of the index");
  model_.at_rest(everything, last_look_);
  check_disk_at_rest(everything);
  check_open_files();
}

void world::check_disk_at_rest(const std::vector<job_record>& everything) {
  const auto& parts = life::state_of<storage_state>(life_->storage).parts;
  std::set<std::string> wanted;
  for (const auto& x : everything) {
    if (x.phase == job_phase::succeeded)
      wanted.insert(x.id);
    for (const auto format : {savefile_format::pcap, savefile_format::pcapng}) {
      const auto size = parts.store->size_of(x.id, format);
      const auto expected
        = format == savefile_format::pcap ? x.savefile_bytes : x.pcapng_bytes;
      // The start that should have seen it may have failed to look.
      if ((!size || *size != expected) && !model_.lost_its_savefile(x.id))
        violate("a savefile is as large as the record says", x.id);
    }
  }
  // What could not be removed waits for the next start.
  const auto left
    = !last_look_ && faults_.hits(fault::clean_fails) + disk_errors_ > 0;
  for (auto walk = parts.store->walk(); !walk.done();) {
    const auto entries = walk.next(1);
    if (!entries)
      return violate("the disk can be read", entries.error().message);
    for (const auto& x : *entries)
      if (!left
          && (x.what != stored_entry::kind::savefile
              || wanted.count(x.id) == 0))
        violate("nothing outlives its job", x.path.string());
  }
}

/// Of all files that the engine opens, one is open for long: its lock.
void world::check_open_files() {
  // The step of storage that closes a job's runs may be what failed.
  const auto left = !last_look_ && faults_.hits(fault::clean_fails) > 0;
  const auto open = disk_.open_files();
  if (open == 0 || (open > 1 && !left))
    violate("no file is open for longer than it is used",
            std::to_string(open) + " are open");
}

/// Ends the process in order; the next one finds what there was.
void world::restart_in_order() {
  outcome_.largest_mailbox
    = std::max(outcome_.largest_mailbox, life_->largest_mailbox());
  if (outcome_.largest_mailbox > max_mailbox)
    violate("a mailbox is bounded", std::to_string(outcome_.largest_mailbox));
  dying_ = true;
  downloads_.clear();
  edges_.collector_ended();
  const auto left = life_->stop();
  if (left > 0)
    return violate("no actor outlives its process", std::to_string(left));
  life_.reset();
  if (disk_.open_files() > 0)
    return violate("no file outlives its process",
                   std::to_string(disk_.open_files()));
  disk_.crash(test::crash_kind::process);
  dying_ = false;
  requests_open_ = 0;
  for (const auto& each : watchers_)
    if (each.use_count() > 1)
      violate("no stream outlives its job", {});
  model_.process_ended(false);
  last_look_ = true;
  start_process();
  if (!broken())
    come_to_rest();
  if (!broken())
    look_at_all();
}

void world::violate(const char* rule, const std::string& text) {
  if (broken())
    return;
  outcome_.rule = rule;
  outcome_.text = text;
  trace_.note(time_.now(), "rule", 0, "broken", 0,
              std::string{rule} + ": " + text);
}

void world::note(const char* what, std::uint64_t value,
                 const std::string& text) {
  trace_.note(time_.now(), "world", life_number_, what, value, text);
}

} // namespace edgecap::simulation

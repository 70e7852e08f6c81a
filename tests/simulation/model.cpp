#include "tests/simulation/model.hpp"

#include "actors/messages.hpp"
#include "tests/simulation/savefile_check.hpp"

#include <caf/deep_to_string.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace edgecap::simulation {

using namespace std::chrono_literals;

namespace {

/// What an answer may take when nothing is wrong, and then some.
constexpr instant patience = 15s;

/// A pause of storage that nobody notices.
constexpr instant short_pause = 1s;

template <class T>
std::string text_of(const std::optional<T>& x) {
  return x ? std::to_string(*x) : "?";
}

std::string text_of(const interface_report& x) {
  return "[" + x.node + "/" + x.interface + " " + to_string(x.phase) + " link "
         + (x.link ? std::to_string(static_cast<std::uint32_t>(*x.link)) : "?")
         + " captured " + std::to_string(x.packets_captured) + " matched "
         + text_of(x.packets_matched) + " sampled out "
         + text_of(x.packets_sampled_out) + " dropped "
         + text_of(x.dropped_by_kernel) + "/" + text_of(x.dropped_by_interface)
         + "/" + text_of(x.dropped_by_us) + " " + x.error + "]";
}

/// Everything that a record says.
std::string text_of(const job_record& x) {
  auto result = x.id + " of " + x.spec.account_id.substr(0, 2) + " for "
                + std::to_string(x.spec.packet_limit) + " packets in "
                + std::to_string(x.spec.time_limit_s) + " s "
                + (x.spec.colo_name.empty() ? "" : "on " + x.spec.colo_name)
                + ": " + to_string(x.phase) + " " + to_string(x.reason) + " \""
                + x.error_message + "\"" + (x.stop_requested ? " stopped" : "")
                + " submitted " + std::to_string(x.submitted) + " started "
                + text_of(x.started) + " finished " + text_of(x.finished)
                + " packets " + std::to_string(x.packets_captured) + " bytes "
                + std::to_string(x.bytes_captured) + " files "
                + std::to_string(x.savefile_bytes) + " "
                + std::to_string(x.pcapng_bytes);
  for (const auto& each : x.interfaces)
    result += " " + text_of(each);
  for (const auto& each : x.interruptions)
    result += " gap " + std::to_string(each.from) + ".." + text_of(each.to);
  return result;
}

std::uint64_t captured_on_interfaces(const job_record& x) {
  std::uint64_t result = 0;
  for (const auto& each : x.interfaces)
    result += each.packets_captured;
  return result;
}

std::string status_of(const job_record& x) {
  if (!is_terminal(x.phase))
    return "pending";
  return x.phase == job_phase::succeeded ? "success" : "failed";
}

/// No packet of a job is stamped later.
capture::unix_ns latest_stamp_of(const job_record& x) {
  return x.submitted + capture::unix_ns{x.spec.time_limit_s} * 1'000'000'000;
}

/// Whether a client wants this node; one whose name a crash has taken may be
/// it.
bool chosen(const std::string& node, const std::string& colo) {
  return colo.empty() || node.empty() || node == colo
         || (colo == edges_colo && node.compare(0, 5, "edge-") == 0);
}

bool regular(end_reason x) {
  return x == end_reason::packet_limit || x == end_reason::time_limit
         || x == end_reason::stopped;
}

/// Whether packets that were counted may not have been stored.
bool lost_room(end_reason x) {
  return x == end_reason::storage_full || x == end_reason::quota
         || x == end_reason::storage_error;
}

bool overlaps(const std::pair<instant, instant>& x, instant from, instant to) {
  return x.first <= to && x.second >= from;
}

/// Whether an interruption lasted from one process to the next.
bool covers_absence(const interruption& x, capture::unix_ns from,
                    capture::unix_ns to) {
  return x.from <= from && (!x.to || *x.to >= to);
}

} // namespace

model::model(const setup& how, timeline& time, const network& host,
             violation violated)
  : setup_(how), time_(time), host_(host), violated_(std::move(violated)) {}

// -- what is done to the engine -----------------------------------------------

void model::process_started() {
  ++life_;
  life_began_ = time_.now();
  stopping_ = false;
  resumed_ = 0;
  if (!absences_.empty())
    absences_.back().to = time_.latest_date();
}

void model::process_ended(bool host) {
  host_crashed_ = host_crashed_ || host;
  const auto date = time_.latest_date();
  absences_.push_back({time_.now(), date, date, host});
}

void model::stopping() {
  stopping_ = true;
  stops_.push_back(time_.now());
}

void model::trouble(instant until) {
  troubled_until_ = std::max(troubled_until_, until);
}

void model::storage_refused(const std::string& id) {
  facts_[id].storage_refused = true;
  trouble(time_.now());
}

void model::append_refused(const std::string& id) {
  facts_[id].append_refused_in = life_;
  storage_refused(id);
}

void model::storage_was_away(instant from, instant to) {
  storage_away_.emplace_back(from, to);
  trouble(to);
}

void model::disk_failed() {
  disk_failures_.push_back(time_.now());
  trouble(time_.now());
}

void model::disk_is_full(std::uint64_t free_bytes) {
  disk_has_room();
  disk_full_.push_back({time_.now(), instant::max(), free_bytes});
}

void model::disk_has(std::uint64_t free_bytes) {
  auto& most = disk_full_.back().most_free;
  most = std::max(most, free_bytes);
}

void model::disk_has_room() {
  if (!disk_full_.empty())
    disk_full_.back().to = std::min(disk_full_.back().to, time_.now());
}

void model::savefile_lost(const std::string& id) {
  facts_[id].savefile_lost = true;
}

void model::job_killed(const std::string& id) {
  facts_[id].killed = true;
  trouble(time_.now());
}

void model::sampler_killed(const std::string& id) {
  facts_[id].sampler_killed = true;
}

void model::node_lost() {
  nodes_lost_.push_back(time_.now());
}

void model::edge_was_away(instant from, instant to) {
  edges_away_.emplace_back(from, to);
}

// -- what clients ask and are told --------------------------------------------

void model::asked(const request_ptr& x) {
  x->life = life_;
  x->sent = time_.now();
  if (x->op.what == action::create)
    creates_.push_back(x);
  const auto i = jobs_.find(x->target);
  if (i == jobs_.end() || i->second.last.spec.account_id != x->op.account)
    return;
  if (x->op.what == action::stop || x->op.what == action::erase)
    i->second.stop_sent = true;
  if (x->op.what == action::erase && !i->second.erase_sent)
    i->second.erase_sent = x->sent;
}

void model::created(request& x, const creation& what) {
  x.answered = time_.now();
  const auto& record = what.record;
  if (!(record.spec == x.op.spec))
    violate("an answer is about what was asked", text_of(record));
  if (what.replayed && x.op.key.empty())
    violate("only a key leads to an earlier job", text_of(record));
  if (!what.replayed) {
    x.created = true;
    const auto twice
      = std::any_of(creates_.begin(), creates_.end(), [&](const auto& y) {
          return y.get() != &x && y->created && y->target == record.id;
        });
    if (twice)
      violate("a job is created once", text_of(record));
    for (const auto& [id, view] : jobs_) {
      const auto earlier
        = std::any_of(creates_.begin(), creates_.end(), [&](const auto& y) {
            return y.get() != &x && y->created && y->op.key == x.op.key
                   && y->target == id && y->answered <= x.sent;
          });
      if (!x.op.key.empty() && id != record.id && earlier
          && view.last.spec.account_id == x.op.account
          && !may_be_gone(jobs_.at(id)))
        violate("a key leads to one job", id + " and " + record.id);
    }
    x.target = record.id;
    judge_creation_rate(x);
    judge_quotas(x);
    judge_floor(x);
  }
  judge(x, record);
}

void model::told(request& x, const job_record& record) {
  x.answered = time_.now();
  if (record.id != x.target || record.spec.account_id != x.op.account)
    violate("an answer is about what was asked", text_of(record));
  judge(x, record);
  const auto i = jobs_.find(record.id);
  if (x.op.what == action::stop && i != jobs_.end())
    i->second.stopped_in = x.life;
}

void model::listed(request& x, const job_page& page) {
  x.answered = time_.now();
  std::set<std::string> shown;
  for (std::size_t i = 0; i < page.jobs.size(); ++i) {
    const auto& record = page.jobs[i];
    if (!shown.insert(record.id).second)
      violate("a list shows a job once", record.id);
    if (record.spec.account_id != x.op.account)
      violate("a list shows one account", text_of(record));
    if (i > 0 && page.jobs[i - 1].submitted < record.submitted)
      violate("a list begins with the newest", text_of(record));
    if (!x.op.status.empty() && status_of(record) != x.op.status)
      violate("a list shows the status asked for",
              x.op.status + ": " + text_of(record));
    judge(x, record);
  }
  if (page.total_count < shown.size()
      || (shown.size() < 50 && page.total_count != shown.size()))
    violate("a list counts what it shows", std::to_string(page.total_count)
                                             + " instead of "
                                             + std::to_string(shown.size()));
  if (!x.op.status.empty() || page.total_count > 50)
    return;
  for (auto& [id, view] : jobs_)
    if (view.last.spec.account_id == x.op.account && view.heard_of < x.sent
        && shown.count(id) == 0 && !may_be_gone(view))
      violate("an acknowledged job is never lost",
              "not in the list: " + text_of(view.last));
}

void model::erased(request& x) {
  x.answered = time_.now();
  const auto i = jobs_.find(x.target);
  if (i == jobs_.end() || i->second.last.spec.account_id != x.op.account)
    violate("only an account's own job is removed", x.target);
  else if (!i->second.gone_since)
    i->second.gone_since = time_.now();
}

void model::downloaded(request& x, const std::string& bytes) {
  x.answered = time_.now();
  const auto i = jobs_.find(x.target);
  if (i == jobs_.end())
    return violate("only a known job is downloaded", x.target);
  auto& view = i->second;
  if (view.gone_since && *view.gone_since < x.sent)
    violate("a removed job is gone", x.target);
  if (!view.terminal)
    return; // its record is asked for in the end
  if (facts_[x.target].savefile_lost)
    return; // what there is of it is no answer
  if (view.terminal->phase != job_phase::succeeded)
    return violate("a failed job has no savefile", text_of(*view.terminal));
  judge_savefile(view, x.op.format == savefile_format::pcap ? bytes : "");
  if (x.op.format == savefile_format::pcap)
    return;
  std::string fault;
  const auto packets = count_pcapng(bytes, fault);
  if (!fault.empty() || packets != view.terminal->packets_captured)
    violate("a pcapng file holds what the record says",
            std::to_string(packets) + " packets; " + fault + "; "
              + text_of(*view.terminal));
}

void model::download_goes_on(const std::string& id, instant until) {
  const auto i = jobs_.find(id);
  if (i == jobs_.end())
    return;
  auto& view = i->second;
  if (view.held_in != life_ || !view.held_until || *view.held_until < until)
    view.held_until = until;
  view.held_in = life_;
}

void model::told_stats(request& x, const engine_stats& stats) {
  x.answered = time_.now();
  auto sum = stats.jobs_running;
  for (const auto& each : stats.outcomes)
    sum += each.jobs;
  // What runs or ended was created, or goes on from an earlier process. Only a
  // start lets jobs go on, so that their number does not fall.
  if (sum < stats.jobs_created + resumed_
      || (life_ == 1 && sum > stats.jobs_created))
    return violate("totals agree", caf::deep_to_string(stats));
  resumed_ = sum - stats.jobs_created;
}

void model::refused(request& x, const failure& why) {
  x.answered = time_.now();
  // Whoever waits no longer does not know what comes of it. Nor does who is
  // told that the disk failed: what could not be synced may be found by the
  // next process all the same.
  x.refused = why.ours && why.code != errc::storage_unavailable
              && why.code != errc::storage_full;
  if (x.op.what == action::create)
    judge_refused_create(x, why);
  else
    judge_refused(x, why);
}

// -- judging refusals ---------------------------------------------------------

void model::judge_refused_create(const request& x, const failure& why) {
  const auto counts = [&](auto&& holds) {
    return static_cast<std::uint32_t>(
      std::count_if(creates_.begin(), creates_.end(),
                    [&](const auto& y) { return y.get() != &x && holds(*y); }));
  };
  if (!why.ours || why.code == errc::storage_unavailable) {
    if (!excused(x))
      violate("an engine without faults answers", why.text);
    return;
  }
  switch (why.code) {
  case errc::storage_full:
    if (!disk_failed_since(x.sent - patience)
        && !disk_full_since(x.sent - short_pause))
      violate("only a full disk is full", why.text);
    return;
  case errc::rate_limited:
    return judge_rate_limited(x);
  case errc::shutting_down:
    if (!stopping_)
      violate("only an engine that ends refuses for that", why.text);
    return;
  case errc::unknown_system:
    if (x.op.spec.system == "lab")
      violate("a known system is known", why.text);
    return;
  case errc::too_many_jobs: {
    const auto may_run = counts([&](const request& y) {
      if (y.refused)
        return *y.answered > x.sent;
      const auto i = jobs_.find(y.target);
      // An end may be known before its job is gone.
      return i == jobs_.end() || !i->second.terminal
             || i->second.end_heard_of + patience > x.sent;
    });
    if (may_run < setup_.running_jobs)
      violate("only too many running jobs are too many", why.text);
    return;
  }
  case errc::quota_reached:
    return judge_quota_refusal(x);
  case errc::key_reused: {
    const auto used
      = std::any_of(creates_.begin(), creates_.end(), [&](const auto& y) {
          return y->op.account == x.op.account && y->op.key == x.op.key
                 && !(y->op.spec == x.op.spec);
        });
    if (!used)
      violate("only a used key is refused", why.text);
    return;
  }
  default:
    violate("a create is refused for a reason that it can have", why.text);
  }
}

void model::judge_quota_refusal(const request& x) {
  // Those that nobody knows to be gone, and those that nobody knows.
  const auto most_jobs = [&](const std::string* account) {
    const auto kept
      = std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
          const auto& view = entry.second;
          return (!account || view.last.spec.account_id == *account)
                 && (!view.gone_since || *view.gone_since > x.sent);
        });
    const auto unknown
      = std::count_if(creates_.begin(), creates_.end(), [&](const auto& y) {
          return y.get() != &x && (!account || y->op.account == *account)
                 && !y->created && (!y->refused || *y->answered > x.sent);
        });
    return static_cast<std::uint64_t>(kept + unknown);
  };
  const auto is_full = [&](const quota& limit, const std::string* account) {
    return limit.jobs != 0 && most_jobs(account) >= limit.jobs;
  };
  if (!is_full(setup_.each_account, &x.op.account)
      && !is_full(setup_.total, nullptr)
      && !may_be_over_bytes(x.op.account, x.sent))
    violate("only a full quota is refused",
            std::to_string(most_jobs(&x.op.account)) + " of "
              + std::to_string(most_jobs(nullptr)) + " jobs");
}

/// What surely was there when a job was created left room for it.
void model::judge_quotas(const request& x) const {
  const auto check = [&](const quota& limit, const std::string* account) {
    std::uint64_t jobs = 0;
    std::uint64_t bytes = 0;
    for (const auto& [id, view] : jobs_) {
      if (id == x.target || (account && view.last.spec.account_id != *account)
          || view.heard_of >= x.sent || may_be_gone(view))
        continue;
      ++jobs;
      if (view.terminal && view.end_heard_of < x.sent && !lost_its_savefile(id))
        bytes += view.terminal->savefile_bytes + view.terminal->pcapng_bytes;
    }
    if ((limit.jobs != 0 && jobs >= limit.jobs)
        || (limit.bytes != 0 && bytes >= limit.bytes))
      violate("a full quota takes no job", std::to_string(jobs) + " jobs of "
                                             + std::to_string(bytes)
                                             + " bytes");
  };
  check(setup_.each_account, &x.op.account);
  check(setup_.total, nullptr);
}

/// Nobody is told yes while less is free than the floor; but what is free may
/// be known from a moment before.
void model::judge_floor(const request& x) const {
  if (disk_full_.empty())
    return;
  const auto& last = disk_full_.back();
  if (last.to == instant::max() && last.from + short_pause < x.sent
      && last.most_free < setup_.min_free_bytes)
    violate("a full disk takes no job",
            std::to_string(last.most_free) + " bytes were free");
}

void model::judge_rate_limited(const request& x) {
  // Everybody who may hold a part of the allowance. What an earlier process
  // gave is as old as the host's clock says.
  const auto window
    = life_ == 1 ? std::chrono::nanoseconds{60s} : 60s + time_.set_back();
  const auto holders
    = std::count_if(creates_.begin(), creates_.end(), [&](const auto& y) {
        if (y.get() == &x || y->op.account != x.op.account)
          return false;
        if (!y->answered || (!y->created && !y->refused))
          return y->sent + window + 4 * patience > x.sent;
        if (*y->answered > x.sent)
          return true;
        return y->created && *y->answered + window > x.sent;
      });
  if (static_cast<std::uint32_t>(holders) < setup_.collects)
    violate("only a used allowance is refused",
            std::to_string(holders) + " of " + std::to_string(setup_.collects)
              + " used");
}

/// A restart gives nobody a second minute. What an earlier process gave has an
/// age by the host's clock alone, which does not show time to the nanosecond.
void model::judge_creation_rate(const request& x) {
  const auto counts = [&](const request& y) {
    if (!y.created || y.op.account != x.op.account)
      return false;
    const auto age = *x.answered - y.sent;
    return y.life == x.life ? age < 60s : !time_.was_set() && age < 60s - 1ms;
  };
  const auto others
    = std::count_if(creates_.begin(), creates_.end(),
                    [&](const auto& y) { return y.get() != &x && counts(*y); });
  if (static_cast<std::uint32_t>(others) >= setup_.collects)
    violate("an account creates as often as it may",
            std::to_string(others + 1) + " in a minute");
}

void model::judge_refused(const request& x, const failure& why) {
  const auto i = jobs_.find(x.target);
  auto* view
    = i == jobs_.end() || i->second.last.spec.account_id != x.op.account
        ? nullptr
        : &i->second;
  if (!why.ours || why.code == errc::storage_unavailable
      || why.code == errc::storage_full) {
    if (!excused(x))
      violate("an engine without faults answers", why.text);
    return;
  }
  const auto lost
    = facts_[x.target].savefile_lost || facts_[x.target].storage_refused;
  switch (why.code) {
  case errc::unknown_job:
    if (view == nullptr)
      return;
    if (!may_be_gone(*view))
      violate("an acknowledged job is never lost", text_of(view->last));
    else if (!view->gone_since)
      view->gone_since = time_.now();
    return;
  case errc::not_ready:
    // A start that could not end a job tries again a sweep later.
    if (x.op.what == action::erase
          ? !excused(x) && !troubled()
          : x.op.what != action::download
              || (view != nullptr && view->terminal && view->heard_of < x.sent
                  && view->terminal->finished && !excused(x)))
      violate("a finished job is ready", why.text);
    return;
  case errc::no_savefile:
    if (x.op.what == action::download
        && (view == nullptr || !view->terminal || lost
            || view->terminal->phase == job_phase::failed
            || (x.op.format == savefile_format::pcapng
                && view->terminal->pcapng_bytes == 0)))
      return;
    return violate("a job that succeeded has its savefile", why.text);
  case errc::not_running:
  case errc::too_many_followers:
    if (x.op.what != action::follow)
      violate("a request is refused for a reason that it can have", why.text);
    return;
  default:
    violate("a request is refused for a reason that it can have", why.text);
  }
}

// -- judging records ----------------------------------------------------------

void model::judge(const request& x, const job_record& record) {
  auto& view = view_of(x, record);
  if (view.gone_since && *view.gone_since < x.sent)
    violate("a removed job is gone", text_of(record));
  if (!(record.spec == view.last.spec)
      || record.submitted != view.last.submitted)
    violate("what was asked for never changes", text_of(record));
  judge_shape(record);
  judge_interruptions(view, record);
  judge_progress(x, view, record);
}

model::job_view& model::view_of(const request&, const job_record& record) {
  const auto [i, fresh] = jobs_.try_emplace(record.id);
  auto& view = i->second;
  if (fresh) {
    view.last = record;
    view.heard_of = time_.now();
    view.last_life = life_;
    may_exist(record);
  }
  return view;
}

/// A job comes from a request that may have created one.
void model::may_exist(const job_record& record) {
  const auto asked
    = std::count_if(creates_.begin(), creates_.end(),
                    [&](const auto& y) { return y->op.spec == record.spec; });
  const auto there
    = std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& y) {
        return y.second.last.spec == record.spec;
      });
  if (there > asked)
    violate("a job comes from a request", text_of(record));
}

void model::judge_shape(const job_record& x) {
  if (x.packets_captured > x.spec.packet_limit)
    violate("never more than packet_limit", text_of(x));
  if (captured_on_interfaces(x) != x.packets_captured)
    violate("interfaces add up to the job", text_of(x));
  for (const auto& each : x.interfaces)
    if (!chosen(each.node, x.spec.colo_name))
      violate("a job captures on the nodes that were chosen", text_of(x));
  judge_first_line(x);
  if (!is_terminal(x.phase))
    return;
  if (x.reason == end_reason::none || !x.finished)
    violate("an end has a reason and a time", text_of(x));
  if (x.phase == job_phase::failed
      && (x.error_message.empty() || x.savefile_bytes != 0))
    violate("a failed job says why and has no savefile", text_of(x));
  if (x.phase == job_phase::succeeded && x.savefile_bytes < 24)
    violate("a job that succeeded has a savefile", text_of(x));
}

/// With one machine it is clear which interface comes first, in every life.
void model::judge_first_line(const job_record& x) {
  if (setup_.edges > 0 || x.interfaces.empty())
    return;
  const auto& first = x.interfaces.front().interface;
  if (first != setup_.interfaces.front() && first.rfind("unknown-", 0) != 0)
    violate("an interface keeps its line", text_of(x));
}

/// A job that captures on after a crash says when it did not. With a clock that
/// was set, dates show nothing.
void model::judge_interruptions(job_view& view, const job_record& record) {
  if (time_.was_set())
    return;
  auto begin = record.submitted;
  for (const auto& x : record.interruptions) {
    const auto is_last = &x == &record.interruptions.back();
    const auto covers = [&](const absence& gone) {
      return covers_absence(x, gone.from, gone.to);
    };
    if (x.from < begin || (x.to ? *x.to < x.from : !is_last)
        || std::none_of(absences_.begin(), absences_.end(), covers))
      violate("an interruption is a time without a process", text_of(record));
    begin = x.to.value_or(x.from);
  }
  // What went wrong since the start may have kept it from being taken up.
  if (!is_terminal(record.phase) && !troubled()) {
    view.captured_in = life_;
    if (record.phase == job_phase::capturing && !record.interruptions.empty()
        && !record.interruptions.back().to)
      violate("an interruption ends when capturing goes on", text_of(record));
  }
  // A crash of the host undoes what was noted at the ones before it.
  for (auto i = absences_.size(); i-- > 0;) {
    const auto& gone = absences_[i];
    if (view.heard_of <= gone.since && i + 2 <= view.captured_in)
      judge_stated_gap(record, gone);
    if (gone.host)
      return;
  }
}

void model::judge_stated_gap(const job_record& record,
                             const absence& gone) const {
  const auto& all = record.interruptions;
  const auto stated = std::any_of(all.begin(), all.end(), [&](const auto& x) {
    return covers_absence(x, gone.from, gone.to);
  });
  if (!stated)
    violate("a job that goes on states its gap",
            "from " + std::to_string(gone.from) + " to "
              + std::to_string(gone.to) + ": " + text_of(record));
}

/// An interruption begins with the last packet before it: none was captured
/// from then on until the next process started. That one may have captured on
/// some interfaces, and ended before all were open: it goes on then.
void model::judge_gap_is_empty(const job_record& record,
                               capture::unix_ns stamp) {
  // A crash of the host may keep packets, and not where a gap ended.
  if (time_.was_set() || host_crashed_)
    return;
  for (const auto& x : record.interruptions) {
    const auto first
      = std::find_if(absences_.begin(), absences_.end(), [&](const auto& gone) {
          return covers_absence(x, gone.from, gone.to);
        });
    // Stamps may be of microseconds.
    if (first != absences_.end() && stamp > x.from && stamp + 1000 < first->to)
      violate("no packet lies in a gap",
              std::to_string(stamp) + ": " + text_of(record));
  }
}

void model::judge_progress(const request& x, job_view& view,
                           const job_record& record) {
  const auto& last = view.last;
  auto& facts = facts_[record.id];
  if (view.terminal && facts.savefile_lost
      && view.terminal->phase == job_phase::succeeded
      && record.phase == job_phase::failed) {
    view.lost_bytes
      = view.terminal->savefile_bytes + view.terminal->pcapng_bytes;
    view.terminal.reset(); // its next end is final again
    facts.savefile_lost = false;
    facts.storage_refused = true;
  }
  // Answers overtake each other: what was asked before another answer came may
  // be older than that.
  const auto newer = x.sent > view.last_heard_of;
  if (!newer && record.phase < last.phase)
    return;
  if (view.terminal) {
    if (text_of(record) != text_of(*view.terminal))
      violate("an end is final",
              text_of(*view.terminal) + " became " + text_of(record));
    return;
  }
  if (!is_terminal(record.phase) && view.last_life == life_ && newer) {
    if (record.phase < last.phase)
      violate("a status never goes backward",
              text_of(last) + " became " + text_of(record));
    else if (record.packets_captured < last.packets_captured
             && !lost_room(record.reason))
      violate("a count never goes backward",
              text_of(last) + " became " + text_of(record));
  }
  if (view.stopped_in && *view.stopped_in < life_ && !troubled()
      && record.phase < job_phase::draining)
    violate("a stop that was answered is not undone", text_of(record));
  if (is_terminal(record.phase)) {
    judge_end(view, record);
    view.terminal = record;
    view.end_heard_of = time_.now();
  }
  view.last = record;
  view.last_life = life_;
  view.last_heard_of = time_.now();
}

void model::judge_end(const job_view& view, const job_record& record) {
  // "Nothing matched" is not known of a job that was interrupted and did not go
  // on.
  const auto whole
    = regular(record.reason)
      && (record.interruptions.empty() || record.interruptions.back().to);
  const auto succeeds = record.reason != end_reason::storage_error
                        && (whole || record.packets_captured > 0);
  if (record.phase != (succeeds ? job_phase::succeeded : job_phase::failed))
    violate("a job succeeds or fails by the rule", text_of(record));
  judge_reason(view, record);
  judge_interfaces(record);
}

void model::judge_reason(const job_view& view, const job_record& record) {
  const auto& facts = facts_[record.id];
  const auto begin = begin_of(record);
  const auto sources = sources_of(record);
  const auto crashed = crashed_since(begin);
  const auto time_is_up
    = begin + std::chrono::seconds{record.spec.time_limit_s} <= time_.now()
      || (crashed && time_.latest_date() >= latest_stamp_of(record));
  auto true_reason = false;
  switch (record.reason) {
  case end_reason::packet_limit:
    true_reason
      = record.packets_captured == record.spec.packet_limit || host_crashed_;
    break;
  case end_reason::time_limit:
    true_reason = time_is_up;
    break;
  case end_reason::stopped:
    true_reason = view.stop_sent;
    break;
  case end_reason::interface_lost:
    // A source that has delivered as many as the job wants ends, too.
    // So did those of a process that is gone.
    true_reason = facts.sampler_killed
                  || std::all_of(sources.begin(), sources.end(),
                                 [&](const auto* x) {
                                   return x->disturbed
                                          || (crashed && x->let_go
                                              && x->let_go_at <= life_began_);
                                 })
                  || edge_away_since(begin);
    break;
  case end_reason::node_lost:
    // An edge that was away, or a start, and it may not have dialled in time.
    true_reason = !nodes_lost_.empty() || edge_away_since(begin)
                  || (crashed && setup_.edges > 0)
                  || (!record.spec.colo_name.empty()
                      && (begin <= life_began_ + patience
                          || edge_away_since(begin - patience)));
    break;
  case end_reason::storage_error:
    true_reason = facts.storage_refused || facts.savefile_lost
                  || disk_failed_since(begin)
                  || std::any_of(storage_away_.begin(), storage_away_.end(),
                                 [&](const auto& x) {
                                   return overlaps(x, begin, time_.now());
                                 });
    break;
  case end_reason::storage_full:
    true_reason = disk_failed_since(begin) || disk_full_since(begin);
    break;
  case end_reason::quota:
    true_reason = may_be_over_bytes(record.spec.account_id, begin);
    break;
  case end_reason::shutdown:
    // A crash alone does not end a job, but for one that storage could not let
    // go on.
    true_reason = facts.killed || (!stops_.empty() && stops_.back() >= begin)
                  || (crashed
                      && (facts.storage_refused || disk_failed_since(begin)
                          || record.interruptions.size() >= max_interruptions));
    break;
  default:
    break;
  }
  if (!true_reason)
    violate("an end has its true reason", text_of(record));
  const auto of_itself = record.reason == end_reason::node_lost
                         || record.reason == end_reason::interface_lost;
  if (of_itself && !time_is_up
      && record.error_message.find("did not come back") != std::string::npos)
    violate("a lost node is waited for", text_of(record));
  if (facts.append_refused_in == life_ && !crashed && !facts.killed
      && record.reason != end_reason::storage_error
      && record.reason != end_reason::storage_full)
    violate("a job that lost packets says so", text_of(record));
}

/// Where nothing struck, each interface ended in order.
void model::judge_interfaces(const job_record& record) {
  const auto i = facts_.find(record.id);
  if (!undisturbed(record) || record.reason == end_reason::shutdown
      || disk_failed_since(begin_of(record))
      || (i != facts_.end() && i->second.storage_refused))
    return;
  for (const auto& each : record.interfaces)
    if (!each.error.empty() || each.phase != sampler_phase::ended)
      violate("an interface without a fault ends in order", text_of(record));
}

void model::judge_savefile(const job_view& view, const std::string& bytes) {
  const auto& record = *view.terminal;
  if (bytes.empty())
    return;
  if (bytes.size() != record.savefile_bytes)
    violate("a savefile is as large as the record says",
            std::to_string(bytes.size()) + ": " + text_of(record));
  const auto found = read_pcap(bytes);
  if (!found.fault.empty())
    return violate("a savefile is whole", found.fault + ": " + text_of(record));
  if (found.records.size() != record.packets_captured)
    violate("packets captured are the records in the file",
            std::to_string(found.records.size()) + ": " + text_of(record));
  std::map<std::uint32_t, std::uint32_t> next; // by source
  capture::unix_ns last = 0;
  const auto not_after = latest_stamp_of(record);
  const auto unit = found.microseconds ? 1000 : 1;
  std::map<std::uint32_t, std::set<std::uint32_t>> seen;
  for (const auto& x : found.records) {
    if (x.time < last)
      violate("a savefile is in order of time", text_of(record));
    last = x.time;
    judge_gap_is_empty(record, x.time);
    if (x.time > not_after)
      violate("no packet is later than the time limit", text_of(record));
    const auto& source = *host_.sources().at(x.identity.source);
    const auto ours = source.subject == record.spec.filter.source_port
                      && source.not_after == not_after;
    if (!ours || x.identity.sequence >= source.delivered.size())
      return violate("a record was delivered for its job",
                     "source " + std::to_string(source.number) + ", until "
                       + std::to_string(source.not_after) + ": "
                       + text_of(record));
    const auto& packet = source.delivered[x.identity.sequence];
    const auto length = packet.captured_length;
    if (packet.time / unit != x.time / unit
        || (!found.link_header_added && x.captured_length != length))
      violate("a record is as it was delivered", text_of(record));
    if (!seen[x.identity.source].insert(x.identity.sequence).second)
      violate("a packet is recorded once", text_of(record));
  }
  for (const auto& [source, sequences] : seen)
    if (*sequences.rbegin() + 1 != sequences.size())
      violate("what a source delivered is kept from its beginning on",
              "source " + std::to_string(source) + ": " + text_of(record));
  // And nothing was left out, whatever the disk did: a job that lost a batch
  // has another reason. What comes while it drains may be more than its limit.
  if (!undisturbed(record)
      || record.packets_captured == record.spec.packet_limit
      || (record.reason != end_reason::time_limit
          && record.reason != end_reason::stopped))
    return;
  for (const auto* source : sources_of(record))
    if (seen[source->number].size() != source->delivered.size())
      violate("what was delivered is kept", "source "
                                              + std::to_string(source->number)
                                              + ": " + text_of(record));
}

// -- while it runs ------------------------------------------------------------

void model::look_at_sources() {
  for (const auto& x : host_.sources())
    if (x->starved_since && *x->starved_since + patience < time_.now()
        && !storage_away_since(*x->starved_since - patience)
        && !edge_away_since(*x->starved_since - patience))
      violate("a sampler gets its credit back",
              "source " + std::to_string(x->number));
}

void model::look_at_running(const job_record& record, std::size_t samplers) {
  const auto sources = sources_of(record);
  const auto gone
    = std::all_of(sources.begin(), sources.end(), [&](const auto* x) {
        return x->let_go && x->let_go_at + patience < time_.now();
      });
  // A job waits for an edge that may come back.
  const auto begin = begin_of(record);
  const auto waits
    = edge_away_since(begin) || (setup_.edges > 0 && crashed_since(begin));
  if (samplers > 0 && sources.size() == samplers && gone && !waits
      && record.phase == job_phase::capturing)
    violate("a job without interfaces ends", text_of(record));
}

// -- in the end ---------------------------------------------------------------

void model::at_rest(const std::vector<job_record>& everything, bool calm) {
  std::set<std::string> there;
  for (const auto& record : everything) {
    there.insert(record.id);
    if (!is_terminal(record.phase))
      violate("every job ends", text_of(record));
  }
  for (auto& [id, view] : jobs_)
    if (there.count(id) == 0 && !may_be_gone(view))
      violate("an acknowledged job is never lost", text_of(view.last));
  judge_kept(everything, calm);
}

/// Quotas hold at any time; retention has done its work when a process has
/// started.
void model::judge_kept(const std::vector<job_record>& everything,
                       bool calm) const {
  const auto started = absences_.empty() ? 0 : absences_.back().to;
  const auto oldest
    = started - std::chrono::nanoseconds{setup_.max_age}.count();
  std::map<std::string, std::uint64_t> packets;
  std::uint64_t all_packets = 0;
  std::uint64_t all_bytes = 0;
  // What ended since makes another one too much, which the next sweep takes.
  auto swept = !time_.was_set();
  for (const auto& x : everything) {
    swept = swept && x.finished.value_or(0) < started;
    // No more than its files: one may have been cut behind the engine's back.
    const auto headers = x.packets_captured * 16;
    const auto bytes
      = std::min(x.savefile_bytes, x.bytes_captured + headers)
        + std::min(x.pcapng_bytes, x.bytes_captured + 2 * headers);
    packets[x.spec.account_id] += bytes;
    all_packets += bytes;
    all_bytes += x.savefile_bytes + x.pcapng_bytes;
    if (calm && !time_.was_set() && x.finished.value_or(0) < oldest)
      violate("what is too old is removed", text_of(x));
  }
  const auto check = [&](const quota& limit, std::uint64_t bytes) {
    if (limit.bytes != 0 && bytes > limit.bytes)
      violate("a quota is never exceeded",
              std::to_string(bytes) + " of " + std::to_string(limit.bytes));
  };
  for (const auto& [account, bytes] : packets)
    check(setup_.each_account, bytes);
  check(setup_.total, all_packets);
  if (calm && swept
      && (everything.size() > setup_.max_jobs || all_bytes > setup_.max_bytes))
    violate("what is too much is removed",
            std::to_string(everything.size()) + " jobs of "
              + std::to_string(all_bytes) + " bytes");
}

// -- looking ------------------------------------------------------------------

bool model::troubled() const {
  return troubled_until_ >= life_began_;
}

std::vector<std::string> model::known_jobs() const {
  std::vector<std::string> result;
  for (const auto& [id, view] : jobs_)
    result.push_back(id);
  return result;
}

const std::string& model::account_of(const std::string& id) const {
  return jobs_.at(id).last.spec.account_id;
}

bool model::has_savefile(const std::string& id) const {
  const auto i = jobs_.find(id);
  return i != jobs_.end() && i->second.terminal
         && i->second.terminal->phase == job_phase::succeeded
         && !i->second.erase_sent && !lost_its_savefile(id);
}

bool model::lost_its_savefile(const std::string& id) const {
  const auto i = facts_.find(id);
  return i != facts_.end() && i->second.savefile_lost;
}

std::vector<const source_log*>
model::sources_of(const job_record& record) const {
  std::vector<const source_log*> result;
  const auto not_after = latest_stamp_of(record);
  for (const auto& x : host_.sources())
    if (x->subject == record.spec.filter.source_port
        && x->not_after == not_after)
      result.push_back(x.get());
  return result;
}

bool model::may_be_gone(const job_view& view) const {
  if (view.erase_sent || view.gone_since)
    return true;
  // A process that is gone holds nothing back.
  if (view.held_in == life_ && view.held_until
      && time_.now() < *view.held_until)
    return false;
  if (retention_may_take(view))
    return true;
  // Nobody may know yet that it has ended.
  const auto finished = view.terminal
                          ? view.terminal->finished.value_or(0)
                          : view.last.submitted - time_.set_back().count();
  return time_.latest_date() - std::chrono::nanoseconds{setup_.max_age}.count()
         >= finished;
}

/// Whether there may have been so much younger that there is no room for it.
bool model::retention_may_take(const job_view& view) const {
  const auto size_of = [&](const job_view& x) {
    return x.terminal ? x.terminal->savefile_bytes + x.terminal->pcapng_bytes
                          + x.lost_bytes
                      : most_bytes_of(x.last.spec);
  };
  const auto finished = view.terminal ? view.terminal->finished.value_or(0) : 0;
  std::uint64_t younger = 0;
  auto bytes = size_of(view);
  for (const auto& [id, x] : jobs_)
    if (&x != &view
        && (!x.terminal || x.terminal->finished.value_or(0) >= finished)) {
      ++younger;
      bytes += size_of(x);
    }
  for (const auto& x : creates_)
    if (!x->created && !x->refused) {
      ++younger;
      bytes += most_bytes_of(x->op.spec);
    }
  return younger >= setup_.max_jobs || bytes > setup_.max_bytes;
}

/// Whether a quota of bytes may have left no room since `begin`.
bool model::may_be_over_bytes(const std::string& account, instant begin) const {
  const auto is_over = [&](const quota& limit, const std::string* whose) {
    return limit.bytes != 0 && most_bytes(whose, begin) > limit.bytes;
  };
  return is_over(setup_.each_account, &account)
         || is_over(setup_.total, nullptr);
}

/// What the jobs of an account, or all of them, may have taken since `begin`.
std::uint64_t model::most_bytes(const std::string* account,
                                instant begin) const {
  std::map<std::uint16_t, std::uint64_t> subjects;
  for (const auto& x : creates_) {
    if ((account && x->op.account != *account) || x->refused)
      continue;
    const auto subject = x->op.spec.filter.source_port.value_or(0);
    const auto i = jobs_.find(x->target);
    const auto is_known = x->created && i != jobs_.end() && i->second.terminal
                          && i->second.end_heard_of < begin;
    if (!is_known) {
      subjects[subject] = most_bytes_of(x->op.spec);
      continue;
    }
    const auto& view = i->second;
    if (view.gone_since && *view.gone_since < begin)
      continue;
    subjects[subject]
      += view.terminal->savefile_bytes + view.terminal->pcapng_bytes;
  }
  std::uint64_t result = 24;
  for (const auto& [subject, bytes] : subjects)
    result += bytes;
  return result;
}

/// What the packets of all jobs with a request's subject take at most, in both
/// formats.
std::uint64_t model::most_bytes_of(const job_spec& spec) const {
  // With its headers, and a link header that is added.
  constexpr std::uint64_t packet_bytes = 2 * (128 + 16) + 19 + 20;
  constexpr std::uint64_t interface_bytes = 500;
  std::uint64_t result = 600;
  for (const auto& x : host_.sources())
    if (x->subject == spec.filter.source_port)
      result += x->delivered.size() * packet_bytes + interface_bytes;
  return result;
}

bool model::disk_full_since(instant begin) const {
  return !disk_full_.empty() && disk_full_.back().to >= begin;
}

bool model::excused(const request& x) const {
  return x.life != life_ || stopping_ || x.sent < life_began_
         || x.sent - patience <= troubled_until_;
}

bool model::storage_away_since(instant begin) const {
  return std::any_of(storage_away_.begin(), storage_away_.end(),
                     [&](const auto& x) {
                       return x.second - x.first > short_pause
                              && overlaps(x, begin, time_.now());
                     });
}

bool model::edge_away_since(instant begin) const {
  return std::any_of(
    edges_away_.begin(), edges_away_.end(),
    [&](const auto& x) { return overlaps(x, begin, time_.now()); });
}

bool model::crashed_since(instant begin) const {
  return std::any_of(absences_.begin(), absences_.end(),
                     [&](const auto& x) { return x.since >= begin; });
}

/// When the first request was sent that this job may come from.
instant model::begin_of(const job_record& record) const {
  const auto i
    = std::find_if(creates_.begin(), creates_.end(),
                   [&](const auto& x) { return x->op.spec == record.spec; });
  return i == creates_.end() ? instant{0} : (*i)->sent;
}

bool model::disk_failed_since(instant begin) const {
  return !disk_failures_.empty() && disk_failures_.back() >= begin;
}

/// Whether nothing but a disk struck this job while it ran.
bool model::undisturbed(const job_record& record) const {
  const auto i = facts_.find(record.id);
  if (i != facts_.end() && (i->second.killed || i->second.sampler_killed))
    return false;
  const auto begin = begin_of(record);
  const auto sources = sources_of(record);
  return !crashed_since(begin)
         && std::none_of(sources.begin(), sources.end(),
                         [](const auto* x) { return x->disturbed; })
         && !storage_away_since(begin) && !edge_away_since(begin);
}

void model::violate(const char* rule, const std::string& text) const {
  violated_(rule, text);
}

} // namespace edgecap::simulation

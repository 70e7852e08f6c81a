#include "actors/job.hpp"

#include "actors/actor_support.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace edgecap {

namespace {

/// Shares up to which a job is told anew for each of them; with thousands that
/// would cost their square.
constexpr std::size_t shares_told_at_once = 16;

/// Samplers that are asked for their counters at once. Of more that count all
/// the time, counters are some seconds old.
constexpr std::size_t asked_at_once = 256;

/// Whether who was asked is gone, and so has not answered. Over the network
/// that is not always told: then DOWN and `left` alone say it.
bool is_gone(const caf::error& why) {
  return why == caf::sec::request_receiver_down
         || why.category() == caf::atom("exit");
}

/// How a job ends whose packets storage does not take.
end_reason reason_of(const failure& why) {
  if (why.ours && why.code == errc::storage_full)
    return end_reason::storage_full;
  if (why.ours && why.code == errc::quota_reached)
    return end_reason::quota;
  return end_reason::storage_error;
}

} // namespace

caf::error validate(const job_options& options) {
  const auto bad = [](const std::string& text) {
    return make_error(errc::invalid_options, "job: " + text);
  };
  if (options.credit_bytes == 0 || options.credit_shares == 0
      || options.least_credit_bytes == 0)
    return bad("no credit");
  if (options.max_samplers == 0)
    return bad("no samplers");
  if (options.max_runs == 0 || options.max_runs > max_runs_per_job)
    return bad("max_runs is not from 1 to " + std::to_string(max_runs_per_job));
  if (!options.wall_clock)
    return bad("no clock");
  return caf::none;
}

// -- initialization -----------------------------------------------------------

job_state::job_state(job_actor::pointer ptr) : self(ptr) {}

void job_state::init(job_record accepted, std::chrono::milliseconds time_left,
                     job_peers handles, job_options opts) {
  record = std::move(accepted);
  for (const auto& report : record.interfaces) {
    auto& interrupted = shares.emplace_back();
    interrupted.report = report;
    interrupted.done = true;
  }
  first_run = shares.size();
  inherited_message = record.error_message;
  peers = std::move(handles);
  options = std::move(opts);
  self->delayed_send(self, time_left, atom::deadline_v, job_phase::capturing);
  self->send(self, atom::sample_v);
}

// -- starting -----------------------------------------------------------------

void job_state::find_nodes() {
  if (!running())
    return; // stopped before it began
  self
    ->request(peers.fleet, request_timeout, atom::watch_v,
              node_watcher_actor{self})
    .then(
      [this](const std::vector<node_offer>& nodes) {
        surveyed = true;
        if (nodes.empty())
          last_error = "no node is connected";
        else if (std::none_of(nodes.begin(), nodes.end(),
                              [this](const auto& x) { return chosen(x); }))
          last_error = "no node that is connected is or stands in "
                       + record.spec.colo_name;
        // Those that an earlier process captured on may be about to join.
        for (std::size_t run = 0; run < first_run; ++run)
          if (const auto& node = shares[run].report.node; !node.empty())
            away.emplace(node,
                         "it was not there when the capture was taken up");
        for (const auto& node : nodes)
          survey(node);
        interface_settled();
        self->delayed_send(self, request_timeout, atom::deadline_v,
                           job_phase::pending);
      },
      [this](caf::error& err) {
        surveyed = true;
        last_error = describe(err).text;
        interface_settled();
      });
}

void job_state::survey(const node_offer& node) {
  if (!running() || !chosen(node))
    return;
  // What is left of it is of its earlier process or connection.
  lose_node(node.name, "it has joined again");
  away.erase(node.name);
  surveys_failed.erase(node.name);
  const auto join = ++joins[node.name];
  surveys_pending.insert(node.name);
  // It may stand still for as long as the fleet waits for it, and we wait as
  // long: the fleet tells us when it is lost.
  self->request(node.handle, caf::infinite, atom::survey_v, record.spec.system)
    .then(
      [this, node, join](std::vector<sampler_spec>& specs) {
        if (!survey_answered(node.name, join))
          return;
        start_samplers(node, std::move(specs));
        interface_settled();
      },
      [this, who = node.name, join](caf::error& err) {
        if (!survey_answered(who, join))
          return;
        survey_failed(who, err);
        interface_settled();
      });
}

/// Whether this answer is waited for; it is not any more then.
bool job_state::survey_answered(const std::string& node, std::uint64_t join) {
  return join == joins[node] && surveys_pending.erase(node) > 0;
}

void job_state::survey_failed(const std::string& node, const caf::error& why) {
  const auto reason = describe(why);
  last_error = reason.text;
  if (is_gone(why))
    away[node] = "it has ended: " + reason.text;
  else if (!reason.ours || reason.code != errc::unknown_system)
    surveys_failed[node] = reason.text;
  // A node need not have every system.
}

void job_state::start_samplers(const node_offer& node,
                               std::vector<sampler_spec> specs) {
  if (!running())
    return;
  const auto correction
    = options.correct_clocks && node.protocol >= correcting_node_protocol
        ? -node.clock_offset_ns
        : 0;
  const auto first_new = shares.size();
  const auto credit = credit_of_each(specs.size());
  for (auto& spec : specs) {
    const auto run = static_cast<std::uint32_t>(shares.size());
    if (run >= options.max_runs) {
      // A node that comes and goes must not make the record longer for ever.
      left_out += specs.size() - (run - first_new);
      last_error = interfaces_left_out();
      break;
    }
    auto& added = shares.emplace_back();
    added.report.node = node.name;
    added.report.interface = spec.interface;
    added.report.sampling_one_in = spec.sampling_one_in;
    added.report.clock_correction_ns = correction;
    added.credit_bytes = credit;
    if (run - first_run >= options.max_samplers) {
      mark_failed(added, "more interfaces than the limit of "
                           + std::to_string(options.max_samplers)
                           + " samplers for one job");
      continue;
    }
    start_sampler(node, std::move(spec), run);
  }
  if (first_new == shares.size())
    return;
  note_shares(first_new, shares.size());
  publish_share();
}

/// What each of so many samplers more may have under way: whatever a job
/// captures on, what waits for it has a bound. Nodes that have not answered yet
/// may have as many.
std::uint64_t job_state::credit_of_each(std::size_t samplers) const {
  const auto all = options.credit_bytes * options.credit_shares;
  std::uint64_t granted = 0;
  for (const auto& x : shares)
    if (!x.done)
      granted += x.credit_bytes;
  const auto left = all - std::min(all, granted);
  const auto parts
    = std::max<std::size_t>(samplers, 1) * (surveys_pending.size() + 1);
  return std::min(std::max(left / parts, options.least_credit_bytes),
                  options.credit_bytes);
}

/// Asks a node for the sampler of a share.
void job_state::start_sampler(const node_offer& node, sampler_spec spec,
                              std::uint32_t run) {
  spec.job_id = record.id;
  spec.run = run;
  spec.filter = record.spec.filter;
  spec.packet_limit = record.spec.packet_limit - record.packets_captured;
  spec.credit_bytes = shares[run].credit_bytes;
  // The kernel stamps packets by the node's clock.
  spec.not_after
    = record.submitted + time_limit_ns(record.spec) + node.clock_offset_ns;
  const batch_sink_actor sink{self};
  const auto correction = shares[run].report.clock_correction_ns;
  // Every node understands the first. As with surveys, the fleet says how long
  // the answer is waited for.
  auto asked = correction == 0
                 ? self->request(node.handle, caf::infinite, atom::sample_v,
                                 std::move(spec), sink)
                 : self->request(node.handle, caf::infinite, atom::sample_v,
                                 std::move(spec), correction, sink);
  asked.then(
    [this, run](const sampler_actor& handle) {
      if (shares[run].done) {
        // Its node was lost meanwhile, and to drain it would need credit.
        self->send_exit(handle, caf::exit_reason::user_shutdown);
        return;
      }
      shares[run].handle = handle;
      self->monitor(handle);
      // It may have delivered before we knew it, and have used its credit up.
      give_back(run, 0);
      if (!running())
        self->send(handle, atom::stop_v); // It came too late.
      else
        tick_in(options.progress_interval); // to ask for its counters
    },
    [this, run, who = node.name](caf::error& err) {
      if (shares[run].done)
        return; // its node was lost meanwhile
      if (is_gone(err)) {
        lose_node(who, "it has ended: " + describe(err).text);
        return;
      }
      mark_failed(shares[run], "start sampler: " + describe(err).text);
      interface_settled();
      seal_if_drained();
    });
}

// -- capturing ----------------------------------------------------------------

void job_state::sampler_opened(std::uint32_t run, capture::link_type link) {
  if (run >= shares.size() || shares[run].done)
    return;
  shares[run].report.link = link;
  shares[run].report.phase = sampler_phase::capturing;
  const auto first = record.phase == job_phase::pending;
  if (first) {
    record.phase = job_phase::capturing;
    if (!record.started)
      record.started = options.wall_clock();
  }
  go_on();
  note_shares(run, run + 1);
  if (first)
    publish();
  else
    publish_share();
  interface_settled();
}

void job_state::take_batch(std::uint32_t run,
                           const capture::packet_batch& batch) {
  if (run >= shares.size() || shares[run].done || is_terminal(record.phase)
      || record.phase == job_phase::sealing)
    return;
  if (batch.empty()) {
    // What its node sent was no batch: what followed would hide the loss.
    give_up(shares[run], "its node sent packets that make no sense");
    interface_settled();
    seal_if_drained();
    return;
  }
  const auto room = record.spec.packet_limit - record.packets_captured;
  const auto kept = batch.prefix(
    static_cast<std::uint32_t>(std::min<std::uint64_t>(room, batch.packets())));
  // The sampler gets its credit back even for what is cut off: without it, it
  // could not drain.
  const auto bytes = batch.size_bytes();
  if (kept.empty()) {
    give_back(run, bytes);
    return;
  }
  note_news();
  record.packets_captured += kept.packets();
  record.bytes_captured += kept.captured_bytes();
  shares[run].report.packets_captured += kept.packets();
  feed.take(kept);
  store(run, kept, bytes);
  if (record.packets_captured >= record.spec.packet_limit)
    end(end_reason::packet_limit);
}

void job_state::store(std::uint32_t run, const capture::packet_batch& batch,
                      std::uint64_t credit_bytes) {
  if (appends_pending++ == 0)
    append_answered = self->clock().now();
  watch_appends(request_timeout);
  shares[run].unanswered_bytes += credit_bytes;
  // A timeout of each would wake the thread of the clock twice for each batch.
  self
    ->request(peers.storage, caf::infinite, atom::append_v, record.id, run,
              batch)
    .then(
      [this, run, credit_bytes, n = appends_given_up](caf::ok_atom) {
        if (n == appends_given_up)
          stored(run, credit_bytes);
      },
      [this, run, credit_bytes, batch, n = appends_given_up](caf::error& err) {
        if (n != appends_given_up)
          return;
        not_stored(run, batch, err);
        stored(run, credit_bytes);
      });
}

void job_state::look_at_appends() {
  appends_watched = false;
  if (appends_pending == 0)
    return;
  const auto waited = self->clock().now() - append_answered;
  if (waited < request_timeout) {
    watch_appends(request_timeout - waited);
    return;
  }
  ++appends_given_up;
  appends_pending = 0;
  // What the savefile holds is not known to be what we counted.
  record.reason = end_reason::none;
  end(end_reason::storage_error, "store packets: storage has not answered for "
                                   + std::to_string(request_timeout.count())
                                   + " s");
  for (std::uint32_t run = 0; run < shares.size(); ++run)
    give_back(run, std::exchange(shares[run].unanswered_bytes, 0));
  seal_if_drained();
}

void job_state::sampler_done(std::uint32_t run, const interface_report& last) {
  if (run >= shares.size() || shares[run].done)
    return;
  auto& x = shares[run];
  merge_counters(x, last);
  x.report.phase = last.phase;
  x.report.error = last.error;
  x.done = true;
  note_news();
  if (!last.error.empty())
    last_error = last.interface + ": " + last.error;
  else if (running())
    // Nobody asked it to end and it misses nothing: its node is leaving.
    away[x.report.node] = "it was shut down";
  interface_settled();
  seal_if_drained();
}

void job_state::sampler_died(const caf::actor_addr& source,
                             const caf::error& why) {
  const auto i
    = std::find_if(shares.begin(), shares.end(), [&](const share& x) {
        return x.handle && x.handle.address() == source;
      });
  if (i == shares.end() || i->done)
    return; // it said goodbye before
  if (why == caf::exit_reason::remote_link_unreachable) {
    lose_node(i->report.node, "its connection is gone");
    return;
  }
  give_up(*i, "sampler died: " + caf::to_string(why));
  interface_settled();
  seal_if_drained();
}

void job_state::lose_node(const std::string& node, const std::string& why) {
  auto lost = surveys_pending.erase(node) > 0;
  for (auto& x : shares) {
    if (x.done || x.report.node != node)
      continue;
    give_up(x, "node lost: " + why);
    lost = true;
  }
  if (!lost)
    return;
  away[node] = why;
  interface_settled();
  seal_if_drained();
}

caf::result<caf::ok_atom> job_state::follow(follower_ptr who) {
  if (!running())
    return make_error(errc::not_running,
                      "capture " + record.id
                        + " captures no more; only a running one can be "
                          "streamed");
  if (feed.size() >= options.max_followers)
    return make_error(errc::too_many_followers,
                      "the limit of " + std::to_string(options.max_followers)
                        + " streams of one capture is reached");
  feed.add(std::move(who));
  return caf::ok_atom_v;
}

// -- ending -------------------------------------------------------------------

void job_state::end(end_reason reason, const std::string& message) {
  if (record.reason != end_reason::none || is_terminal(record.phase)
      || record.phase == job_phase::sealing)
    return;
  record.reason = reason;
  if (!message.empty())
    say(message);
  record.stop_requested
    = record.stop_requested || reason == end_reason::stopped;
  if (record.phase == job_phase::draining)
    return; // a graver reason for an end that is under way
  record.phase = job_phase::draining;
  for (auto& x : shares)
    if (x.handle && !x.done)
      self->send(x.handle, atom::stop_v);
  self->delayed_send(self, options.drain_timeout, atom::deadline_v,
                     job_phase::draining);
  publish();
  seal_if_drained();
}

void job_state::expire(job_phase phase) {
  if (phase == job_phase::pending) {
    patient = false;
    interface_settled();
    return;
  }
  if (phase == job_phase::capturing) {
    if (alone() && !away.empty())
      end(end_reason::node_lost, "no node is left");
    else
      end(end_reason::time_limit);
    return;
  }
  if (phase != job_phase::draining || record.phase != job_phase::draining)
    return;
  for (auto& x : shares)
    if (!x.done) {
      mark_failed(x, x.handle ? "did not drain in time"
                              : "its node has not answered");
      if (x.handle)
        self->send_exit(x.handle, caf::exit_reason::kill);
    }
  // Appends that storage does not answer are given up in time.
  seal_if_drained();
}

void job_state::seal_if_drained() {
  if (record.phase != job_phase::draining || appends_pending > 0)
    return;
  const auto all_done = std::all_of(shares.begin(), shares.end(),
                                    [](const share& x) { return x.done; });
  if (all_done)
    seal();
}

void job_state::finish(job_record terminal, bool durable) {
  self->send(peers.registry, atom::finished_v, std::move(terminal), durable);
  self->quit();
}

// -- reporting ----------------------------------------------------------------

void job_state::publish() {
  has_news = false;
  record.interfaces.clear();
  for (const auto& x : shares)
    record.interfaces.push_back(x.report);
  self->send(peers.registry, atom::progress_v, record);
}

void job_state::note_news() {
  has_news = true;
  tick_in(options.progress_interval);
}

void job_state::tick_in(std::chrono::milliseconds time) {
  ticks.tick_in(self, time);
}

void job_state::tick() {
  if (!ticks.take(self))
    return;
  if (has_news)
    publish();
  refresh_counters();
}

void job_state::note_shares(std::size_t first_new, std::size_t end) {
  // Without a copy of them all.
  auto all = std::exchange(record.interfaces, {});
  auto head = record;
  record.interfaces = std::move(all);
  for (auto i = first_new; i < end; ++i)
    head.interfaces.push_back(shares[i].report);
  self->send(peers.storage, atom::progress_v, std::move(head),
             static_cast<std::uint32_t>(first_new));
}

void job_state::publish_share() {
  if (shares.size() <= shares_told_at_once)
    publish();
  else
    note_news();
}

void job_state::refresh_counters() {
  const auto now = self->clock().now();
  auto left = asked_at_once;
  for (std::size_t n = 0; n < shares.size() && left > 0; ++n) {
    const auto run = next_asked++ % shares.size();
    auto& x = shares[run];
    if (!x.handle || x.done || x.asked)
      continue;
    if (now < x.not_asked_before) {
      const auto wait = x.not_asked_before - now;
      tick_in(std::chrono::duration_cast<std::chrono::milliseconds>(wait)
              + std::chrono::milliseconds{1});
      continue;
    }
    x.asked = true;
    --left;
    // Answered when there is something new: nothing is done for a job that
    // waits for its packets. When the sampler is lost we get DOWN.
    self->request(x.handle, caf::infinite, atom::stats_v)
      .then([this, run](
              const interface_report& answer) { take_counters(run, answer); },
            [this, run](caf::error&) {
              shares[run].asked = false; // It is about to be reported DOWN.
              ask_later(shares[run]);
            });
  }
  if (left == 0)
    tick_in(options.progress_interval); // to ask the others
}

void job_state::take_counters(std::size_t run, const interface_report& now) {
  auto& x = shares[run];
  x.asked = false;
  if (x.done)
    return;
  // What has news is asked again when they are published.
  if (!merge_counters(x, now))
    ask_later(x);
}

void job_state::ask_later(share& x) {
  x.not_asked_before = self->clock().now() + options.old_node_interval;
  tick_in(options.old_node_interval);
}

// -- helpers ------------------------------------------------------------------

/// Whether the client wants a node.
bool job_state::chosen(const node_offer& node) const {
  const auto& wanted = record.spec.colo_name;
  return wanted.empty() || wanted == node.name || wanted == node.colo;
}

bool job_state::running() const {
  return record.phase == job_phase::pending
         || record.phase == job_phase::capturing;
}

void job_state::say(const std::string& message) {
  record.error_message
    = inherited_message.empty() ? message : inherited_message + "; " + message;
}

void job_state::mark_failed(share& x, std::string why) {
  last_error = x.report.interface + ": " + why;
  x.report.phase = sampler_phase::failed;
  x.report.error = std::move(why);
  x.done = true;
  note_news();
}

/// Nothing of a sampler is waited for any more.
void job_state::give_up(share& x, std::string why) {
  merge_counters(x, {}); // what it counted since its last report is unknown
  mark_failed(x, std::move(why));
  // Should it still hear of it: to drain it would need credit.
  if (x.handle)
    self->send_exit(x.handle, caf::exit_reason::user_shutdown);
}

void job_state::give_back(std::uint32_t run, std::uint64_t bytes) {
  auto& x = shares[run];
  x.owed_bytes += bytes;
  // In parts: what is left keeps the sampler going meanwhile.
  if (x.handle && !x.done && x.owed_bytes >= x.credit_bytes / 4)
    self->send(x.handle, atom::credit_v, std::exchange(x.owed_bytes, 0));
}

/// Has the job look after so long whether storage answers, if it is not about
/// to.
void job_state::watch_appends(caf::timespan time) {
  if (std::exchange(appends_watched, true))
    return;
  self->delayed_send(self, time, atom::deadline_v);
}

/// Storage has answered an append; the sampler may deliver as much again.
void job_state::stored(std::uint32_t run, std::uint64_t credit_bytes) {
  --appends_pending;
  append_answered = self->clock().now();
  shares[run].unanswered_bytes -= credit_bytes;
  give_back(run, credit_bytes);
  seal_if_drained();
}

/// A batch that was counted is not in its run.
void job_state::not_stored(std::uint32_t run,
                           const capture::packet_batch& batch,
                           const caf::error& why) {
  const auto error = describe(why);
  const auto reason = reason_of(error);
  if (reason == end_reason::storage_error) {
    // What the savefile holds is no longer what we counted.
    record.reason = end_reason::none;
  } else {
    // Storage takes no more, so what it has is what came before this.
    auto& x = shares[run];
    record.packets_captured -= batch.packets();
    record.bytes_captured -= batch.captured_bytes();
    x.report.packets_captured -= batch.packets();
    x.refused_packets += batch.packets();
    if (x.report.dropped_by_us)
      *x.report.dropped_by_us += batch.packets();
    note_news();
    // Graver than a limit that was reached with these packets, or a stop.
    if (record.reason != end_reason::storage_error)
      record.reason = end_reason::none;
  }
  end(reason, "store packets: " + error.text);
}

/// Returns whether there is something new.
bool job_state::merge_counters(share& x, const interface_report& counted) {
  auto& to = x.report;
  auto from = counted;
  if (from.dropped_by_us)
    *from.dropped_by_us += x.refused_packets;
  const auto changed = !same_counters(to, from);
  to.packets_matched = from.packets_matched;
  to.packets_sampled_out = from.packets_sampled_out;
  to.dropped_by_kernel = from.dropped_by_kernel;
  to.dropped_by_interface = from.dropped_by_interface;
  to.dropped_by_us = from.dropped_by_us;
  if (changed)
    note_news();
  return changed;
}

/// Something is known of an interface now: it is open, or will never be.
void job_state::interface_settled() {
  const auto settled = [](const share& x) { return x.done || x.report.link; };
  const auto all_known = surveyed && surveys_pending.empty()
                         && std::all_of(shares.begin(), shares.end(), settled);
  if (all_known || !patient) {
    std::set<capture::link_type> links;
    for (auto run = first_run; run < shares.size(); ++run)
      if (const auto& link = shares[run].report.link)
        links.insert(*link);
    if (all_known || !links.empty())
      feed.settle(links);
  }
  end_if_alone();
}

/// An interface is open. All of them are captured on when the last one is.
void job_state::go_on() {
  if (record.interruptions.empty())
    return;
  auto& last = record.interruptions.back();
  last.to = std::max(options.wall_clock(), last.from);
}

/// Ends a job that nothing can be expected for any more. A node that is lost
/// may come back while there is time.
void job_state::end_if_alone() {
  if (!running() || !surveyed || !surveys_pending.empty() || !alone()
      || !away.empty())
    return;
  const auto none_found = shares.size() == first_run;
  if (none_found && !surveys_failed.empty())
    end(end_reason::node_lost, "no node can capture"); // Why, is said of each.
  else if (none_found && last_error.empty())
    end(end_reason::interface_lost,
        "system " + record.spec.system + " has no interface now");
  else if (none_found)
    end(end_reason::node_lost, "no node can capture: " + last_error);
  else
    end(end_reason::interface_lost, "no interface is left: " + last_error);
}

/// Whether no sampler is left.
bool job_state::alone() const {
  return std::all_of(shares.begin(), shares.end(),
                     [](const share& x) { return x.done; });
}

/// Says which nodes were lost and are not back, and which others took no part
/// although they may have the system.
std::string job_state::missing_nodes() const {
  std::string result;
  const auto add = [&result](const std::string& node, const std::string& what) {
    result.append(result.empty() ? "node " : "; node ")
      .append(node)
      .append(what);
  };
  for (const auto& [node, why] : away)
    add(node, " was lost and did not come back: " + why);
  for (const auto& node : surveys_pending)
    add(node, " has not answered");
  for (const auto& [node, why] : surveys_failed)
    add(node, " took no part: " + why);
  return result;
}

/// Says how many interfaces have no line.
std::string job_state::interfaces_left_out() const {
  return std::to_string(left_out)
         + " interfaces more were not captured on: the limit of one job is "
         + std::to_string(options.max_runs)
         + ", counted anew each time that a node comes back";
}

void job_state::append_message(const std::string& text) {
  if (!text.empty())
    record.error_message += (record.error_message.empty() ? "" : "; ") + text;
}

void job_state::seal() {
  record.phase = job_phase::sealing;
  record.finished = options.wall_clock();
  if (!record.interruptions.empty() && !record.interruptions.back().to)
    append_message("capturing did not go on after the process had ended "
                   "unexpectedly");
  append_message(missing_nodes());
  if (left_out > 0)
    append_message(interfaces_left_out());
  feed.finish();
  publish();
  const auto settle = [this](const char* attempt) {
    return [this, attempt](caf::error& err) {
      record.phase = job_phase::failed;
      record.reason = end_reason::storage_error;
      say(attempt + (": " + describe(err).text));
      finish(record, false);
    };
  };
  const auto done
    = [this](job_record& terminal) { finish(std::move(terminal), true); };
  if (record.reason == end_reason::storage_error)
    self->request(peers.storage, request_timeout, atom::fail_v, record)
      .then(done, settle("mark the job failed"));
  else
    // Its turn may come late, and its merge take long: the runs are whole
    // meanwhile, and to give up on them would lose them.
    self->request(peers.storage, caf::infinite, atom::seal_v, record)
      .then(done, settle("seal the savefile"));
}

// -- behavior -----------------------------------------------------------------

job_actor::behavior_type job(job_actor::stateful_pointer<job_state> self,
                             job_record accepted,
                             std::chrono::milliseconds time_left,
                             job_peers peers, job_options options) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return job_actor::behavior_type::make_empty_behavior();
  }
  self->set_down_handler([self](caf::down_msg& down) {
    self->state.sampler_died(down.source, down.reason);
  });
  self->state.init(std::move(accepted), time_left, std::move(peers),
                   std::move(options));
  return {
    [self](atom::opened, std::uint32_t run, capture::link_type link) {
      self->state.sampler_opened(run, link);
    },
    [self](atom::batch, std::uint32_t run, const capture::packet_batch& batch) {
      self->state.take_batch(run, batch);
    },
    [self](atom::ended, std::uint32_t run, const interface_report& last) {
      self->state.sampler_done(run, last);
    },
    [self](atom::sample) { self->state.find_nodes(); },
    [self](atom::joined, const node_offer& node) { self->state.survey(node); },
    [self](atom::left, const std::string& node, const std::string& why) {
      self->state.lose_node(node, why);
    },
    [self](atom::stop, end_reason reason) { self->state.end(reason); },
    [self](atom::follow, follower_ptr& who) {
      return self->state.follow(std::move(who));
    },
    [self](atom::tick) { self->state.tick(); },
    [self](atom::deadline, job_phase phase) { self->state.expire(phase); },
    [self](atom::deadline) { self->state.look_at_appends(); },
  };
}

} // namespace edgecap

#include "actors/recovery.hpp"

#include "actors/log_event.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace edgecap {

namespace {

/// Nothing else is served meanwhile, so a slice may be large.
constexpr std::size_t slice_bytes = 64u << 20;

/// What every record says that did not end in order.
constexpr const char* ended_unexpectedly = "the process ended unexpectedly";

std::uint64_t total(const run_infos& runs) {
  std::uint64_t result = 0;
  for (const auto& [run, info] : runs)
    result += info.packets;
  return result;
}

std::string what_is_kept(const job_record& record, std::uint64_t held) {
  if (record.phase == job_phase::sealing && held < record.packets_captured)
    return std::to_string(held) + " of "
           + std::to_string(record.packets_captured) + " packets were kept";
  if (held == 0)
    return "no packet had been captured";
  return "the " + std::to_string(held)
         + " packets captured until then were kept";
}

/// The samplers are gone, and their counters are only what they were when last
/// stored: unknown.
void interrupt_samplers(job_record& record) {
  for (auto& x : record.interfaces) {
    if (x.phase == sampler_phase::ended || x.phase == sampler_phase::failed)
      continue;
    x.phase = sampler_phase::failed;
    x.error = std::string{"interrupted: "} + ended_unexpectedly;
    x.packets_matched.reset();
    x.packets_sampled_out.reset();
    x.dropped_by_kernel.reset();
    x.dropped_by_interface.reset();
    x.dropped_by_us.reset();
  }
}

/// Says of which runs something was cut off. Damage, other than a record that
/// was being written, is said of the job as well.
void note_cuts(job_record& record,
               const std::map<std::uint32_t, cut_rest>& cuts) {
  for (const auto& [run, cut] : cuts) {
    const auto bytes = std::to_string(cut.bytes);
    const auto text
      = cut.damaged
          ? "its run is damaged at byte " + std::to_string(cut.offset)
              + ": the " + bytes + " bytes from there on are lost"
          : "the last " + bytes + " bytes of its run were no whole packet";
    // Of a run that nobody knows the interface of, there may be nothing left.
    auto whose = "run " + std::to_string(run);
    if (run < record.interfaces.size()) {
      auto& x = record.interfaces[run];
      x.error += (x.error.empty() ? "" : "; ") + text;
      whose = x.interface;
    }
    if (cut.damaged)
      add_text(record, whose.append(": ").append(text));
  }
}

/// The last moment of which it is known that the job captured.
unix_ns last_known_moment(const job_record& record, const run_infos& runs) {
  auto result = record.started.value_or(record.submitted);
  if (!record.interruptions.empty())
    result = std::max(result, record.interruptions.back().to.value_or(0));
  for (const auto& [run, info] : runs)
    result = std::max(result, info.last_time);
  return result;
}

/// Begins an interruption, unless the last one has not ended yet.
void note_interruption(job_record& record, const run_infos& runs, unix_ns now) {
  auto& all = record.interruptions;
  if (all.empty() || all.back().to)
    all.push_back({std::min(last_known_moment(record, runs), now), {}});
}

/// How a job says that it ended now, and not when it should have.
void add_ending(job_record& record) {
  add_text(record, std::string{ended_unexpectedly} + " while the job was "
                     + to_string(record.phase));
}

/// The crash came between the savefile's name and the terminal row. The row
/// says `sealing`, so its counts are those of the savefile; the runs may be
/// shorter than it, for they were never synced.
stored<job_record> take_savefile(storage_parts& parts, job_record record,
                                 std::uint64_t size_bytes) {
  const auto pcapng = parts.store->size_of(record.id, savefile_format::pcapng);
  if (!pcapng)
    return tl::unexpected<store_error>{pcapng.error()};
  add_text(record, what_is_kept(record, record.packets_captured));
  record.phase = job_phase::succeeded;
  record.savefile_bytes = size_bytes;
  record.pcapng_bytes = *pcapng;
  // The earlier process may have ended because it could not sync the name.
  auto written = parts.store->sync_names();
  if (written)
    written = permit(parts, storage_step::commit, record.id);
  if (written)
    written = update_row(parts, record);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  drop_runs(parts, record.id);
  return record;
}

/// Seals what the runs of a job hold.
/// @param record As it is to be, but for its message.
stored<job_record> seal_runs(storage_parts& parts, job_record record,
                             const std::string& kept) {
  auto whole = record;
  add_text(whole, kept);
  seal_task task{std::move(whole)};
  for (;;) {
    const auto done = task.step(parts, slice_bytes);
    if (!done)
      return commit_storage_error(parts, std::move(record), done.error());
    if (*done)
      return task.record();
  }
}

/// The job had ended; what was left to do is its savefile.
stored<job_record> finish_seal(storage_parts& parts, job_record record) {
  add_ending(record);
  interrupt_samplers(record);
  if (record.reason == end_reason::none)
    record.reason = end_reason::shutdown;
  const auto size = parts.store->size_of(record.id, savefile_format::pcap);
  if (!size)
    return commit_storage_error(parts, std::move(record), size.error());
  if (*size > 0)
    return take_savefile(parts, std::move(record), *size);
  const auto adopted = parts.store->adopt_runs(record.id);
  if (!adopted)
    return commit_storage_error(parts, std::move(record), adopted.error());
  note_cuts(record, adopted->cut);
  const auto kept = what_is_kept(record, total(adopted->runs));
  return seal_runs(parts, std::move(record), kept);
}

/// The row of a job that goes on. Worth as much as the runs are: a crash of the
/// host may undo both.
stored<job_record> make_pending(storage_parts& parts, job_record record) {
  record.phase = job_phase::pending;
  auto written = permit(parts, storage_step::resume, record.id);
  if (written)
    written = update_row(parts, record, durability::process);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  return record;
}

/// The job was capturing.
/// @param may_go_on Whether somebody is there to let it capture on.
stored<job_record> end_or_resume(storage_parts& parts, job_record record,
                                 bool may_go_on) {
  const auto adopted = parts.store->adopt_runs(record.id);
  if (!adopted) {
    add_ending(record);
    interrupt_samplers(record);
    return commit_storage_error(parts, std::move(record), adopted.error());
  }
  take_counts(record, adopted->runs);
  interrupt_samplers(record);
  note_cuts(record, adopted->cut);
  // A job that has all its packets misses nothing.
  if (record.packets_captured < record.spec.packet_limit)
    note_interruption(record, adopted->runs, parts.wall_clock());
  const auto end = due_end(record, parts.wall_clock());
  if (!end && may_go_on)
    return make_pending(parts, std::move(record));
  add_ending(record);
  record.reason = end.value_or(end_reason::shutdown);
  const auto kept = what_is_kept(record, record.packets_captured);
  return seal_runs(parts, std::move(record), kept);
}

stored<job_record> take_up(storage_parts& parts, const std::string& id,
                           bool may_go_on) {
  auto found = parts.index->find(id);
  if (!found)
    return tl::unexpected<store_error>{found.error()};
  if (!*found)
    return store_failure(store_errc::unavailable,
                         "resolve job " + id + ": it is not in the index");
  auto& record = **found;
  if (is_terminal(record.phase))
    return std::move(record);
  if (record.phase == job_phase::sealing)
    return finish_seal(parts, std::move(record));
  return end_or_resume(parts, std::move(record), may_go_on);
}

/// Takes a job up, and logs what became of it.
stored<job_record> take_up_logged(storage_parts& parts, const std::string& id,
                                  bool may_go_on) {
  auto record = take_up(parts, id, may_go_on);
  if (!record)
    log_event{"storage-job-unresolved"}
      .with("job", id)
      .with("error", record.error().message)
      .error();
  else if (is_terminal(record->phase))
    log_event{"storage-job-resolved"}
      .with("job", id)
      .with("phase", to_string(record->phase))
      .with("reason", to_string(record->reason))
      .with("packets", record->packets_captured)
      .with("error", record->error_message)
      .warn();
  else
    log_event{"storage-job-interrupted"}
      .with("job", id)
      .with("packets", record->packets_captured)
      .with("interruptions", record->interruptions.size())
      .with("error", record->error_message)
      .warn();
  return record;
}

} // namespace

std::optional<end_reason> due_end(const job_record& record, unix_ns now) {
  if (record.reason != end_reason::none)
    return record.reason;
  if (record.packets_captured >= record.spec.packet_limit)
    return end_reason::packet_limit;
  if (record.stop_requested)
    return end_reason::stopped;
  if (now - record.submitted >= time_limit_ns(record.spec))
    return end_reason::time_limit;
  if (record.interruptions.size() > max_interruptions
      || record.interfaces.size() >= max_runs_per_job)
    return end_reason::shutdown;
  return std::nullopt;
}

stored<savefile_state> verify(storage_parts& parts, const stored_savefile& x) {
  const auto pcap = parts.store->size_of(x.id, savefile_format::pcap);
  const auto pcapng = parts.store->size_of(x.id, savefile_format::pcapng);
  if (!pcap)
    return tl::unexpected<store_error>{pcap.error()};
  if (!pcapng)
    return tl::unexpected<store_error>{pcapng.error()};
  if (*pcap == x.savefile_bytes && *pcapng == x.pcapng_bytes)
    return savefile_state::whole;
  if (parts.check_place)
    if (auto there = parts.check_place(); !there)
      return tl::unexpected<store_error>{there.error()};
  auto found = parts.index->find(x.id);
  if (!found)
    return tl::unexpected<store_error>{found.error()};
  if (!*found)
    return savefile_state::lost;
  auto& record = **found;
  if (*pcap == x.savefile_bytes) {
    // The classic savefile is the promise, the other a convenience.
    log_event{"storage-pcapng-lost"}
      .with("job", x.id)
      .with("bytes", *pcapng)
      .with("expected", x.pcapng_bytes)
      .warn();
    record.pcapng_bytes = 0;
    auto done = parts.index->update(record, durability::host);
    if (done)
      done = parts.store->remove_savefile(x.id, savefile_format::pcapng);
    if (!done)
      return tl::unexpected<store_error>{done.error()};
    return savefile_state::without_pcapng;
  }
  const auto file
    = parts.store->savefile_path(x.id, savefile_format::pcap).string();
  store_error why{store_errc::damaged, ""};
  why.message = *pcap == 0
                  ? "savefile " + file + " is missing"
                  : "savefile " + file + " has " + std::to_string(*pcap)
                      + " bytes instead of " + std::to_string(x.savefile_bytes);
  log_event{"storage-savefile-lost"}
    .with("job", x.id)
    .with("error", why.message)
    .error();
  auto failed = commit_storage_error(parts, std::move(record), why);
  if (!failed)
    return tl::unexpected<store_error>{failed.error()};
  return savefile_state::lost;
}

stored<job_record> resolve(storage_parts& parts, const std::string& id) {
  return take_up_logged(parts, id, false);
}

stored<recovery_report> recover(storage_parts& parts) {
  recovery_report report;
  const auto unfinished = parts.index->unfinished();
  if (!unfinished)
    return tl::unexpected<store_error>{unfinished.error()};
  for (const auto& id : *unfinished) {
    auto record = take_up_logged(parts, id, true);
    if (!record)
      report.unresolved.push_back(id);
    else if (!is_terminal(record->phase))
      report.resumed.push_back(std::move(*record));
    else
      ++(record->phase == job_phase::succeeded ? report.kept : report.failed);
  }
  return report;
}

} // namespace edgecap

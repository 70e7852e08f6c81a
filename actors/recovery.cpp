#include "actors/recovery.hpp"

#include "actors/log_event.hpp"

#include <set>
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

void add_text(job_record& record, const std::string& text) {
  if (!record.error_message.empty())
    record.error_message += "; ";
  record.error_message += text;
}

/// Writes into the record how its job ended. Before `sealing` nobody had
/// decided on an end, and the samplers' counters are only what they were when
/// last stored: unknown.
void amend(job_record& record) {
  add_text(record, std::string{ended_unexpectedly} + " while the job was "
                     + to_string(record.phase));
  if (record.reason == end_reason::none)
    record.reason = end_reason::shutdown;
  for (auto& x : record.interfaces) {
    if (x.phase == sampler_phase::ended || x.phase == sampler_phase::failed)
      continue;
    x.phase = sampler_phase::failed;
    x.error = ended_unexpectedly;
    x.packets_matched.reset();
    x.packets_sampled_out.reset();
    x.dropped_by_kernel.reset();
    x.dropped_by_interface.reset();
    x.dropped_by_us.reset();
  }
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
  auto written = permit(parts, storage_step::commit, record.id);
  if (written)
    written = parts.index->update(record, durability::host);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  drop_runs(parts, record.id);
  return record;
}

stored<job_record> seal_runs(storage_parts& parts, job_record record) {
  const auto runs = parts.store->adopt_runs(record.id);
  if (!runs)
    return commit_storage_error(parts, std::move(record), runs.error());
  auto kept = record;
  add_text(kept, what_is_kept(kept, total(*runs)));
  seal_task task{std::move(kept)};
  for (;;) {
    const auto done = task.step(parts, slice_bytes);
    if (!done)
      return commit_storage_error(parts, std::move(record), done.error());
    if (*done)
      return task.record();
  }
}

/// Compares a savefile with its row. Returns whether the job still has it.
stored<bool> verify(storage_parts& parts, const stored_savefile& x) {
  const auto pcap = parts.store->size_of(x.id, savefile_format::pcap);
  const auto pcapng = parts.store->size_of(x.id, savefile_format::pcapng);
  if (!pcap)
    return tl::unexpected<store_error>{pcap.error()};
  if (!pcapng)
    return tl::unexpected<store_error>{pcapng.error()};
  if (*pcap == x.savefile_bytes && *pcapng == x.pcapng_bytes)
    return true;
  auto found = parts.index->find(x.id);
  if (!found)
    return tl::unexpected<store_error>{found.error()};
  if (!*found)
    return false;
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
    return true;
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
  return false;
}

/// Removes what no row speaks for: what a delete, a retention sweep, a seal or
/// a failed job left behind when the process ended.
/// @param whole Jobs that have their savefiles.
stored<void> remove_strays(storage_parts& parts,
                           const std::set<std::string>& whole,
                           recovery_report& report) {
  const std::set<std::string> unresolved{report.unresolved.begin(),
                                         report.unresolved.end()};
  const auto with_files = parts.store->jobs_with_files();
  const auto with_runs = parts.store->jobs_with_runs();
  if (!with_files)
    return tl::unexpected<store_error>{with_files.error()};
  if (!with_runs)
    return tl::unexpected<store_error>{with_runs.error()};
  for (const auto& id : *with_files) {
    if (unresolved.count(id) > 0)
      continue;
    if (whole.count(id) > 0) {
      drop_parts(parts, id);
      continue;
    }
    drop_files(parts, id);
    ++report.strays;
  }
  for (const auto& id : *with_runs) {
    if (unresolved.count(id) > 0)
      continue;
    drop_runs(parts, id);
    ++report.strays;
  }
  return {};
}

stored<job_record> end_open_job(storage_parts& parts, const std::string& id) {
  auto found = parts.index->find(id);
  if (!found)
    return tl::unexpected<store_error>{found.error()};
  if (!*found)
    return store_failure(store_errc::unavailable,
                         "resolve job " + id + ": it is not in the index");
  auto& record = **found;
  if (is_terminal(record.phase))
    return std::move(record);
  const auto was_sealing = record.phase == job_phase::sealing;
  amend(record);
  if (was_sealing) {
    const auto size = parts.store->size_of(id, savefile_format::pcap);
    if (!size)
      return commit_storage_error(parts, std::move(record), size.error());
    if (*size > 0)
      return take_savefile(parts, std::move(record), *size);
  }
  return seal_runs(parts, std::move(record));
}

} // namespace

stored<job_record> resolve(storage_parts& parts, const std::string& id) {
  auto record = end_open_job(parts, id);
  if (record)
    log_event{"storage-job-resolved"}
      .with("job", id)
      .with("phase", to_string(record->phase))
      .with("packets", record->packets_captured)
      .with("error", record->error_message)
      .warn();
  else
    log_event{"storage-job-unresolved"}
      .with("job", id)
      .with("error", record.error().message)
      .error();
  return record;
}

stored<recovery_report> recover(storage_parts& parts) {
  recovery_report report;
  const auto unfinished = parts.index->unfinished();
  if (!unfinished)
    return tl::unexpected<store_error>{unfinished.error()};
  for (const auto& id : *unfinished) {
    const auto record = resolve(parts, id);
    if (!record) {
      report.unresolved.push_back(id);
      continue;
    }
    ++(record->phase == job_phase::succeeded ? report.kept : report.failed);
  }
  const auto savefiles = parts.index->savefiles();
  if (!savefiles)
    return tl::unexpected<store_error>{savefiles.error()};
  std::set<std::string> whole;
  for (const auto& x : *savefiles) {
    const auto kept = verify(parts, x);
    if (!kept)
      log_event{"storage-job-not-verified"}
        .with("job", x.id)
        .with("error", kept.error().message)
        .error();
    if (!kept || *kept)
      whole.insert(x.id);
    else
      ++report.lost;
  }
  if (auto removed = remove_strays(parts, whole, report); !removed)
    return tl::unexpected<store_error>{removed.error()};
  return report;
}

} // namespace edgecap

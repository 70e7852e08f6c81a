#include "actors/seal.hpp"

#include "actors/log_event.hpp"

#include <map>
#include <utility>
#include <vector>

namespace edgecap {

namespace {

void log_left_behind(const std::string& id, const stored<void>& removed) {
  if (!removed)
    log_event{"storage-left-behind"}
      .with("job", id)
      .with("error", removed.error().message)
      .warn();
}

/// The interfaces that opened, by run; those that captured nothing have a
/// place in a pcapng file too.
std::map<std::uint32_t, capture::merge_input>
merge_inputs(const job_record& record) {
  std::map<std::uint32_t, capture::merge_input> result;
  for (std::size_t run = 0; run < record.interfaces.size(); ++run) {
    const auto& x = record.interfaces[run];
    if (!x.link)
      continue;
    auto& input = result[static_cast<std::uint32_t>(run)];
    input.link = *x.link;
    input.interface_name
      = x.node.empty() ? x.interface : x.node + "/" + x.interface;
    input.packets_received = x.packets_matched;
    input.dropped_by_interface = x.dropped_by_interface;
    input.dropped_by_kernel = x.dropped_by_kernel;
  }
  return result;
}

/// False if the job's last interruption lasted until its end.
bool captures_again(const job_record& record) {
  return record.interruptions.empty() || record.interruptions.back().to;
}

/// Says in the message of a failed job for how long it did not capture. That
/// the last interruption is not over says whoever ended the job.
void add_interruptions(job_record& record) {
  unix_ns sum_ns = 0;
  std::size_t times = 0;
  for (const auto& x : record.interruptions)
    if (x.to) {
      sum_ns += *x.to - x.from;
      ++times;
    }
  if (times > 0)
    add_text(record, "the capture had been interrupted "
                       + (times > 1 ? std::to_string(times) + " times, " : "")
                       + "for " + std::to_string(sum_ns / 1'000'000) + " ms");
}

/// Says of which interfaces the job had counted otherwise than their runs.
void log_corrections(const job_record& record,
                     const std::vector<interface_report>& counted) {
  for (std::size_t run = 0; run < record.interfaces.size(); ++run) {
    const auto& x = record.interfaces[run];
    const auto before
      = run < counted.size() ? counted[run].packets_captured : 0;
    if (x.packets_captured != before)
      log_event{"storage-count-corrected"}
        .with("job", record.id)
        .with("run", run)
        .with("interface", x.node + "/" + x.interface)
        .with("counted", before)
        .with("held", x.packets_captured)
        .warn();
  }
}

} // namespace

stored<void> permit(const storage_parts& parts, storage_step step,
                    const std::string& id) {
  if (parts.faults)
    if (auto fault = parts.faults(step, id))
      return tl::unexpected<store_error>{std::move(*fault)};
  return {};
}

namespace {

/// What a row takes of the reserve, at most: the pages that it touches, in the
/// log and in the index.
constexpr std::uint64_t row_bytes = 1u << 20;

/// Does what writes to the index, with the reserve if there is no space.
template <class F>
auto with_reserve(storage_parts& parts, F&& write) -> decltype(write()) {
  auto written = write();
  if (!written && written.error().code == store_errc::full && parts.reserve
      && parts.reserve->give(row_bytes))
    return write();
  return written;
}

/// What the runs take as a classic savefile, and as a pcapng file, without the
/// headers of files and interfaces.
std::uint64_t classic_bytes_of(const job_record& x) {
  return x.packets_captured * sizeof(capture::record_header) + x.bytes_captured;
}

std::uint64_t pcapng_bytes_of(const job_record& x) {
  constexpr std::uint64_t block_bytes = 32 + 3; // and its padding
  return x.packets_captured * block_bytes + x.bytes_captured;
}

} // namespace

stored<void> update_row(storage_parts& parts, const job_record& record,
                        durability wanted) {
  return with_reserve(parts,
                      [&] { return parts.index->update(record, wanted); });
}

stored<void> note_stop(storage_parts& parts, const std::string& account,
                       const std::string& id) {
  return with_reserve(parts,
                      [&] { return parts.index->request_stop(account, id); });
}

stored<void> erase_rows(storage_parts& parts,
                        const std::vector<std::string>& ids) {
  return with_reserve(parts, [&] { return parts.index->erase(ids); });
}

void drop_parts(storage_parts& parts, const std::string& id) {
  log_left_behind(id, parts.store->discard_parts(id));
}

void drop_files(storage_parts& parts, const std::string& id) {
  drop_parts(parts, id);
  for (const auto format : {savefile_format::pcap, savefile_format::pcapng})
    log_left_behind(id, parts.store->remove_savefile(id, format));
}

void drop_runs(storage_parts& parts, const std::string& id) {
  auto dropped = permit(parts, storage_step::clean, id);
  if (dropped)
    dropped = parts.store->drop_runs(id);
  log_left_behind(id, dropped);
}

void drop_stray(storage_parts& parts, const stored_entry& x) {
  if (x.what == stored_entry::kind::runs)
    drop_runs(parts, x.id);
  else
    log_left_behind(x.id, parts.store->remove(x));
}

job_phase terminal_phase(const job_record& record) {
  const auto cut_short
    = record.packets_captured > 0 ? job_phase::succeeded : job_phase::failed;
  switch (record.reason) {
  case end_reason::packet_limit:
  case end_reason::time_limit:
  case end_reason::byte_limit:
  case end_reason::stopped:
    return captures_again(record) ? job_phase::succeeded : cut_short;
  case end_reason::none:
  case end_reason::interface_lost:
  case end_reason::node_lost:
  case end_reason::storage_full:
  case end_reason::quota:
  case end_reason::shutdown:
    return cut_short;
  case end_reason::storage_error:
    return job_phase::failed;
  }
  return job_phase::failed;
}

void add_text(job_record& record, const std::string& text) {
  if (!record.error_message.empty())
    record.error_message += "; ";
  record.error_message += text;
}

void take_counts(job_record& record, const run_infos& runs) {
  record.packets_captured = 0;
  record.bytes_captured = 0;
  for (auto& x : record.interfaces)
    x.packets_captured = 0;
  for (const auto& [run, info] : runs) {
    while (record.interfaces.size() <= run)
      record.interfaces.push_back(unknown_interface(record.interfaces.size()));
    record.interfaces[run].link = info.link;
    record.interfaces[run].packets_captured = info.packets;
    record.packets_captured += info.packets;
    record.bytes_captured += info.captured_bytes;
  }
}

stored<job_record> commit_failed(storage_parts& parts, job_record record) {
  // First of all, for a full disk may have room for the row then.
  drop_parts(parts, record.id);
  record.phase = job_phase::failed;
  record.savefile_bytes = 0;
  record.pcapng_bytes = 0;
  if (!record.finished)
    record.finished = parts.wall_clock();
  if (record.error_message.empty())
    record.error_message = "no packet was captured before the job ended: "
                           + to_string(record.reason);
  add_interruptions(record);
  auto written = permit(parts, storage_step::commit, record.id);
  if (written)
    written = update_row(parts, record);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  drop_files(parts, record.id);
  drop_runs(parts, record.id);
  return record;
}

stored<job_record> commit_storage_error(storage_parts& parts, job_record record,
                                        const store_error& why) {
  record.reason = end_reason::storage_error;
  add_text(record, why.message);
  return commit_failed(parts, std::move(record));
}

// -- seal_task ----------------------------------------------------------------

seal_task::seal_task(job_record record) : record_(std::move(record)) {}

stored<bool> seal_task::step(storage_parts& parts, std::size_t budget_bytes) {
  if (published_)
    return commit(parts);
  auto done = merge_     ? merge_slice(parts, budget_bytes)
              : linking_ ? link(parts)
                         : close(parts);
  // Its files are open until then: removing them would free no space, and the
  // row that says why the seal failed may need it.
  if (!done || published_)
    merge_.reset();
  if (!done && closed_ && done.error().code == store_errc::full)
    return take_less(parts, done.error());
  return done;
}

const job_record& seal_task::record() const {
  return record_;
}

stored<bool> seal_task::close(storage_parts& parts) {
  const auto counted = record_.interfaces;
  take_counts(record_, parts.store->runs(record_.id));
  log_corrections(record_, counted);
  if (terminal_phase(record_) == job_phase::failed) {
    auto failed = commit_failed(parts, record_);
    if (!failed)
      return tl::unexpected<store_error>{failed.error()};
    record_ = std::move(*failed);
    return true;
  }
  // From here on a savefile that stands is what this row says, to the packet:
  // that is why recovery may take it as it is.
  record_.phase = job_phase::sealing;
  if (!record_.finished)
    record_.finished = parts.wall_clock();
  auto written = permit(parts, storage_step::close, record_.id);
  if (written)
    written = update_row(parts, record_);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  closed_ = true;
  pcapng_ = parts.pcapng;
  if (pcapng_) {
    const auto free_bytes = parts.store->free_bytes();
    const auto needed = classic_bytes_of(record_) + pcapng_bytes_of(record_);
    if (free_bytes && *free_bytes < parts.min_free_bytes + needed)
      leave_out_pcapng();
  }
  return open(parts);
}

/// Begins to write the `.part` files.
stored<bool> seal_task::open(storage_parts& parts) {
  // A run is a savefile of nanoseconds.
  linking_
    = !pcapng_ && parts.precision == capture::time_precision::nanoseconds;
  linked_bytes_ = 0;
  return linking_ ? link(parts) : begin_merge(parts);
}

/// Makes the only run the savefile, a part of it at a time.
stored<bool> seal_task::link(storage_parts& parts) {
  if (auto allowed = permit(parts, storage_step::merge, record_.id); !allowed)
    return tl::unexpected<store_error>{allowed.error()};
  const auto all_out
    = parts.store->write_out_only_run(record_.id, linked_bytes_);
  if (!all_out)
    return tl::unexpected<store_error>{all_out.error()};
  if (!*all_out)
    return false;
  const auto linked = parts.store->link_only_run(record_.id);
  if (!linked)
    return tl::unexpected<store_error>{linked.error()};
  linking_ = false;
  return *linked ? publish(parts, **linked, 0) : begin_merge(parts);
}

stored<bool> seal_task::begin_merge(storage_parts& parts) {
  auto opened = parts.store->open_merge(record_.id, merge_inputs(record_),
                                        pcapng_, parts.precision);
  if (!opened)
    return tl::unexpected<store_error>{opened.error()};
  merge_ = std::move(*opened);
  return false;
}

/// The disk is full: begins anew with what is less, as long as that is so.
stored<bool> seal_task::take_less(storage_parts& parts,
                                  const store_error& why) {
  drop_parts(parts, record_.id);
  const auto given
    = parts.reserve && parts.reserve->give(classic_bytes_of(record_));
  if (!pcapng_ && !given)
    return tl::unexpected<store_error>{why};
  if (pcapng_)
    leave_out_pcapng();
  auto opened = open(parts);
  if (!opened)
    drop_parts(parts, record_.id);
  return opened;
}

void seal_task::leave_out_pcapng() {
  pcapng_ = false;
  add_text(record_, "there was too little free space for its pcapng file");
}

stored<bool> seal_task::merge_slice(storage_parts& parts,
                                    std::size_t budget_bytes) {
  if (auto allowed = permit(parts, storage_step::merge, record_.id); !allowed)
    return tl::unexpected<store_error>{allowed.error()};
  const auto all_written = merge_->step(budget_bytes);
  if (!all_written)
    return store_failure(code_of(all_written.error()),
                         all_written.error().message);
  if (!*all_written)
    return false;
  const auto& result = merge_->result();
  if (result.packets != record_.packets_captured)
    return store_failure(store_errc::damaged,
                         "merge job " + record_.id + ": its runs hold "
                           + std::to_string(result.packets) + " packets, not "
                           + std::to_string(record_.packets_captured));
  return publish(parts, result.pcap_bytes, result.pcapng_bytes);
}

stored<bool> seal_task::publish(storage_parts& parts, std::uint64_t pcap_bytes,
                                std::uint64_t pcapng_bytes) {
  auto named = permit(parts, storage_step::publish, record_.id);
  if (named)
    named = parts.store->publish(record_.id, pcapng_);
  if (!named)
    return tl::unexpected<store_error>{named.error()};
  record_.savefile_bytes = pcap_bytes;
  record_.pcapng_bytes = pcapng_bytes;
  published_ = true;
  return false;
}

stored<bool> seal_task::commit(storage_parts& parts) {
  auto terminal = record_;
  terminal.phase = job_phase::succeeded;
  auto written = permit(parts, storage_step::commit, record_.id);
  if (written)
    written = update_row(parts, terminal);
  if (!written)
    return tl::unexpected<store_error>{written.error()};
  record_ = std::move(terminal);
  drop_runs(parts, record_.id);
  return true;
}

} // namespace edgecap

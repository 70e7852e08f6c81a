#pragma once

#include "capture/descriptor.hpp"
#include "capture/filter.hpp"
#include "capture/packet_batch.hpp"
#include "capture/packet_source.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// The plain values that travel in messages. No handles, no behaviour, no
// floating point (CAF 0.17 cannot put it on the wire).
namespace edgecap {

using capture::unix_ns;

/// Runs of one job, at most. Each sampler that it ever had is one.
inline constexpr std::uint32_t max_runs_per_job = 8192;

/// Interruptions after which a job goes on, at most.
inline constexpr std::size_t max_interruptions = 16;

/// Where a job is in its life. Only `actors/job` moves a job forward; the API's
/// words for these are in `http/json`.
enum class job_phase : std::uint8_t {
  pending,   ///< Accepted and durable; no sampler has opened yet.
  capturing, ///< At least one sampler is open.
  draining,  ///< Samplers hand over what they have.
  sealing,   ///< Storage merges the runs into the savefile.
  succeeded, ///< Terminal: a whole savefile can be downloaded.
  failed,    ///< Terminal: there is no savefile.
};

/// True for the two phases that a job never leaves.
constexpr bool is_terminal(job_phase x) {
  return x == job_phase::succeeded || x == job_phase::failed;
}

/// Why a job stopped capturing.
enum class end_reason : std::uint8_t {
  none, ///< It has not.
  packet_limit,
  time_limit,
  byte_limit,
  stopped,        ///< A client asked.
  interface_lost, ///< No sampler is left.
  node_lost,      ///< No node is left.
  storage_error,
  storage_full, ///< There was no room for more packets.
  quota,        ///< A quota left no room for more packets.
  shutdown,     ///< The process ended, in order or by a crash.
};

/// What a client asked for; immutable once accepted.
struct job_spec {
  std::string account_id; ///< 32 lower-case hex characters.
  std::string type = "simple";
  std::string system; ///< Name of a configured group of interfaces.
  /// Name of a node, or of the place of nodes, that is to capture; empty for
  /// all.
  std::string colo_name;
  std::uint32_t time_limit_s = 0;
  std::uint32_t packet_limit = 0;
  capture::filter_fields filter;

  friend bool operator==(const job_spec& x, const job_spec& y) {
    return x.account_id == y.account_id && x.type == y.type
           && x.system == y.system && x.colo_name == y.colo_name
           && x.time_limit_s == y.time_limit_s
           && x.packet_limit == y.packet_limit && x.filter == y.filter;
  }
};

/// The time limit of a job, from its acceptance, in nanoseconds.
constexpr unix_ns time_limit_ns(const job_spec& x) {
  return unix_ns{x.time_limit_s} * 1'000'000'000;
}

/// What a sampler does.
enum class sampler_phase : std::uint8_t { opening, capturing, ended, failed };

/// One interface's share of a job. Unknown counters are empty, never 0.
struct interface_report {
  std::string node;
  std::string interface;
  sampler_phase phase = sampler_phase::opening;
  std::optional<capture::link_type> link;
  std::uint32_t sampling_one_in = 1;
  std::optional<std::uint64_t> packets_matched;
  /// Records in the savefile (exact: set by the job, not by the sampler).
  std::uint64_t packets_captured = 0;
  std::optional<std::uint64_t> packets_sampled_out;
  std::optional<std::uint64_t> dropped_by_kernel;
  std::optional<std::uint64_t> dropped_by_interface;
  std::optional<std::uint64_t> dropped_by_us;
  std::string error; ///< Empty if none.
  /// What was added to its stamps, for its node's clock was wrong; set by the
  /// job, and never on the wire.
  std::int64_t clock_correction_ns = 0;
};

/// What stands for the interface of a run whose name was not stored.
interface_report unknown_interface(std::size_t run);

/// Whether what is counted where a packet is captured is the same.
bool same_counters(const interface_report& x, const interface_report& y);

/// A time in which a job did not capture, for the process was gone. Packets
/// between the two moments may be missing.
struct interruption {
  unix_ns from = 0;          ///< The last moment known to be captured.
  std::optional<unix_ns> to; ///< When capturing went on; empty if it has not.
};

/// Everything that is known of a job.
struct job_record {
  std::string id; ///< 32 lower-case hex characters.
  job_spec spec;
  job_phase phase = job_phase::pending;
  end_reason reason = end_reason::none;
  std::string error_message; ///< Empty if none.
  bool stop_requested = false;
  unix_ns submitted = 0;
  std::optional<unix_ns> started;
  std::optional<unix_ns> finished;
  std::uint64_t packets_captured = 0;
  /// Sum of the captured lengths.
  std::uint64_t bytes_captured = 0;
  /// Size of the classic savefile; 0 unless `succeeded`.
  std::uint64_t savefile_bytes = 0;
  /// Size of the pcapng file; 0 if there is none.
  std::uint64_t pcapng_bytes = 0;
  /// In the order of their runs; an interface has one for each time that it was
  /// begun to capture on.
  std::vector<interface_report> interfaces;
  std::vector<interruption> interruptions; ///< Oldest first.
};

/// What came of asking for a job.
struct creation {
  job_record record;
  /// The job is there already: an earlier request had the same idempotency key.
  bool replayed = false;
};

/// Which jobs a list shows. Newest first.
struct list_query {
  std::string account_id;
  std::uint32_t page = 1;      ///< From 1.
  std::uint32_t per_page = 50; ///< 1..50.
  /// Empty, or one of the API's status words for simple jobs: "pending",
  /// "success", "failed". A word that fits no job lists none.
  std::string status;
  /// Empty, or "simple" or "full".
  std::string type;
};

/// One page of jobs.
struct job_page {
  std::vector<job_record> jobs;
  std::uint64_t total_count = 0; ///< Jobs that fit the query, on all pages.
};

/// A page that is handed around without a copy. Whoever gets the same one twice
/// knows that nothing has changed.
using shared_job_page = std::shared_ptr<const job_page>;

/// A file to download. The descriptor is open, so that retention or a delete
/// cannot take the bytes away from a download that has begun.
struct savefile {
  capture::shared_descriptor descriptor;
  std::uint64_t size_bytes = 0;
  /// Strong validator, unquoted: changes whenever the bytes do.
  std::string etag;
};

/// Which rendering of a savefile a download wants.
enum class savefile_format : std::uint8_t { pcap, pcapng };

/// Which allowance of an account an operation draws upon.
enum class allowance : std::uint8_t {
  collect, ///< One create.
  general, ///< Any API call.
};

/// Answer of the rate limiter.
struct admission {
  bool granted = false;
  std::uint32_t limit = 0;          ///< Operations per window.
  std::uint32_t remaining = 0;      ///< After this one.
  std::uint32_t window_s = 0;       ///< Length of the window.
  std::uint64_t retry_after_ms = 0; ///< Until the next would be granted; 0 if
                                    ///< granted.
  std::uint64_t ticket = 0; ///< Which one this is, for a refund; if granted.
};

/// An operation that still counts against an account's allowance.
struct spent_allowance {
  std::string account_id;
  std::uint64_t age_ns = 0; ///< Since it was granted.
};

/// What an earlier process left to be taken up.
struct resumption {
  std::vector<job_record> jobs;          ///< That are to capture on.
  std::vector<spent_allowance> collects; ///< Of `allowance::collect`, oldest
                                         ///< first.
};

/// What a sampler is to do.
struct sampler_spec {
  std::string job_id;
  /// The job's own number for this sampler, from 0; names the run.
  std::uint32_t run = 0;
  std::string node;
  std::string interface;
  capture::filter_fields filter;
  std::uint32_t sampling_one_in = 1;
  std::uint32_t snaplen_bytes = 160;
  bool promiscuous = false;
  std::uint64_t packet_limit = 0;
  std::uint64_t credit_bytes = 0; ///< First grant.
  unix_ns not_after = std::numeric_limits<unix_ns>::max();
};

/// Facts for a monitoring system; totals since the process began.
struct engine_stats {
  struct interface_totals {
    std::string node;
    std::string interface;
    std::uint64_t packets_captured = 0;
    std::uint64_t dropped_by_kernel = 0;
    std::uint64_t dropped_by_interface = 0;
    std::uint64_t dropped_by_us = 0;
  };
  struct outcome_total {
    end_reason reason = end_reason::none;
    bool success = false;
    std::uint64_t jobs = 0;
  };
  std::uint64_t jobs_created = 0;
  std::uint64_t jobs_running = 0;
  std::uint64_t bytes_captured = 0; ///< Sum of the captured lengths.
  std::vector<outcome_total> outcomes;
  std::vector<interface_totals> interfaces;
};

/// What storage holds.
struct storage_stats {
  /// New jobs that were refused since the start, by cause.
  struct refusals {
    std::string cause;
    std::uint64_t jobs = 0;
  };
  std::uint64_t jobs = 0;
  std::uint64_t savefile_bytes = 0; ///< Of all sealed savefiles.
  std::uint64_t free_bytes = 0;     ///< Of the file system, for us.
  std::uint64_t expired_jobs = 0;   ///< Removed by retention since start.
  /// What jobs that are not sealed yet will take.
  std::uint64_t unsealed_bytes = 0;
  std::uint64_t reserve_bytes = 0; ///< Held for what must go on.
  bool full = false; ///< There is no space for new jobs, quotas apart.
  std::uint64_t quota_bytes = 0; ///< Of all accounts; 0 if there is none.
  std::uint64_t quota_jobs = 0;  ///< The same.
  std::vector<refusals> refused; ///< By cause.
};

/// Names of the phases and reasons, as logged, stored and (reasons) answered.
std::string to_string(job_phase x);
std::string to_string(end_reason x);
std::string to_string(sampler_phase x);

/// The other way round; empty for an unknown name.
std::optional<job_phase> parse_job_phase(const std::string& name);
std::optional<end_reason> parse_end_reason(const std::string& name);
std::optional<sampler_phase> parse_sampler_phase(const std::string& name);

} // namespace edgecap

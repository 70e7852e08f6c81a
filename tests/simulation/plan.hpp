#pragma once

#include "actors/job_types.hpp"
#include "actors/storage_limits.hpp"
#include "tests/simulation/timeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

// What a seed asks for before anything runs: how the engine is configured, and
// what clients will do when.
namespace edgecap::simulation {

/// Where all edges stand.
inline constexpr const char* edges_colo = "pop";

/// What a client does.
enum class action : std::uint8_t {
  create,
  stop,
  erase,
  get,
  list,
  download,
  follow,
  stats,
};

const char* name_of(action x);

/// One thing that a client does.
struct operation {
  action what = action::get;
  instant at{0};
  std::string account;
  std::uint64_t pick = 0; ///< Chooses among the jobs that there are by then.
  job_spec spec;          ///< For `create`; its source port is its subject.
  std::string key;        ///< For `create`; empty for none.
  std::string status;     ///< For `list`.
  savefile_format format = savefile_format::pcap; ///< For `download`.
  instant takes{0}; ///< For `download`: how long the file is open.
};

/// How this run's engine is configured.
struct setup {
  std::vector<std::string> interfaces;
  bool mixed_links = false;
  std::uint64_t mean_gap_ms = 1000;
  std::uint64_t most_at_once = 10;
  std::uint32_t batch_bytes = 4096;
  std::uint64_t credit_bytes = 65536;
  std::uint32_t running_jobs = 256;
  std::uint32_t collects = 1; ///< Per minute and account.
  bool pcapng = true;
  bool microseconds = false;
  std::chrono::seconds max_age{86400};
  std::uint64_t max_jobs = 1'000'000;
  std::uint64_t max_bytes = 10ull << 30;
  std::chrono::seconds sweep_interval{60};
  quota each_account;
  quota total;
  std::uint64_t min_free_bytes = 0;
  std::uint64_t reserve_bytes = 0;
  std::size_t max_open_runs = 256;
  std::size_t seal_slice_bytes = 4096;
  std::size_t inspection_slice = 16;
  std::chrono::milliseconds progress_interval{250};
  /// How the next actor is chosen; see `life`.
  std::uint32_t schedule = 0;
  /// One in so many steps lets time pass although somebody is ready.
  std::uint64_t hurry = 64;
  /// One in so many calls to storage fails; 0: none.
  std::uint64_t storage_faults = 0;
  /// One in so many calls to the disk fails, for each way; 0: none.
  std::uint32_t disk_faults = 0;
  std::size_t edges = 0; ///< Other machines.
};

setup make_setup(std::uint64_t seed);

/// What clients do in this run, in the order of time.
std::vector<operation> make_plan(std::uint64_t seed, const setup& how);

} // namespace edgecap::simulation

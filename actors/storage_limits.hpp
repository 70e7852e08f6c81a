#pragma once

#include <caf/meta/type_name.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace edgecap {

/// The most that may be kept for an account, or for all of them together. What
/// is kept is what is stored and what running jobs are about to store.
struct quota {
  std::uint64_t bytes = 0; ///< Of savefiles of both formats; 0 for no quota.
  std::uint64_t jobs = 0;  ///< Running and finished; 0 for no quota.
};

/// What storage keeps, and for how long. Unlike the rest of its options these
/// may change while it runs.
struct storage_limits {
  /// Less free space than this: no new job, and no more packets.
  std::uint64_t min_free_bytes = 256u << 20;
  /// Since the end of a job; > 0.
  std::chrono::seconds max_age{7 * 24 * 3600};
  /// Of all savefiles together; > 0.
  std::uint64_t max_bytes = 10ull << 30;
  /// Finished jobs; > 0.
  std::uint64_t max_jobs = 1'000'000;
  /// How long downloads of a job may keep retention from removing it; >= 0.
  std::chrono::seconds download_hold{3600};
  /// How long an idempotency key leads to its job, since its creation; > 0.
  std::chrono::seconds key_lifetime{24 * 3600};
  /// How long a job counts against its account's allowance; > 0.
  std::chrono::seconds collect_window{60};
  /// Between two applications of retention; > 0.
  std::chrono::seconds sweep_interval{60};
  /// Of all accounts together.
  quota total;
  /// Of each account that is not in `accounts`.
  quota each_account;
  /// Of single accounts, by id.
  std::map<std::string, quota> accounts;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, quota& x) {
  return f(caf::meta::type_name("quota"), x.bytes, x.jobs);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, storage_limits& x) {
  return f(caf::meta::type_name("storage_limits"), x.min_free_bytes, x.max_age,
           x.max_bytes, x.max_jobs, x.download_hold, x.key_lifetime,
           x.collect_window, x.sweep_interval, x.total, x.each_account,
           x.accounts);
}

} // namespace edgecap

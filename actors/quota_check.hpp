#pragma once

#include "actors/job_index.hpp"
#include "actors/storage_limits.hpp"

#include <cstdint>
#include <optional>
#include <string>

// Whether a quota has room. Pure.
namespace edgecap {

/// Whose quota it is, as messages call it and as causes of refusals are
/// counted.
struct quota_scope {
  const char* whose;
  const char* size_cause;
  const char* jobs_cause;
};

inline constexpr quota_scope account_scope{"the account", "account_size",
                                           "account_jobs"};
inline constexpr quota_scope total_scope{"all accounts together", "total_size",
                                         "total_jobs"};

/// What is used of a quota.
struct quota_use {
  index_totals stored;
  /// What jobs will take that are not sealed yet.
  std::uint64_t unsealed_bytes = 0;
};

/// What is asked for.
struct space_use {
  std::uint64_t bytes = 0;
  std::uint64_t jobs = 0;
};

/// Why a quota has no room.
struct quota_refusal {
  const char* cause; ///< See `quota_scope`.
  std::string text;  ///< For clients: the quota, what is used, what to do.
};

/// Says whether a quota has no room for `more`. A quota that is used beyond its
/// limit (it was lowered) has none.
std::optional<quota_refusal> check_quota(const quota& limit,
                                         const quota_scope& scope,
                                         const quota_use& used,
                                         const space_use& more);

} // namespace edgecap

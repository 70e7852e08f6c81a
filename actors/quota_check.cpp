#include "actors/quota_check.hpp"

namespace edgecap {

namespace {

/// Without an overflow; 0 is no limit.
bool is_over(std::uint64_t limit, std::uint64_t used, std::uint64_t more) {
  return limit != 0 && more != 0 && (used > limit || more > limit - used);
}

std::string text_of(const quota_scope& scope, std::uint64_t limit,
                    const std::string& what, const std::string& used) {
  return "the quota of " + std::to_string(limit) + what + " for " + scope.whose
         + " is reached: " + used + "; delete captures to make room";
}

} // namespace

std::optional<quota_refusal> check_quota(const quota& limit,
                                         const quota_scope& scope,
                                         const quota_use& used,
                                         const space_use& more) {
  if (is_over(limit.jobs, used.stored.jobs, more.jobs))
    return quota_refusal{
      scope.jobs_cause,
      text_of(scope, limit.jobs, " captures",
              "there are " + std::to_string(used.stored.jobs))};
  const auto bytes = used.stored.savefile_bytes + used.unsealed_bytes;
  if (is_over(limit.bytes, bytes, more.bytes))
    return quota_refusal{
      scope.size_cause,
      text_of(scope, limit.bytes, " bytes",
              std::to_string(bytes) + " bytes are used, "
                + std::to_string(used.unsealed_bytes)
                + " of them by captures that are not finished")};
  return std::nullopt;
}

} // namespace edgecap

#include "http/engine_errors.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace edgecap::http {

namespace {

/// Rounded up, so that whoever waits exactly this long is admitted.
std::uint64_t whole_seconds(std::uint64_t ms) {
  return std::max<std::uint64_t>(1, ms / 1000 + (ms % 1000 != 0 ? 1 : 0));
}

api_error internal_error() {
  return {500, code::internal, "Internal error", ""};
}

} // namespace

bool is_internal(const failure& from) {
  if (!from.ours)
    return true;
  switch (from.code) {
  case errc::storage_unavailable:
  case errc::storage_full:
  case errc::no_interface:
  case errc::invalid_options:
  case errc::node_refused:
    return true;
  default:
    return false;
  }
}

api_error to_api_error(const failure& from) {
  if (!from.ours)
    return from.timeout ? api_error{504, code::engine_timeout,
                                    "The engine did not answer in time", ""}
                        : internal_error();
  switch (from.code) {
  case errc::unknown_job:
    return {404, code::unknown_job, from.text, ""};
  case errc::unknown_system:
    return {400, code::unknown_system, from.text, "/system"};
  case errc::rate_limited:
    return {429, code::rate_limited, from.text, ""};
  case errc::too_many_jobs:
    return {503, code::too_many_jobs, from.text, ""};
  case errc::not_ready:
    return {404, code::not_ready, from.text, ""};
  case errc::no_savefile:
    return {404, code::no_savefile, from.text, ""};
  case errc::not_running:
    return {404, code::not_running, from.text, ""};
  case errc::too_many_followers:
    return {503, code::too_many_streams, from.text, ""};
  case errc::storage_unavailable:
    return {503, code::storage_unavailable, "The storage is not available", ""};
  case errc::storage_full:
    return {507, code::storage_full,
            "There is too little free space for another capture; it is "
            "accepted again when space is free: delete captures, or ask the "
            "operator",
            ""};
  case errc::storage_lost:
  case errc::index_damaged:
    return {503, code::storage_unavailable, from.text, ""};
  case errc::quota_reached:
    return {507, code::quota_reached, from.text, ""};
  case errc::shutting_down:
    return {503, code::shutting_down, from.text, ""};
  case errc::key_reused:
    return {422, code::key_reused, from.text, ""};
  case errc::no_interface:
  case errc::invalid_options:
  case errc::node_refused: // said to nodes, which do not come this way
    break;
  }
  return internal_error();
}

void add_ratelimit_headers(response& answer, const allowance_state& state) {
  const auto reset_s = state.remaining == 0 && state.retry_after_ms > 0
                         ? whole_seconds(state.retry_after_ms)
                         : std::uint64_t{state.window_s};
  answer.headers.emplace_back("Ratelimit",
                              "\"default\";r=" + std::to_string(state.remaining)
                                + ";t=" + std::to_string(reset_s));
  if (state.limit > 0)
    answer.headers.emplace_back("Ratelimit-Policy",
                                "\"default\";q=" + std::to_string(state.limit)
                                  + ";w=" + std::to_string(state.window_s));
}

response rate_limited_response(std::string text, const allowance_state& state) {
  auto result
    = failure_response({429, code::rate_limited, std::move(text), ""});
  const auto wait_ms = std::max<std::uint64_t>(1, state.retry_after_ms);
  result.headers.emplace_back("Retry-After",
                              std::to_string(whole_seconds(wait_ms)));
  result.headers.emplace_back("retry-after-ms", std::to_string(wait_ms));
  auto shown = state;
  shown.remaining = 0;
  shown.retry_after_ms = wait_ms;
  add_ratelimit_headers(result, shown);
  return result;
}

} // namespace edgecap::http

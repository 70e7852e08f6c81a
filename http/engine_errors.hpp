#pragma once

#include "actors/errors.hpp"
#include "actors/job_types.hpp"
#include "http/errors.hpp"
#include "http/message.hpp"

#include <cstdint>

// What the engine's refusals and failures are to a client.
namespace edgecap::http {

/// Status, code and text for an error of the engine. Texts that tell of the
/// inside (paths, system calls, dead actors) are replaced by general ones: log
/// `is_internal` failures, for their words end here.
api_error to_api_error(const failure& from);

/// Whether `to_api_error` hides the text.
bool is_internal(const failure& from);

/// An allowance as the rate limit headers tell it.
struct allowance_state {
  std::uint32_t limit = 0;          ///< Operations per window; 0: unknown.
  std::uint32_t window_s = 0;       ///< Length of the window.
  std::uint32_t remaining = 0;      ///< Operations left.
  std::uint64_t retry_after_ms = 0; ///< Until the next, if none is left.
};

/// `Ratelimit` and `Ratelimit-Policy` on any answer. For a sliding window `t`
/// is the time after which the whole allowance is back at the latest.
void add_ratelimit_headers(response& answer, const allowance_state& state);

/// 429 with `Retry-After` (whole seconds, rounded up, at least 1),
/// `retry-after-ms` and the headers above.
response rate_limited_response(std::string text, const allowance_state& state);

} // namespace edgecap::http

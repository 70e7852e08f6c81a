#pragma once

#include "tests/fuzz/campaign/dice.hpp"
#include "tests/fuzz/campaign/request_text.hpp"

#include <string_view>

// Requests that are good HTTP: every route, method, credential, header and
// field of the API, with right and wrong values. What they may be answered with
// is up to the API; how many answers they get is not: one each.
namespace edgecap::fuzz {

/// The account and the secrets of the configuration that tests/fuzz/run writes.
inline constexpr std::string_view account = "023e105f4ecef8ad9ca31a8372d0c353";
inline constexpr std::string_view other_account
  = "0123456789abcdef0123456789abcdef";
inline constexpr std::string_view full_token = "fuzz-token-all-rights";

/// Stand for the ids of a job that has ended and of one that runs. The daemon's
/// real ones, of the same length, take their places when bytes are sent, so
/// that a case is the same bytes for every daemon.
inline constexpr std::string_view ended_job
  = "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0";
inline constexpr std::string_view running_job
  = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

/// Makes one request that is well framed.
request_text make_request(dice& random);

/// Makes the body of a create request; one in six has no fault.
std::string make_body(dice& random);

} // namespace edgecap::fuzz

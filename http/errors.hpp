#pragma once

#include "http/message.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace edgecap::http {

/// Codes of the API's errors; the table in docs/api.md is made of these lines.
/// Codes are never reused.
namespace code {
// -- Cloudflare's own, as its clients know them
inline constexpr int no_route = 7003;            ///< 404 No such route.
inline constexpr int missing_credentials = 9106; ///< 400 No credentials.
inline constexpr int bad_credentials = 10000;    ///< 403 Unknown or wrong ones.
inline constexpr int forbidden = 10001;          ///< 403 The right is missing.
// -- ours: the request as such
inline constexpr int bad_request = 20000;        ///< 400 Malformed HTTP.
inline constexpr int method_not_allowed = 20001; ///< 405
inline constexpr int body_too_large = 20002;     ///< 413
inline constexpr int headers_too_large = 20003;  ///< 431
inline constexpr int target_too_long = 20004;    ///< 414
inline constexpr int length_required = 20005;    ///< 411 Chunked bodies.
inline constexpr int request_timeout = 20006;    ///< 408
inline constexpr int expectation_failed = 20007; ///< 417
inline constexpr int unknown_method = 20008;     ///< 501
inline constexpr int bad_version = 20009;        ///< 505
// -- ours: the body and the query
inline constexpr int bad_json = 20100;       ///< 400 Not JSON; has position.
inline constexpr int missing_field = 20101;  ///< 400
inline constexpr int bad_type = 20102;       ///< 400 Not the JSON type.
inline constexpr int out_of_range = 20103;   ///< 400
inline constexpr int bad_value = 20104;      ///< 400
inline constexpr int bad_query = 20105;      ///< 400
inline constexpr int not_supported = 20106;  ///< 400 `full` and friends.
inline constexpr int unknown_system = 20107; ///< 400
inline constexpr int bad_idempotency_key = 20108; ///< 400
inline constexpr int key_reused = 20109;          ///< 422 For another request.
// -- ours: jobs
inline constexpr int unknown_job = 20200; ///< 404
inline constexpr int not_ready = 20201;   ///< 404 No savefile yet.
inline constexpr int no_savefile = 20202; ///< 404 It ended without one.
inline constexpr int range_not_satisfiable = 20203; ///< 416
inline constexpr int precondition_failed = 20204;   ///< 412 If-Match.
inline constexpr int not_running = 20205;           ///< 404 No more to stream.
// -- ours: limits and failures
inline constexpr int rate_limited = 20300;        ///< 429
inline constexpr int too_many_jobs = 20301;       ///< 503
inline constexpr int overloaded = 20302;          ///< 503
inline constexpr int shutting_down = 20303;       ///< 503
inline constexpr int storage_unavailable = 20304; ///< 503
inline constexpr int storage_full = 20305;        ///< 507
inline constexpr int engine_timeout = 20306;      ///< 504; 503 of /readyz
inline constexpr int internal = 20307;            ///< 500
inline constexpr int too_many_streams = 20308;    ///< 503 Of one capture.
inline constexpr int too_many_failures = 20309;   ///< 429 To authenticate.
inline constexpr int quota_reached = 20310;       ///< 507
// -- ours: messages (not errors)
inline constexpr int unknown_field = 20400; ///< A field was ignored.
} // namespace code

/// One error of an answer.
struct api_error {
  int status = 500; ///< HTTP status; the first error's counts.
  int code = code::internal;
  std::string message;
  std::string pointer; ///< RFC 6901, empty if no field is to blame.
};

/// The failure envelope: `result` null, `success` false.
response failure_response(const std::vector<api_error>& errors);

/// The failure envelope of one error.
response failure_response(api_error error);

} // namespace edgecap::http

#pragma once

#include "actors/job_types.hpp"
#include "http/errors.hpp"
#include "http/json.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The body of POST /pcaps. Pure.
namespace edgecap::http {

/// What a create request may ask for.
struct create_limits {
  std::vector<std::string> systems; ///< Names that are configured.
  std::uint32_t max_time_limit_s = 300;
  std::uint32_t max_packet_limit = 10000;
  /// Whether there are nodes to choose from; else `colo_name` has no meaning.
  bool choose_nodes = false;
};

/// A valid create request.
struct create_request {
  job_spec spec; ///< Without the account.
  /// One for each field that was ignored, at most `max_messages`.
  std::vector<api_message> messages;
};

/// Most ignored fields that are named; one more message counts the others.
inline constexpr std::size_t max_messages = 20;

/// Reads and checks the body. Fails with every field that is wrong, each with
/// its pointer and a message that names the field, its value and the rule; all
/// are 400.
tl::expected<create_request, std::vector<api_error>>
parse_create_request(std::string_view body, const create_limits& limits);

} // namespace edgecap::http

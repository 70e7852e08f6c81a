#pragma once

#include "actors/job_types.hpp"
#include "http/errors.hpp"

#include <tl/expected.hpp>

#include <string>
#include <utility>
#include <vector>

// The query of GET /pcaps. Pure.
namespace edgecap::http {

/// Reads `page`, `per_page`, `status` and `type`; unknown parameters are
/// ignored. Fails with every parameter that is wrong; all are 400. The account
/// stays empty.
tl::expected<list_query, std::vector<api_error>> parse_list_request(
  const std::vector<std::pair<std::string, std::string>>& query);

} // namespace edgecap::http

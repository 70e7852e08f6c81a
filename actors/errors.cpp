#include "actors/errors.hpp"

#include <caf/sec.hpp>

#include <utility>

namespace edgecap {

std::string to_string(errc x) {
  switch (x) {
  case errc::unknown_job:
    return "unknown_job";
  case errc::unknown_system:
    return "unknown_system";
  case errc::rate_limited:
    return "rate_limited";
  case errc::too_many_jobs:
    return "too_many_jobs";
  case errc::not_ready:
    return "not_ready";
  case errc::no_savefile:
    return "no_savefile";
  case errc::storage_unavailable:
    return "storage_unavailable";
  case errc::storage_full:
    return "storage_full";
  case errc::no_interface:
    return "no_interface";
  case errc::not_running:
    return "not_running";
  case errc::too_many_followers:
    return "too_many_followers";
  case errc::shutting_down:
    return "shutting_down";
  case errc::invalid_options:
    return "invalid_options";
  case errc::key_reused:
    return "key_reused";
  case errc::storage_lost:
    return "storage_lost";
  case errc::quota_reached:
    return "quota_reached";
  case errc::index_damaged:
    return "index_damaged";
  case errc::node_refused:
    return "node_refused";
  }
  return "invalid";
}

caf::error make_error(errc code, std::string text) {
  return caf::make_error(code, std::move(text));
}

caf::error make_rate_limited(std::string text,
                             const exhausted_allowance& allowance) {
  return caf::make_error(errc::rate_limited, std::move(text), allowance.limit,
                         allowance.window_s, allowance.retry_after_ms);
}

failure describe(const caf::error& err) {
  failure result;
  if (!err)
    return result;
  if (err.category() == caf::atom("edgecap")) {
    result.ours = true;
    result.code = static_cast<errc>(err.code());
    const auto& context = err.context();
    if (context.match_element<std::string>(0))
      result.text = context.get_as<std::string>(0);
    if (context.match_elements<std::string, std::uint32_t, std::uint32_t,
                               std::uint64_t>())
      result.exhausted
        = {context.get_as<std::uint32_t>(1), context.get_as<std::uint32_t>(2),
           context.get_as<std::uint64_t>(3)};
    return result;
  }
  result.timeout = err == caf::sec::request_timeout;
  result.text = caf::to_string(err);
  return result;
}

} // namespace edgecap

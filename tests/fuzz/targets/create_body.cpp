// Any bytes as the body of POST /pcaps: either a job that may run, or errors
// that make a proper answer.
#include "http/create_request.hpp"
#include "tests/fuzz/target.hpp"

#include <nlohmann/json.hpp>

namespace {

using namespace edgecap;
using fuzz::require;

const http::create_limits limits{{"magic-transit", "lab"}, 300, 10000};

void check_accepted(const http::create_request& x) {
  const auto& spec = x.spec;
  require(spec.system == "magic-transit" || spec.system == "lab",
          "the system is a configured one");
  require(spec.time_limit_s >= 1 && spec.time_limit_s <= 300,
          "the time limit is in bounds");
  require(spec.packet_limit >= 1 && spec.packet_limit <= 10000,
          "the packet limit is in bounds");
  require(capture::validate(spec.filter).empty(), "the filter is valid");
  require(x.messages.size() <= http::max_messages + 1, "remarks are bounded");
}

void check_refused(const std::vector<http::api_error>& errors) {
  require(!errors.empty(), "a refusal has a reason");
  for (const auto& x : errors)
    require(x.status == 400 && x.code >= 1000 && !x.message.empty(),
            "an error says what is wrong");
  const auto answer = nlohmann::json::parse(http::failure_response(errors).body,
                                            nullptr, false);
  require(answer.is_object() && answer["errors"].size() == errors.size(),
          "errors make an envelope");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto result
    = http::parse_create_request(fuzz::text_of(data, size), limits);
  if (result)
    check_accepted(*result);
  else
    check_refused(result.error());
  return 0;
}

#include "http/errors.hpp"

#include <nlohmann/json.hpp>

namespace edgecap::http {

response failure_response(const std::vector<api_error>& errors) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& error : errors) {
    nlohmann::ordered_json entry{{"code", error.code},
                                 {"message", error.message}};
    if (!error.pointer.empty())
      entry["source"] = {{"pointer", error.pointer}};
    list.push_back(std::move(entry));
  }
  const nlohmann::ordered_json envelope{
    {"result", nullptr},
    {"success", false},
    {"errors", std::move(list)},
    {"messages", nlohmann::ordered_json::array()}};
  response result;
  result.status = errors.empty() ? 500 : errors.front().status;
  result.content_type = "application/json";
  // Text from outside may be no UTF-8; an error must not fail on it.
  result.body = envelope.dump(-1, ' ', false,
                              nlohmann::ordered_json::error_handler_t::replace);
  return result;
}

response failure_response(api_error error) {
  return failure_response(std::vector<api_error>{std::move(error)});
}

} // namespace edgecap::http

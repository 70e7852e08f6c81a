#include "http/json.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

namespace edgecap::http {

namespace {

using json = nlohmann::ordered_json;

json to_json(const capture::filter_fields& x) {
  auto result = json::object();
  const auto add = [&result](const char* name, const auto& value) {
    if (value)
      result[name] = *value;
  };
  add("source_address", x.source_address);
  add("destination_address", x.destination_address);
  add("source_port", x.source_port);
  add("destination_port", x.destination_port);
  add("protocol", x.protocol);
  return result;
}

/// Unknown is null, never 0.
json or_null(const std::optional<std::uint64_t>& x) {
  return x ? json(*x) : json(nullptr);
}

json to_json(const interface_report& x) {
  return {{"node", x.node},
          {"interface", x.interface},
          {"state", to_string(x.phase)},
          {"link_type", x.link ? json(link_type_name(*x.link)) : json(nullptr)},
          {"sampling_one_in", x.sampling_one_in},
          {"packets_matched", or_null(x.packets_matched)},
          {"packets_captured", x.packets_captured},
          {"packets_sampled_out", or_null(x.packets_sampled_out)},
          {"dropped_by_kernel", or_null(x.dropped_by_kernel)},
          {"dropped_by_interface", or_null(x.dropped_by_interface)},
          {"dropped_by_us", or_null(x.dropped_by_us)},
          {"error", x.error.empty() ? json(nullptr) : json(x.error)}};
}

std::uint64_t packets_remaining(const job_record& x) {
  const std::uint64_t limit = x.spec.packet_limit;
  if (is_terminal(x.phase) || x.packets_captured >= limit)
    return 0;
  return limit - x.packets_captured;
}

json to_json(const job_record& x) {
  json result{{"id", x.id},
              {"submitted", rfc3339(x.submitted)},
              {"type", x.spec.type},
              {"system", x.spec.system},
              {"status", api_status(x.phase)},
              {"filter_v1", to_json(x.spec.filter)},
              {"time_limit", x.spec.time_limit_s},
              {"packet_limit", x.spec.packet_limit},
              {"packets_remaining", packets_remaining(x)},
              {"packets_captured", x.packets_captured},
              {"bytes_captured", x.bytes_captured}};
  // Typed clients parse these as times and enumerations: unset ones are left
  // out. So is `stop_requested`, for the API says it is a time, and the engine
  // keeps none.
  if (x.started)
    result["started"] = rfc3339(*x.started);
  if (x.finished)
    result["finished"] = rfc3339(*x.finished);
  if (x.reason != end_reason::none)
    result["end_reason"] = to_string(x.reason);
  if (!x.error_message.empty())
    result["error_message"] = x.error_message;
  auto& interfaces = result["interfaces"] = json::array();
  for (const auto& report : x.interfaces)
    interfaces.push_back(to_json(report));
  return result;
}

json to_json(const std::vector<api_message>& messages) {
  auto result = json::array();
  for (const auto& x : messages) {
    json entry{{"code", x.code}, {"message", x.message}};
    if (!x.pointer.empty())
      entry["source"] = {{"pointer", x.pointer}};
    result.push_back(std::move(entry));
  }
  return result;
}

json envelope(json result, const std::vector<api_message>& messages) {
  return {{"result", std::move(result)},
          {"success", true},
          {"errors", json::array()},
          {"messages", to_json(messages)}};
}

std::string text_of(const json& x) {
  // What the system said about an interface may be no UTF-8.
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

response ok(const json& body) {
  response result;
  result.content_type = "application/json";
  result.body = text_of(body);
  return result;
}

} // namespace

std::string_view api_status(job_phase phase) {
  switch (phase) {
  case job_phase::pending:
  case job_phase::capturing:
  case job_phase::draining:
  case job_phase::sealing:
    return "pending";
  case job_phase::succeeded:
    return "success";
  case job_phase::failed:
    return "failed";
  }
  return "unknown";
}

std::string rfc3339(unix_ns time) {
  constexpr unix_ns second = 1'000'000'000;
  auto seconds = time / second;
  auto rest = time % second;
  if (rest < 0) {
    rest += second;
    --seconds;
  }
  const auto as_time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&as_time, &utc);
  std::array<char, 64> text{};
  const auto size
    = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06dZ",
                static_cast<int>(rest / 1000));
  return std::string{text.data(), size} + fraction.data();
}

std::string link_type_name(capture::link_type link) {
  switch (link) {
  case capture::link_type::ethernet:
    return "ETHERNET";
  case capture::link_type::raw:
    return "RAW";
  case capture::link_type::linux_sll:
    return "LINUX_SLL";
  case capture::link_type::linux_sll2:
    return "LINUX_SLL2";
  }
  return "LINKTYPE_" + std::to_string(static_cast<std::uint32_t>(link));
}

std::string filter_text(const capture::filter_fields& filter) {
  return text_of(to_json(filter));
}

response capture_response(const job_record& record,
                          const std::vector<api_message>& messages) {
  return ok(envelope(to_json(record), messages));
}

response validated_response(const job_spec& spec,
                            const std::vector<api_message>& messages) {
  return ok(envelope({{"type", spec.type},
                      {"system", spec.system},
                      {"filter_v1", to_json(spec.filter)},
                      {"time_limit", spec.time_limit_s},
                      {"packet_limit", spec.packet_limit}},
                     messages));
}

response page_response(const job_page& page, const list_query& query) {
  auto captures = json::array();
  for (const auto& record : page.jobs)
    captures.push_back(to_json(record));
  auto body = envelope(std::move(captures), {});
  const std::uint64_t per_page = query.per_page;
  body["result_info"]
    = {{"page", query.page},
       {"per_page", per_page},
       {"count", page.jobs.size()},
       {"total_count", page.total_count},
       {"total_pages", (page.total_count + per_page - 1) / per_page}};
  return ok(body);
}

response status_response(std::string_view status, std::string_view version) {
  return ok(envelope({{"status", status}, {"version", version}}, {}));
}

response empty_response() {
  response result;
  result.status = 204;
  return result;
}

} // namespace edgecap::http

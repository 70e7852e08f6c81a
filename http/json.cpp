#include "http/json.hpp"

#include "http/json_text.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

namespace edgecap::http {

namespace {

/// Room for a capture of one interface; a longer text grows.
constexpr std::size_t usual_capture_bytes = 1024;

void append(std::string& to, const capture::filter_fields& x) {
  object_text fields{to};
  if (x.source_address)
    fields.add("source_address", *x.source_address);
  if (x.destination_address)
    fields.add("destination_address", *x.destination_address);
  if (x.source_port)
    fields.add("source_port", *x.source_port);
  if (x.destination_port)
    fields.add("destination_port", *x.destination_port);
  if (x.protocol)
    fields.add("protocol", *x.protocol);
}

void append(std::string& to, const interface_report& x) {
  object_text fields{to};
  fields.add("node", x.node)
    .add("interface", x.interface)
    .add("state", to_string(x.phase));
  if (x.link)
    fields.add("link_type", link_type_name(*x.link));
  else
    fields.add_null("link_type");
  fields.add("sampling_one_in", x.sampling_one_in)
    .add("packets_matched", x.packets_matched)
    .add("packets_captured", x.packets_captured)
    .add("packets_sampled_out", x.packets_sampled_out)
    .add("dropped_by_kernel", x.dropped_by_kernel)
    .add("dropped_by_interface", x.dropped_by_interface)
    .add("dropped_by_us", x.dropped_by_us);
  if (x.error.empty())
    fields.add_null("error");
  else
    fields.add("error", x.error);
}

void append(std::string& to, const job_record& x);
void append(std::string& to, const api_message& x);

/// An array of what `append` writes.
template <class T>
void append(std::string& to, const std::vector<T>& xs) {
  to += '[';
  for (const auto& x : xs) {
    if (&x != &xs.front())
      to += ',';
    append(to, x);
  }
  to += ']';
}

std::uint64_t packets_remaining(const job_record& x) {
  const std::uint64_t limit = x.spec.packet_limit;
  if (is_terminal(x.phase) || x.packets_captured >= limit)
    return 0;
  return limit - x.packets_captured;
}

void append(std::string& to, const job_record& x) {
  object_text fields{to};
  fields.add("id", x.id)
    .add("submitted", rfc3339(x.submitted))
    .add("type", x.spec.type)
    .add("system", x.spec.system)
    .add("status", api_status(x.phase));
  append(fields.begin("filter_v1"), x.spec.filter);
  fields.add("time_limit", x.spec.time_limit_s)
    .add("packet_limit", x.spec.packet_limit)
    .add("packets_remaining", packets_remaining(x))
    .add("packets_captured", x.packets_captured)
    .add("bytes_captured", x.bytes_captured);
  // Typed clients parse these as times and enumerations: unset ones are left
  // out. So is `stop_requested`, for the API says it is a time, and the engine
  // keeps none.
  if (x.started)
    fields.add("started", rfc3339(*x.started));
  if (x.finished)
    fields.add("finished", rfc3339(*x.finished));
  if (x.reason != end_reason::none)
    fields.add("end_reason", to_string(x.reason));
  // What the system said about an interface may be no UTF-8.
  if (!x.error_message.empty())
    fields.add("error_message", x.error_message);
  append(fields.begin("interfaces"), x.interfaces);
}

void append(std::string& to, const api_message& x) {
  object_text fields{to};
  fields.add("code", static_cast<std::uint64_t>(x.code))
    .add("message", x.message);
  if (!x.pointer.empty())
    object_text{fields.begin("source")}.add("pointer", x.pointer);
}

/// What stands in an envelope beside its result.
void append_rest(object_text& envelope,
                 const std::vector<api_message>& messages) {
  envelope.begin("success") += "true";
  envelope.begin("errors") += "[]";
  append(envelope.begin("messages"), messages);
}

response ok(std::string body) {
  response result;
  result.content_type = "application/json";
  result.body = std::move(body);
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
  // Not strftime, which looks for the time zone's file at each call.
  std::array<char, 96> text{};
  const auto size = std::snprintf(
    text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
    utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
    utc.tm_sec, static_cast<int>(rest / 1000));
  return {text.data(), static_cast<std::size_t>(size)};
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
  std::string result;
  append(result, filter);
  return result;
}

response capture_response(const job_record& record,
                          const std::vector<api_message>& messages) {
  std::string body;
  body.reserve(usual_capture_bytes);
  {
    object_text envelope{body};
    append(envelope.begin("result"), record);
    append_rest(envelope, messages);
  }
  return ok(std::move(body));
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
  const std::uint64_t per_page = query.per_page;
  std::string body;
  body.reserve((page.jobs.size() + 1) * usual_capture_bytes);
  {
    object_text envelope{body};
    append(envelope.begin("result"), page.jobs);
    append_rest(envelope, {});
    object_text{envelope.begin("result_info")}
      .add("page", query.page)
      .add("per_page", per_page)
      .add("count", std::uint64_t{page.jobs.size()})
      .add("total_count", page.total_count)
      .add("total_pages", (page.total_count + per_page - 1) / per_page);
  }
  return ok(std::move(body));
}

response status_response(std::string_view status, std::string_view version) {
  std::string body;
  {
    object_text envelope{body};
    object_text{envelope.begin("result")}
      .add("status", status)
      .add("version", version);
    append_rest(envelope, {});
  }
  return ok(std::move(body));
}

response empty_response() {
  response result;
  result.status = 204;
  return result;
}

} // namespace edgecap::http

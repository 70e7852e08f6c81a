#include "http/json.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

namespace edgecap::http {

namespace {

/// One text of JSON, written from front to back: a tree of values would cost a
/// list more than all the rest of its answer.
class writer {
public:
  writer& begin_object(const char* name = nullptr) {
    key(name);
    out_.StartObject();
    return *this;
  }

  writer& end_object() {
    out_.EndObject();
    return *this;
  }

  /// An array of what `write` writes.
  template <class T>
  writer& add(const char* name, const std::vector<T>& xs) {
    key(name);
    out_.StartArray();
    for (const auto& x : xs)
      write(*this, x);
    out_.EndArray();
    return *this;
  }

  /// Bytes that are no UTF-8 become U+FFFD.
  writer& add(const char* name, std::string_view text) {
    key(name);
    if (std::all_of(text.begin(), text.end(), is_ascii)) {
      out_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
      return *this;
    }
    const auto mended = nlohmann::json(text).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
    out_.RawValue(mended.data(), mended.size(), rapidjson::kStringType);
    return *this;
  }

  writer& add(const char* name, std::uint64_t number) {
    key(name);
    out_.Uint64(number);
    return *this;
  }

  /// Unknown is null, never 0.
  writer& add(const char* name, const std::optional<std::uint64_t>& number) {
    return number ? add(name, *number) : add_null(name);
  }

  writer& add(const char* name, std::int64_t number) {
    key(name);
    out_.Int64(number);
    return *this;
  }

  writer& add_null(const char* name) {
    key(name);
    out_.Null();
    return *this;
  }

  writer& add_flag(const char* name, bool value) {
    key(name);
    out_.Bool(value);
    return *this;
  }

  /// One of an array.
  writer& add_item(std::string_view text) {
    return add(nullptr, text);
  }

  std::string take() const {
    return {text_.GetString(), text_.GetSize()};
  }

private:
  static bool is_ascii(char c) {
    return static_cast<unsigned char>(c) < 0x80;
  }

  void key(const char* name) {
    if (name != nullptr)
      out_.Key(name);
  }

  rapidjson::StringBuffer text_;
  rapidjson::Writer<rapidjson::StringBuffer> out_{text_};
};

void write(writer& to, const capture::filter_fields& x,
           const char* name = nullptr) {
  to.begin_object(name);
  if (x.source_address)
    to.add("source_address", *x.source_address);
  if (x.destination_address)
    to.add("destination_address", *x.destination_address);
  if (x.source_port)
    to.add("source_port", std::uint64_t{*x.source_port});
  if (x.destination_port)
    to.add("destination_port", std::uint64_t{*x.destination_port});
  if (x.protocol)
    to.add("protocol", std::uint64_t{*x.protocol});
  to.end_object();
}

/// A time that need not be known.
void add_time(writer& to, const char* name,
              const std::optional<unix_ns>& time) {
  if (time)
    to.add(name, rfc3339(*time));
  else
    to.add_null(name);
}

/// A text that need not be there.
void add_text(writer& to, const char* name, const std::string& text) {
  if (text.empty())
    to.add_null(name);
  else
    to.add(name, text);
}

void write(writer& to, const interface_report& x) {
  to.begin_object()
    .add("node", x.node)
    .add("interface", x.interface)
    .add("state", to_string(x.phase));
  if (x.link)
    to.add("link_type", link_type_name(*x.link));
  else
    to.add_null("link_type");
  to.add("sampling_one_in", std::uint64_t{x.sampling_one_in})
    .add("packets_matched", x.packets_matched)
    .add("packets_captured", x.packets_captured)
    .add("packets_sampled_out", x.packets_sampled_out)
    .add("dropped_by_kernel", x.dropped_by_kernel)
    .add("dropped_by_interface", x.dropped_by_interface)
    .add("dropped_by_us", x.dropped_by_us)
    .add("clock_correction_ns", x.clock_correction_ns);
  add_text(to, "error", x.error);
  to.end_object();
}

void write(writer& to, const interruption& x) {
  to.begin_object().add("from", rfc3339(x.from));
  add_time(to, "to", x.to);
  to.end_object();
}

std::uint64_t packets_remaining(const job_record& x) {
  const std::uint64_t limit = x.spec.packet_limit;
  if (is_terminal(x.phase) || x.packets_captured >= limit)
    return 0;
  return limit - x.packets_captured;
}

/// Absent where the client chose none, for then the field is none of the API's.
void write_colo(writer& to, const job_spec& x) {
  if (!x.colo_name.empty())
    to.add("colo_name", x.colo_name);
}

void write(writer& to, const job_record& x, const char* name = nullptr) {
  to.begin_object(name)
    .add("id", x.id)
    .add("submitted", rfc3339(x.submitted))
    .add("type", x.spec.type)
    .add("system", x.spec.system);
  write_colo(to, x.spec);
  to.add("status", api_status(x.phase));
  write(to, x.spec.filter, "filter_v1");
  to.add("time_limit", std::uint64_t{x.spec.time_limit_s})
    .add("packet_limit", std::uint64_t{x.spec.packet_limit})
    .add("packets_remaining", packets_remaining(x))
    .add("packets_captured", x.packets_captured)
    .add("bytes_captured", x.bytes_captured);
  // Typed clients parse these as times and enumerations: unset ones are left
  // out. So is `stop_requested`, for the API says it is a time, and the engine
  // keeps none.
  if (x.started)
    to.add("started", rfc3339(*x.started));
  if (x.finished)
    to.add("finished", rfc3339(*x.finished));
  if (x.reason != end_reason::none)
    to.add("end_reason", to_string(x.reason));
  // What the system said about an interface may be no UTF-8.
  if (!x.error_message.empty())
    to.add("error_message", x.error_message);
  to.add("interfaces", x.interfaces)
    .add("interruptions", x.interruptions)
    .end_object();
}

void write(writer& to, const std::string& x) {
  to.add_item(x);
}

void write(writer& to, const node_status& x) {
  to.begin_object().add("name", x.name);
  add_text(to, "colo_name", x.colo);
  to.add("labels", x.labels);
  add_text(to, "version", x.version);
  to.add("status", std::string_view{x.connected ? "connected" : "lost"})
    .add_flag("local", x.local);
  add_text(to, "lost_because", x.lost);
  add_time(to, "joined", x.joined);
  add_time(to, "last_seen", x.last_seen);
  if (x.clock)
    to.add("clock_offset_ns", x.clock->offset_ns)
      .add("clock_error_ns", x.clock->error_ns);
  else
    to.add_null("clock_offset_ns").add_null("clock_error_ns");
  if (x.pulse && x.pulse->interfaces)
    to.add("interfaces", *x.pulse->interfaces);
  else
    to.add_null("interfaces");
  if (x.pulse)
    to.add("samplers", std::uint64_t{x.pulse->samplers})
      .add("load_milli", x.pulse->load_milli)
      .add("processors", std::uint64_t{x.pulse->processors});
  else
    to.add_null("samplers").add_null("load_milli").add_null("processors");
  to.end_object();
}

void write(writer& to, const api_message& x) {
  to.begin_object()
    .add("code", static_cast<std::uint64_t>(x.code))
    .add("message", x.message);
  if (!x.pointer.empty())
    to.begin_object("source").add("pointer", x.pointer).end_object();
  to.end_object();
}

/// What stands in an envelope beside its result.
void write_rest(writer& envelope, const std::vector<api_message>& messages) {
  envelope.add_flag("success", true)
    .add("errors", std::vector<api_message>{})
    .add("messages", messages);
}

response ok(const writer& text) {
  response result;
  result.content_type = "application/json";
  result.body = text.take();
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
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, rest / 1000);
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
  writer result;
  write(result, filter);
  return result.take();
}

response capture_response(const job_record& record,
                          const std::vector<api_message>& messages) {
  writer text;
  text.begin_object();
  write(text, record, "result");
  write_rest(text, messages);
  return ok(text.end_object());
}

response validated_response(const job_spec& spec,
                            const std::vector<api_message>& messages) {
  writer text;
  text.begin_object();
  text.begin_object("result").add("type", spec.type).add("system", spec.system);
  write_colo(text, spec);
  write(text, spec.filter, "filter_v1");
  text.add("time_limit", std::uint64_t{spec.time_limit_s})
    .add("packet_limit", std::uint64_t{spec.packet_limit})
    .end_object();
  write_rest(text, messages);
  return ok(text.end_object());
}

response page_response(const job_page& page, const list_query& query) {
  const std::uint64_t per_page = query.per_page;
  writer text;
  text.begin_object().add("result", page.jobs);
  write_rest(text, {});
  text.begin_object("result_info")
    .add("page", std::uint64_t{query.page})
    .add("per_page", per_page)
    .add("count", std::uint64_t{page.jobs.size()})
    .add("total_count", page.total_count)
    .add("total_pages", (page.total_count + per_page - 1) / per_page)
    .end_object();
  return ok(text.end_object());
}

response nodes_response(const std::vector<node_status>& nodes) {
  writer text;
  text.begin_object().add("result", nodes);
  write_rest(text, {});
  return ok(text.end_object());
}

response status_response(std::string_view status, std::string_view version) {
  writer text;
  text.begin_object()
    .begin_object("result")
    .add("status", status)
    .add("version", version)
    .end_object();
  write_rest(text, {});
  return ok(text.end_object());
}

response ready_response(const storage_stats& disk, std::string_view version) {
  writer text;
  text.begin_object()
    .begin_object("result")
    .add("status", std::string_view{"ready"})
    .add("version", version)
    .begin_object("storage")
    .add("status", std::string_view{disk.full ? "full" : "ok"})
    .add("free_bytes", disk.free_bytes)
    .add("captures", disk.jobs)
    .add("bytes", disk.savefile_bytes)
    .end_object()
    .end_object();
  write_rest(text, {});
  return ok(text.end_object());
}

response empty_response() {
  response result;
  result.status = 204;
  return result;
}

} // namespace edgecap::http

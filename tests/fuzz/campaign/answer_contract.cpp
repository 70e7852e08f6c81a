#include "tests/fuzz/campaign/answer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace edgecap::fuzz {

namespace {

using nlohmann::json;

/// Every status of docs/api.md and HTTP that a client may cause. 500 is none:
/// it says that edgecap is at fault.
constexpr std::array documented{100, 200, 204, 206, 304, 400, 403, 404,
                                405, 408, 411, 412, 413, 414, 416, 417,
                                422, 429, 431, 501, 503, 504, 505, 507};

/// Least code of an error.
constexpr int min_code = 1000;

bool is_error(const json& x) {
  return x.is_object() && x.contains("code") && x["code"].is_number_integer()
         && x["code"] >= min_code && x.contains("message")
         && x["message"].is_string() && !x["message"].empty();
}

std::string envelope_fault(const answer& got) {
  const auto body = json::parse(got.body, nullptr, false);
  if (!body.is_object())
    return "the body is no JSON object";
  if (got.status == 200 && body.contains("openapi"))
    return {};
  for (const auto* key : {"result", "success", "errors", "messages"})
    if (!body.contains(key))
      return "the envelope lacks " + std::string{key};
  const auto& errors = body["errors"];
  if (!errors.is_array() || !body["messages"].is_array())
    return "errors or messages are no array";
  const auto succeeds = got.status < 400;
  if (body["success"] != succeeds || errors.empty() != succeeds)
    return "success, errors and status contradict each other";
  if (!succeeds && !body["result"].is_null())
    return "a failure has a result";
  if (!std::all_of(errors.begin(), errors.end(), is_error))
    return "an error has no code of 1000 or more, or no message";
  return {};
}

/// The classic savefile and pcapng begin with these.
bool is_capture(std::string_view body) {
  constexpr std::array<std::uint32_t, 3> magics{0xA1B2C3D4, 0xA1B23C4D,
                                                0x0A0D0D0A};
  std::uint32_t magic = 0;
  if (body.size() < sizeof magic)
    return false;
  std::memcpy(&magic, body.data(), sizeof magic);
  return std::find(magics.begin(), magics.end(), magic) != magics.end();
}

/// "bytes FIRST-LAST/SIZE" says how long the body is.
bool is_range_of(std::string_view range, std::size_t size) {
  constexpr std::string_view unit = "bytes ";
  std::size_t first = 0, last = 0;
  if (range.substr(0, unit.size()) != unit)
    return false;
  const auto* end = range.data() + range.size();
  const auto a = std::from_chars(range.data() + unit.size(), end, first);
  if (a.ptr == end || *a.ptr != '-')
    return false;
  const auto b = std::from_chars(a.ptr + 1, end, last);
  return b.ptr != end && *b.ptr == '/' && last >= first
         && last - first + 1 == size;
}

std::string capture_fault(const answer& got) {
  if (got.count("content-length") == 0)
    return {}; // To HEAD: what GET would stream.
  if (got.count("etag") != 1)
    return "a download has no ETag";
  if (got.status == 206 && got.has_body
      && !is_range_of(got.header("content-range"), got.body.size()))
    return "Content-Range contradicts the body";
  if (got.status == 200 && got.has_body && !is_capture(got.body))
    return "a download is no capture";
  return {};
}

std::string missing_header(const answer& got) {
  const auto lacks = [&got](int status, const char* name) {
    return got.status == status && got.count(name) == 0;
  };
  if (lacks(405, "allow"))
    return "405 without Allow";
  if (lacks(416, "content-range"))
    return "416 without Content-Range";
  if (lacks(429, "retry-after"))
    return "429 without Retry-After";
  return {};
}

} // namespace

std::string fault_of(const answer& got) {
  if (std::find(documented.begin(), documented.end(), got.status)
      == documented.end())
    return "status " + std::to_string(got.status) + " is not documented";
  if (auto why = missing_header(got); !why.empty())
    return why;
  if (got.status < 200 || got.status == 204 || got.status == 304 || got.streams)
    return {};
  const auto type = got.header("content-type");
  if (type == "application/json")
    return got.has_body ? envelope_fault(got) : "";
  if (got.status >= 400)
    return "an error is no JSON";
  if (type == "application/vnd.tcpdump.pcap" || type == "application/x-pcapng")
    return capture_fault(got);
  if (type.substr(0, 10) == "text/plain" && got.status == 200)
    return {}; // Metrics.
  return "an undocumented Content-Type: " + std::string{type};
}

} // namespace edgecap::fuzz

#include "tests/fuzz/campaign/grammar.hpp"

#include <nlohmann/json.hpp>

namespace edgecap::fuzz {

namespace {

using nlohmann::ordered_json;

template <std::size_t N>
using words = std::array<std::string_view, N>;

constexpr words<8> tokens{full_token,
                          "fuzz-token-read-right",
                          "fuzz-token-write-right",
                          "fuzz-token-download-right",
                          "fuzz-token-other-account",
                          "fuzz-token-of-nobody",
                          "x",
                          "\xC3\xA9\xFF"};

constexpr words<7> odd_ids{"",
                           "0",
                           "E0E0E0E0E0E0E0E0E0E0E0E0E0E0E0E0",
                           "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0",
                           "%65%30e0e0e0e0e0e0e0e0e0e0e0e0e0e0",
                           "..%2F..%2Fetc%2Fpasswd",
                           "ownership"};

constexpr words<12> odd_values{"",
                               "0",
                               "-1",
                               "1.5",
                               "1e9",
                               "18446744073709551616",
                               "%00",
                               "%zz",
                               "%",
                               "a%26b%3D",
                               "\xF0\x9F\x98\x80",
                               "true"};

constexpr words<10> ranges{
  "bytes=0-0",     "bytes=0-",
  "bytes=-1",      "bytes=24-99",
  "bytes=5-4",     "bytes=999999999-",
  "bytes=0-1,3-4", "bytes=18446744073709551615-18446744073709551616",
  "lines=1-2",     "bytes"};

constexpr words<6> etags{"*",    "\"a\"", "W/\"a\", \"b\"",
                         "\"\"", ",,,",   "\"unterminated"};

constexpr words<9> methods{"GET",    "HEAD",    "POST", "PUT", "PATCH",
                           "DELETE", "OPTIONS", "GET",  "POST"};

std::string job_id(dice& random) {
  switch (random.below(8)) {
  case 0:
  case 1:
  case 2:
    return std::string{ended_job};
  case 3:
  case 4:
    return std::string{running_job};
  case 5:
    return std::string(32, "0123456789abcdef"[random.below(16)]);
  default:
    return random.pick(odd_ids);
  }
}

std::string pcaps(dice& random) {
  const auto whose = random.one_in(20)   ? std::string{other_account}
                     : random.one_in(20) ? random.pick(odd_ids)
                                         : std::string{account};
  return "/client/v4/accounts/" + whose + "/pcaps";
}

// -- routes -------------------------------------------------------------------

struct asked {
  std::string method;
  std::string target;
  bool creates = false;
};

std::string list_query(dice& random) {
  constexpr words<5> names{"page", "per_page", "status", "type", "x"};
  constexpr words<6> values{"1", "2", "50", "success", "pending", "simple"};
  // A full page costs as much as a hundred other answers.
  std::string result = random.one_in(10) ? "?" : "?per_page=3";
  for (auto left = random.below(4); left > 0; --left) {
    result += '&' + random.pick(names) + '=';
    result += random.one_in(2) ? random.pick(values) : random.pick(odd_values);
  }
  return result;
}

asked ownership(dice& random) {
  constexpr words<4> rests{"", "/validate", "/e0", "/a/b"};
  return {random.pick(methods),
          pcaps(random) + "/ownership" + random.pick(rests)};
}

/// Mostly of the job that has a file.
asked download(dice& random) {
  constexpr words<6> formats{
    "", "", "?format=pcap", "?format=pcapng", "?format=x&format=y", "?format="};
  const auto id = random.one_in(4) ? job_id(random) : std::string{ended_job};
  return {random.one_in(4) ? "HEAD" : "GET",
          pcaps(random) + '/' + id + "/download" + random.pick(formats)};
}

asked on_job(dice& random) {
  const auto path = pcaps(random) + '/' + job_id(random);
  switch (random.below(8)) {
  case 0:
  case 1:
  case 2:
    return download(random);
  case 3:
    // What ends jobs is rare, so that the others find them.
    if (random.one_in(8))
      return {"PUT", path + "/stop"};
    if (random.one_in(8))
      return {"DELETE", path};
    return {random.one_in(2) ? "PUT" : "DELETE",
            pcaps(random) + '/' + random.pick(odd_ids) + "/stop"};
  case 4:
    return {"GET", path + "/stream"};
  default:
    return {"GET", path + (random.one_in(4) ? "?a=b" : "")};
  }
}

asked elsewhere(dice& random) {
  constexpr words<10> targets{"/healthz",
                              "/readyz",
                              "/metrics",
                              "/",
                              "/openapi.json",
                              "/client/v4",
                              "//",
                              "/healthz/?x=%20",
                              "/favicon.ico",
                              "/%2e%2e/%2e%2e/etc/passwd"};
  return {random.one_in(8) ? "HEAD" : "GET", random.pick(targets)};
}

asked route(dice& random) {
  switch (random.below(8)) {
  case 0:
  case 1:
    return {"GET", pcaps(random) + list_query(random)};
  case 2:
  case 3:
    return {"POST",
            pcaps(random) + (random.one_in(4) ? "?validate_only=true" : ""),
            true};
  case 4:
    return elsewhere(random);
  case 5:
    if (random.one_in(3))
      return ownership(random);
    [[fallthrough]];
  default:
    return on_job(random);
  }
}

// -- headers ------------------------------------------------------------------

void add_credentials(dice& random, request_text& to) {
  const auto good = !random.one_in(6);
  const auto token = good ? std::string{full_token} : random.pick(tokens);
  switch (random.below(good ? 4 : 8)) {
  case 0:
    to.headers.emplace_back("X-Auth-Email", "fuzz@example.com");
    to.headers.emplace_back("X-Auth-Key",
                            good ? "fuzz-key-all-rights" : "fuzz-key-wrong");
    break;
  case 4:
    to.headers.emplace_back("Authorization", "Basic " + token);
    break;
  case 5:
    to.headers.emplace_back("X-Auth-Key", token);
    break;
  case 6:
    break; // None.
  case 7:
    to.headers.emplace_back("Authorization",
                            "Bearer " + std::string(random.below(5000), 'x'));
    break;
  default:
    to.headers.emplace_back(
      random.one_in(8) ? "authorization" : "Authorization",
      (random.one_in(8) ? "bEARER   " : "Bearer ") + token);
  }
}

void add_optional_headers(dice& random, request_text& to) {
  constexpr words<4> keys{"fuzz-1", "fuzz-2", "", "\xC3\xBC"};
  constexpr words<8> clients{
    "192.0.2.7",   "2001:db8::1, 127.0.0.1",
    "unknown",     ", ,",
    "192.0.2.7:1", "[2001:db8::1]:80, ::ffff:192.0.2.1",
    "127.0.0.1",   "0x7f.1,\t%lo"};
  const auto sometimes = [&](const char* name, auto value) {
    if (random.one_in(6))
      to.headers.emplace_back(name, value());
  };
  // Where it means something, and elsewhere now and then.
  if (random.one_in(to.target.find("/download") != to.target.npos ? 2 : 12))
    to.headers.emplace_back("Range", random.pick(ranges));
  sometimes("If-Range", [&] { return random.pick(etags); });
  sometimes("If-None-Match", [&] { return random.pick(etags); });
  if (random.one_in(4))
    sometimes("If-Match", [&] { return random.pick(etags); });
  sometimes("If-Modified-Since",
            [] { return "Sun, 06 Nov 1994 08:49:37 GMT"; });
  sometimes("Idempotency-Key", [&] { return random.pick(keys); });
  sometimes("X-Request-Id", [&] { return random.pick(odd_values); });
  sometimes("X-Forwarded-For", [&] { return random.pick(clients); });
  sometimes("Traceparent", [] {
    return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  });
  sometimes("User-Agent", [] { return "fuzz/1 (\xA9; \"x\")"; });
  sometimes("Accept", [] { return "*/*;q=0.1, foo"; });
  sometimes("Cookie", [] { return ";=;"; });
  sometimes("Content-Type", [&] {
    return random.one_in(2) ? "application/json" : "text/plain; charset=";
  });
}

void add_framing(dice& random, request_text& to) {
  constexpr words<5> connections{"keep-alive", "Keep-Alive, x", "", "upgrade",
                                 ",,"};
  if (random.one_in(6))
    to.headers.emplace_back("Connection", random.pick(connections));
  if (!to.body.empty() && random.one_in(10))
    to.headers.emplace_back("Expect", "100-continue");
  if (!to.body.empty() || random.one_in(20))
    to.headers.emplace_back("Content-Length", std::to_string(to.body.size()));
}

// -- bodies -------------------------------------------------------------------

/// A value of any type for a field.
ordered_json odd_value(dice& random) {
  switch (random.below(12)) {
  case 0:
    return nullptr;
  case 1:
    return random.one_in(2);
  case 2:
    return -1;
  case 3:
    return 0;
  case 4:
    return 1.5;
  case 5:
    return 18446744073709551615u;
  case 6:
    return -9223372036854775807;
  case 7:
    return 1e300;
  case 8:
    return std::string(random.below(300), 'x');
  case 9:
    return ordered_json::array({1, "2", nullptr});
  case 10:
    return {{"a", {{"b", 1}}}};
  default:
    return "60\n\t\"\\\xC3\xBC";
  }
}

ordered_json make_filter(dice& random) {
  constexpr words<6> addresses{"192.0.2.1", "127.0.0.1",        "2001:db8::1",
                               "::",        "::ffff:192.0.2.1", "192.0.2.256"};
  auto result = ordered_json::object();
  // What matches nothing runs to its time limit.
  if (random.one_in(2))
    result["destination_port"] = 9;
  if (random.one_in(4))
    result["source_port"] = random.below(70000);
  if (random.one_in(3))
    result["protocol"] = random.one_in(2) ? 17 : random.below(300);
  if (random.one_in(4))
    result["source_address"] = random.pick(addresses);
  if (random.one_in(4))
    result["destination_address"] = random.pick(addresses);
  return result;
}

void break_field(dice& random, ordered_json& body) {
  constexpr words<10> fields{
    "type",        "system",     "time_limit", "packet_limit", "filter_v1",
    "offset_time", "byte_limit", "colo_name",  "x~/y",         ""};
  const auto field = random.pick(fields);
  if (random.one_in(3))
    body.erase(field);
  else if (field == "filter_v1" && body["filter_v1"].is_object())
    body["filter_v1"]["source_port"] = odd_value(random);
  else
    body[field] = odd_value(random);
}

/// Text that is no JSON, or not only.
void break_text(dice& random, std::string& text) {
  constexpr words<9> scraps{
    "{",      "\"",           "\\ud800",
    "\xFF",   "}}",           "[[[[[",
    "1e9999", "\xEF\xBB\xBF", "{\"type\":1,\"type\":2}"};
  switch (random.below(3)) {
  case 0:
    text.resize(random.below(text.size() + 1));
    break;
  case 1:
    text.insert(random.below(text.size() + 1), random.pick(scraps));
    break;
  default:
    text.insert(random.below(text.size() + 1), 1, random.byte());
  }
}

} // namespace

std::string make_body(dice& random) {
  ordered_json body{{"type", "simple"},
                    {"system", "magic-transit"},
                    {"time_limit", 1 + random.below(2)},
                    {"packet_limit", 1 + random.below(100)}};
  if (!random.one_in(3))
    body["filter_v1"] = make_filter(random);
  const auto faulty = !random.one_in(6);
  for (auto left = faulty ? 1 + random.below(3) : 0; left > 0; --left)
    break_field(random, body);
  auto text = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (faulty && random.one_in(3))
    break_text(random, text);
  return text;
}

request_text make_request(dice& random) {
  const auto what = route(random);
  request_text result;
  result.method = random.one_in(16) ? random.pick(methods) : what.method;
  result.target = what.target;
  result.headers.emplace_back("Host", "127.0.0.1:8787");
  add_credentials(random, result);
  add_optional_headers(random, result);
  // A body is allowed anywhere.
  if (what.creates || random.one_in(30))
    result.body = make_body(random);
  add_framing(random, result);
  return result;
}

} // namespace edgecap::fuzz

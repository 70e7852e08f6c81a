#include "config/schema.hpp"

#include <algorithm>
#include <chrono>

namespace edgecap::config {

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;
constexpr std::uint64_t pib = 1024 * 1024 * gib;

constexpr std::uint64_t max_count = 1'000'000'000;

constexpr std::uint64_t second = 1000;
constexpr std::uint64_t minute = 60 * second;
constexpr std::uint64_t hour = 60 * minute;
constexpr std::uint64_t day = 24 * hour;

// Longest IPv6 address in text.
constexpr std::size_t max_address_bytes = 45;

// Limits of what a file may list.
constexpr std::size_t max_trusted_proxies = 64;
constexpr std::size_t max_accounts = 1000;
constexpr std::size_t max_credentials = 100;
constexpr std::size_t max_systems = 64;
constexpr std::size_t max_interfaces = 256;
constexpr std::size_t max_labels = 64;

// PATH_MAX, without its end.
constexpr std::size_t max_path_bytes = 4095;

// -- variables of all integer types
// --------------------------------------------

// The ranges below fit the types, so that no cast loses anything.

template <class T>
void count(schema_visitor& v, std::string_view key, T& x, std::uint64_t min,
           std::uint64_t max) {
  x = static_cast<T>(v.amount(key, x, {amount_kind::count, min, max}));
}

template <class T>
void bytes(schema_visitor& v, std::string_view key, T& x, std::uint64_t min,
           std::uint64_t max) {
  x = static_cast<T>(v.amount(key, x, {amount_kind::bytes, min, max}));
}

void milliseconds(schema_visitor& v, std::string_view key, std::uint32_t& x,
                  std::uint64_t min, std::uint64_t max) {
  x = static_cast<std::uint32_t>(
    v.amount(key, x, {amount_kind::duration, min, max}));
}

void seconds(schema_visitor& v, std::string_view key, std::uint32_t& x,
             std::uint64_t min, std::uint64_t max) {
  x = static_cast<std::uint32_t>(
    v.amount(key, x * second, {amount_kind::duration, min, max, second})
    / second);
}

void duration(schema_visitor& v, std::string_view key,
              std::chrono::milliseconds& x, std::uint64_t min,
              std::uint64_t max) {
  auto value = v.amount(key, static_cast<std::uint64_t>(x.count()),
                        {amount_kind::duration, min, max});
  x = std::chrono::milliseconds{static_cast<std::int64_t>(value)};
}

void duration(schema_visitor& v, std::string_view key, std::chrono::seconds& x,
              std::uint64_t min, std::uint64_t max) {
  auto value = v.amount(key, static_cast<std::uint64_t>(x.count()) * second,
                        {amount_kind::duration, min, max, second});
  x = std::chrono::seconds{static_cast<std::int64_t>(value / second)};
}

// -- items
// -----------------------------------------------------------------------

template <class T>
T& item_at(std::vector<T>& items, std::size_t index) {
  return index < items.size() ? items[index] : items.emplace_back();
}

system_settings& system_of(std::vector<system_settings>& systems,
                           const std::string& name) {
  const auto found
    = std::find_if(systems.begin(), systems.end(),
                   [&](const auto& x) { return x.name == name; });
  if (found != systems.end())
    return *found;
  systems.push_back({name, {}});
  return systems.back();
}

std::vector<std::string> names_of(const std::vector<system_settings>& systems) {
  std::vector<std::string> result;
  for (const auto& x : systems)
    result.push_back(x.name);
  return result;
}

// -- sections
// --------------------------------------------------------------------

void visit(schema_visitor& v, listen_settings& x) {
  v.text("address", x.address, {max_address_bytes});
  count(v, "port", x.port, 0, 65535);
  v.flag("behind_proxy", x.behind_proxy);
  v.texts("trusted_proxies", x.trusted_proxies, max_trusted_proxies,
          {max_address_bytes});
}

void visit(schema_visitor& v, node_settings& x) {
  v.text("name", x.name, {64});
  v.text("colo", x.colo, {64});
  v.texts("labels", x.labels, max_labels, {128});
}

void visit(schema_visitor& v, fleet_settings& x) {
  v.text("address", x.address, {max_address_bytes});
  count(v, "port", x.port, 1, 65535);
  v.flag("behind_wall", x.behind_wall);
  count(v, "max_nodes", x.max_nodes, 1, 100000);
  duration(v, "lost_after", x.lost_after, 2 * second, 10 * minute);
  v.flag("correct_clocks", x.correct_clocks);
  v.text("certificate", x.certificate, {max_path_bytes});
  v.text("key", x.key, {max_path_bytes});
  v.text("authority", x.authority, {max_path_bytes});
  v.text("revoked", x.revoked, {max_path_bytes});
}

void visit(schema_visitor& v, role& x) {
  static const std::vector<std::string_view> words{"standalone", "collector",
                                                   "edge"};
  std::string word{words[static_cast<std::size_t>(x)]};
  v.choice("role", word, words);
  for (std::size_t i = 0; i < words.size(); ++i)
    if (word == words[i])
      x = static_cast<role>(i);
}

void visit(schema_visitor& v, credential_settings& x) {
  std::string token_hash;
  std::string key_hash;
  (x.email.empty() ? token_hash : key_hash) = x.secret_hash;
  v.text("name", x.name, {64, presence::required});
  v.text("token_hash", token_hash, {128, presence::optional, true});
  v.text("email", x.email, {254});
  v.text("key_hash", key_hash, {128, presence::optional, true});
  v.word_set("rights", {{"read", &x.allowed.read},
                        {"write", &x.allowed.write},
                        {"download", &x.allowed.download}});
  const bool is_pair = !x.email.empty() || !key_hash.empty();
  if (!token_hash.empty() && is_pair)
    v.reject("has both a token and a key: one credential is either",
             {"token_hash", "email", "key_hash"});
  else if (token_hash.empty() && (x.email.empty() || key_hash.empty()))
    v.reject("needs token_hash, or email with key_hash; make a hash with "
             "'edgecapd --hash-secret'",
             {"token_hash", "email", "key_hash"});
  x.secret_hash = token_hash.empty() ? key_hash : token_hash;
}

void visit(schema_visitor& v, account_settings& x) {
  v.text("id", x.id, {64, presence::required});
  v.text("name", x.name, {128});
  bytes(v, "max_size", x.max_bytes, 0, pib);
  count(v, "max_jobs", x.max_jobs, 0, max_count);
  v.list("credentials", {max_credentials, {}, "name"}, x.credentials.size(),
         [&](std::size_t i, schema_visitor& item) {
           visit(item, item_at(x.credentials, i));
         });
}

void visit(schema_visitor& v, interface_settings& x) {
  v.text("match", x.pattern, {64, presence::required});
  count(v, "sampling_one_in", x.sampling_one_in, 1, 1000000);
  bytes(v, "snaplen", x.snaplen_bytes, 1, 256 * kib);
  v.flag("promiscuous", x.promiscuous);
}

void visit(schema_visitor& v, system_settings& x, presence needed) {
  v.list("interfaces", {max_interfaces, "match", {}, needed},
         x.interfaces.size(), [&](std::size_t i, schema_visitor& item) {
           visit(item, item_at(x.interfaces, i));
         });
}

void visit(schema_visitor& v, capture_settings& x) {
  bytes(v, "ring", x.ring_bytes, mib, gib);
  milliseconds(v, "wake_interval", x.wake_interval_ms, 1, second);
  milliseconds(v, "batch_interval", x.batch_interval_ms, 0, second);
  bytes(v, "batch", x.batch_bytes, 4 * kib, 16 * mib);
  bytes(v, "credit", x.credit_bytes, 4 * kib, gib);
  duration(v, "idle_time", x.idle_time, 0, hour);
  count(v, "spare_rings", x.spare_rings, 0, 64);
  v.flag("classifier", x.classifier);
  count(v, "helper_threads", x.helper_threads, 1, 64);
}

void visit(schema_visitor& v, allowance_settings& x) {
  count(v, "requests", x.requests, 1, 1000000);
  seconds(v, "window", x.window_s, second, day);
}

void visit(schema_visitor& v, limit_settings& x) {
  v.section("collect", [&](schema_visitor& s) { visit(s, x.collect); });
  v.section("general", [&](schema_visitor& s) { visit(s, x.general); });
  seconds(v, "time_limit", x.time_limit_s, second, day);
  count(v, "packet_limit", x.packet_limit, 1, 1000000000);
  count(v, "running_jobs", x.running_jobs, 1, 10000);
  count(v, "streams_per_job", x.streams_per_job, 1, 1000);
  bytes(v, "account_size", x.account_bytes, 0, pib);
  count(v, "account_jobs", x.account_jobs, 0, max_count);
  bytes(v, "total_size", x.total_bytes, 0, pib);
  count(v, "total_jobs", x.total_jobs, 0, max_count);
}

void visit(schema_visitor& v, http_settings& x) {
  count(v, "threads", x.threads, 1, 64);
  count(v, "max_connections", x.max_connections, 1, 100000);
  count(v, "max_connections_per_address", x.max_connections_per_address, 1,
        100000);
  count(v, "max_in_flight", x.max_in_flight, 1, 100000);
  count(v, "max_downloads", x.max_downloads, 1, 100000);
  bytes(v, "max_target_size", x.max_target_bytes, 64, 8 * kib);
  bytes(v, "max_header_size", x.max_header_bytes, kib, mib);
  count(v, "max_headers", x.max_headers, 1, 1000);
  bytes(v, "max_body_size", x.max_body_bytes, kib, 16 * mib);
  bytes(v, "stream_buffer", x.stream_buffer_bytes, 64 * kib, gib);
  duration(v, "header_timeout", x.header_timeout, 100, 10 * minute);
  duration(v, "body_timeout", x.body_timeout, 100, 10 * minute);
  duration(v, "keep_alive_timeout", x.keep_alive_timeout, 100, hour);
  duration(v, "answer_timeout", x.answer_timeout, 100, 10 * second);
  duration(v, "stall_timeout", x.stall_timeout, 100, hour);
}

void visit(schema_visitor& v, auth_settings& x) {
  count(v, "max_failures", x.max_failures, 1, 10000);
  seconds(v, "window", x.window_s, second, day);
  seconds(v, "max_block", x.max_block_s, second, day);
  count(v, "max_addresses", x.max_addresses, 1, 1000000);
}

void visit(schema_visitor& v, storage_settings& x) {
  // PATH_MAX, less what the names of our files add.
  v.text("directory", x.directory, {3840});
  v.flag("pcapng", x.pcapng);
  v.flag("microseconds", x.microseconds);
  bytes(v, "min_free", x.min_free_bytes, 0, pib);
  bytes(v, "reserve", x.reserve_bytes, 0, gib);
  duration(v, "idempotency_lifetime", x.idempotency_lifetime, minute, 30 * day);
}

void visit(schema_visitor& v, retention_settings& x) {
  duration(v, "max_age", x.max_age, minute, 3650 * day);
  bytes(v, "max_size", x.max_bytes, mib, pib);
  count(v, "max_jobs", x.max_jobs, 1, max_count);
  duration(v, "download_hold", x.download_hold, 0, day);
  duration(v, "sweep_interval", x.sweep_interval, second, day);
}

void visit(schema_visitor& v, shutdown_settings& x) {
  duration(v, "grace_period", x.grace_period, 100, minute);
}

void visit(schema_visitor& v, log_settings& x) {
  v.choice("level", x.level, {"trace", "debug", "info", "warn", "error"});
  v.choice("format", x.format, {"json", "text"});
}

} // namespace

void visit(schema_visitor& v, settings& x) {
  visit(v, x.is);
  const auto needed_unless = [&](role exempt) {
    return x.is == exempt ? presence::optional : presence::required;
  };
  v.section("listen", [&](schema_visitor& s) { visit(s, x.listen); });
  v.section("node", [&](schema_visitor& s) { visit(s, x.node); });
  v.section("fleet", [&](schema_visitor& s) { visit(s, x.fleet); });
  v.list("accounts", {max_accounts, {}, "id", needed_unless(role::edge)},
         x.accounts.size(), [&](std::size_t i, schema_visitor& item) {
           visit(item, item_at(x.accounts, i));
         });
  v.named("systems", {max_systems, {}, {}}, names_of(x.systems),
          [&](const std::string& name, schema_visitor& item) {
            visit(item, system_of(x.systems, name),
                  needed_unless(role::collector));
          });
  v.section("capture", [&](schema_visitor& s) { visit(s, x.capture); });
  v.section("limits", [&](schema_visitor& s) { visit(s, x.limits); });
  v.section("http", [&](schema_visitor& s) { visit(s, x.http); });
  v.section("auth", [&](schema_visitor& s) { visit(s, x.auth); });
  v.section("storage", [&](schema_visitor& s) { visit(s, x.storage); });
  v.section("retention", [&](schema_visitor& s) { visit(s, x.retention); });
  v.section("shutdown", [&](schema_visitor& s) { visit(s, x.shutdown); });
  v.section("log", [&](schema_visitor& s) { visit(s, x.log); });
}

} // namespace edgecap::config

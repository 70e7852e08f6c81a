#include "config/daemon/options.hpp"

#include "actors/log_event.hpp"
#include "actors/version.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

namespace edgecap::daemon {

namespace {

unix_ns wall_clock() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch())
    .count();
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
    return "localhost";
  return name;
}

storage_limits to_storage_limits(const config::settings& from) {
  storage_limits to;
  to.min_free_bytes = from.storage.min_free_bytes;
  to.key_lifetime = from.storage.idempotency_lifetime;
  to.max_age = from.retention.max_age;
  to.max_bytes = from.retention.max_bytes;
  to.max_jobs = from.retention.max_jobs;
  to.download_hold = from.retention.download_hold;
  to.collect_window = std::chrono::seconds{from.limits.collect.window_s};
  to.sweep_interval = from.retention.sweep_interval;
  to.total = {from.limits.total_bytes, from.limits.total_jobs};
  to.each_account = {from.limits.account_bytes, from.limits.account_jobs};
  const auto own
    = [](std::uint64_t x, std::uint64_t of_all) { return x != 0 ? x : of_all; };
  for (const auto& x : from.accounts)
    if (x.max_bytes != 0 || x.max_jobs != 0)
      to.accounts[x.id] = {own(x.max_bytes, to.each_account.bytes),
                           own(x.max_jobs, to.each_account.jobs)};
  return to;
}

/// At once: an end in order would wait for whoever is gone. The next start
/// resolves what this process leaves, as after any crash.
void end_at_once(const std::string&, const std::string&) {
  std::_Exit(EXIT_FAILURE);
}

std::string node_name(const config::settings& from) {
  return from.node.name.empty() ? host_name() : from.node.name;
}

node_options to_node_options(const config::settings& from,
                             capture::source_factory open_source) {
  node_options to;
  to.name = node_name(from);
  to.source.ring_bytes = from.capture.ring_bytes;
  to.source.wake_interval_ms = from.capture.wake_interval_ms;
  to.source.batch_interval_ms = from.capture.batch_interval_ms;
  to.source.batch_bytes = from.capture.batch_bytes;
  to.open_source = std::move(open_source);
  to.list_interfaces = capture::list_interfaces;
  to.wall_clock = wall_clock;
  for (const auto& system : from.systems) {
    auto& rules = to.systems[system.name];
    for (const auto& x : system.interfaces)
      rules.push_back(
        {x.pattern, x.sampling_one_in, x.snaplen_bytes, x.promiscuous});
  }
  return to;
}

node_hello to_node_hello(const config::settings& from) {
  node_hello to;
  to.name = node_name(from);
  to.colo = from.node.colo;
  to.labels = from.node.labels;
  to.version = program_version;
  return to;
}

/// A collector need not capture itself.
bool has_interfaces(const config::settings& x) {
  return std::any_of(
    x.systems.begin(), x.systems.end(),
    [](const auto& system) { return !system.interfaces.empty(); });
}

} // namespace

engine_limits to_engine_limits(const config::settings& from) {
  engine_limits to;
  to.limiter.collect
    = {from.limits.collect.requests, from.limits.collect.window_s};
  to.limiter.general
    = {from.limits.general.requests, from.limits.general.window_s};
  to.storage = to_storage_limits(from);
  to.registry = {from.limits.running_jobs, from.limits.streams_per_job};
  return to;
}

engine_options to_engine_options(const config::settings& from,
                                 capture::source_factory open_source) {
  engine_options to;
  const auto limits = to_engine_limits(from);
  to.limiter = limits.limiter;
  static_cast<storage_limits&>(to.storage) = limits.storage;
  to.registry.running_jobs = limits.registry.running_jobs;
  to.registry.job.max_followers = limits.registry.max_followers;
  to.storage.directory = from.storage.directory;
  to.storage.reserve_bytes = from.storage.reserve_bytes;
  to.storage.pcapng = from.storage.pcapng;
  to.storage.precision = from.storage.microseconds
                           ? capture::time_precision::microseconds
                           : capture::time_precision::nanoseconds;
  to.storage.wall_clock = wall_clock;
  if (has_interfaces(from))
    to.node = to_node_options(from, std::move(open_source));
  to.fleet.own = to_node_hello(from);
  to.fleet.max_nodes = from.fleet.max_nodes;
  to.fleet.lost_after = from.fleet.lost_after;
  to.fleet.wall_clock = wall_clock;
  to.authority = from.fleet.authority;
  to.revoked = from.fleet.revoked;
  if (from.is == config::role::collector)
    to.reception = {{from.fleet.address, from.fleet.port}};
  for (const auto& system : from.systems)
    to.registry.systems.insert(system.name);
  to.registry.make_id = random_job_id;
  to.registry.job.credit_bytes = from.capture.credit_bytes;
  to.registry.job.correct_clocks = from.fleet.correct_clocks;
  to.registry.job.wall_clock = wall_clock;
  // What is left of the grace period is for sealing.
  to.registry.job.drain_timeout = from.shutdown.grace_period * 4 / 5;
  to.on_loss = end_at_once;
  return to;
}

edge_options to_edge_options(const config::settings& from,
                             capture::source_factory open_source) {
  edge_options to;
  to.node = to_node_options(from, std::move(open_source));
  to.uplink.hello = to_node_hello(from);
  to.uplink.host = from.fleet.address;
  to.uplink.port = from.fleet.port;
  to.certificate = from.fleet.certificate;
  to.key = from.fleet.key;
  to.on_loss = end_at_once;
  return to;
}

capture::live_capture::options
to_capture_options(const config::capture_settings& from) {
  capture::live_capture::options to;
  to.helper_threads = from.helper_threads;
  to.idle_time = from.idle_time;
  to.spare_rings = from.spare_rings;
  to.ring_bytes = from.ring_bytes;
  to.wake_interval_ms = from.wake_interval_ms;
  to.use_classifier = from.classifier;
  to.on_fallback = [](const capture::capture_error& why) {
    log_event{"capture-unclassified"}.with("reason", why.message).warn();
  };
  return to;
}

http::api_rules to_api_rules(const config::settings& from) {
  http::api_rules to;
  for (const auto& account : from.accounts)
    for (const auto& x : account.credentials)
      to.credentials.push_back({account.id, x.name, x.email, x.secret_hash,
                                x.allowed.read, x.allowed.write,
                                x.allowed.download});
  for (const auto& system : from.systems)
    to.systems.push_back(system.name);
  to.max_time_limit_s = from.limits.time_limit_s;
  to.max_packet_limit = from.limits.packet_limit;
  to.choose_nodes = from.is == config::role::collector;
  to.auth.max_failures = from.auth.max_failures;
  to.auth.window = std::chrono::seconds{from.auth.window_s};
  to.auth.max_block = std::chrono::seconds{from.auth.max_block_s};
  to.auth.max_addresses = from.auth.max_addresses;
  return to;
}

http::api_options to_api_options(const config::settings& from) {
  http::api_options to;
  static_cast<http::api_rules&>(to) = to_api_rules(from);
  to.answer_timeout = from.http.answer_timeout;
  to.stream_buffer_bytes = from.http.stream_buffer_bytes;
  to.version = program_version;
  return to;
}

http::front_options to_front_options(const config::settings& from) {
  http::front_options to;
  to.address = from.listen.address;
  to.port = from.listen.port;
  to.trusted_proxies = from.listen.trusted_proxies;
  to.threads = from.http.threads;
  to.max_connections = from.http.max_connections;
  to.max_connections_per_address = from.http.max_connections_per_address;
  to.max_in_flight = from.http.max_in_flight;
  to.max_downloads = from.http.max_downloads;
  to.max_target_bytes = from.http.max_target_bytes;
  to.max_header_bytes = from.http.max_header_bytes;
  to.max_headers = from.http.max_headers;
  to.max_body_bytes = from.http.max_body_bytes;
  to.header_timeout = from.http.header_timeout;
  to.body_timeout = from.http.body_timeout;
  to.keep_alive_timeout = from.http.keep_alive_timeout;
  to.stall_timeout = from.http.stall_timeout;
  return to;
}

} // namespace edgecap::daemon

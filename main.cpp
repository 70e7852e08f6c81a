// edgecapd: puts the parts together, waits for a signal, takes them apart.

#include "actors/edge.hpp"
#include "actors/log_event.hpp"
#include "actors/network.hpp"
#include "actors/system.hpp"
#include "actors/version.hpp"
#include "capture/live_source.hpp"
#include "config/command_line.hpp"
#include "config/daemon/configuration.hpp"
#include "config/daemon/logging.hpp"
#include "config/daemon/options.hpp"
#include "config/daemon/reloader.hpp"
#include "config/load.hpp"
#include "http/secret.hpp"
#include "http/server.hpp"

#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

namespace {

using namespace edgecap;
using namespace edgecap::daemon;

/// Scheduler threads of CAF. Actors never block, so two keep a capture host's
/// other cores for what it is there for.
constexpr std::size_t actor_threads = 2;

/// For answers under way, after the captures are sealed.
constexpr std::chrono::milliseconds answer_drain_timeout{2000};

/// Longest secret that --hash-secret reads, in bytes.
constexpr std::size_t max_secret_bytes = 4096;

/// Shortest one: what a machine makes is longer, what people think up is not.
constexpr std::size_t min_secret_bytes = 16;

/// The signals that end the process or have it read its configuration again,
/// blocked in every thread of ours so that only `sigwait` sees them. Before any
/// thread is made.
sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN); // a client that leaves is no reason to die
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// Connections, rings and runs each take a descriptor; the soft limit of 1024
/// is for programs that use select(2).
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Any hash of the configuration, to share its salt; empty if it has faults or
/// no hash, which is reported.
std::string some_hash_of(const std::string& file) {
  const auto loaded = config::load_file(file);
  std::cerr << config::report(loaded, file);
  if (!loaded.faults.empty())
    return {};
  if (loaded.values.accounts.empty()) {
    std::cerr << "edgecapd: " << file
              << " has no accounts to share a salt with: it is an edge's\n";
    return {};
  }
  return loaded.values.accounts.front().credentials.front().secret_hash;
}

/// @param salt_file a configuration to take a salt from; empty for a new one.
int hash_secret(const std::string& salt_file) {
  const auto like = salt_file.empty() ? std::string{} : some_hash_of(salt_file);
  if (like.empty() && !salt_file.empty())
    return config::exit_configuration;
  std::string secret;
  std::getline(std::cin, secret);
  if (secret.size() < min_secret_bytes || secret.size() > max_secret_bytes) {
    std::cerr << "edgecapd: the secret on standard input has " << secret.size()
              << " bytes; it must have " << min_secret_bytes << " to "
              << max_secret_bytes << " (make one with: openssl rand -hex 32)\n";
    return config::exit_configuration;
  }
  std::cout << http::hash_secret(secret, like) << '\n';
  return config::exit_ok;
}

/// Waits for the signal that is to end the process, and has something done at
/// each SIGHUP before.
void wait_for_end(const sigset_t& signals,
                  const std::function<void()>& hangup) {
  int signal = SIGHUP;
  for (sigwait(&signals, &signal); signal == SIGHUP; sigwait(&signals, &signal))
    hangup();
  log_event{"shutdown-begins"}.with("signal", strsignal(signal)).info();
}

int start_failed(const caf::error& why) {
  log_event{"start-failed"}.with("error", describe(why).text).error();
  return config::exit_configuration;
}

/// A clean end destroys everything; actors that refuse to die would be waited
/// for, so the process leaves without that.
void leave_if_left(std::size_t actors) {
  if (actors > 0)
    std::_Exit(EXIT_FAILURE);
}

/// Captures for a collector until a signal comes.
int serve_edge(const config::settings& settings, caf::actor_system& system,
               capture::source_factory open_source, const sigset_t& signals) {
  auto options = to_edge_options(settings, std::move(open_source));
  const auto name = options.node.name;
  auto edge = edge::start(system, std::move(options));
  if (!edge)
    return start_failed(edge.error());
  log_event{"edge-started"}
    .with("node", name)
    .with("version", program_version)
    .info();
  wait_for_end(signals, [] {
    log_event{"config-not-reloaded"}
      .with("error", "an edge reads its configuration when it starts")
      .warn();
  });
  const auto drained = (*edge)->drain(settings.shutdown.grace_period);
  const auto left = (*edge)->stop();
  log_event{"shutdown-ends"}
    .with("captures_drained", drained)
    .with("actors_left", left)
    .info();
  leave_if_left(left);
  return drained ? EXIT_SUCCESS : EXIT_FAILURE;
}

/// Serves the API until a signal comes.
/// @param file where the configuration is, which is followed.
int serve_api(const config::settings& settings, const std::string& file,
              caf::actor_system& system, capture::source_factory open_source,
              const sigset_t& signals) {
  auto engine = engine::start(
    system, to_engine_options(settings, std::move(open_source)));
  if (!engine)
    return start_failed(engine.error());
  auto& tree = **engine;
  auto api = std::make_unique<http::server>(
    system,
    http::engine_handles{tree.registry(), tree.limiter(), tree.storage(),
                         tree.fleet()},
    to_api_options(settings), to_front_options(settings));
  log_event{"listening"}
    .with("address", settings.listen.address)
    .with("port", api->port())
    .with("version", program_version)
    .info();
  reloader configuration{file, settings, tree, *api};
  wait_for_end(signals, [&] { configuration.reload(); });
  const auto sealed = tree.seal_jobs(settings.shutdown.grace_period);
  const auto answered = api->drain(answer_drain_timeout);
  const auto left = tree.stop();
  log_event{"shutdown-ends"}
    .with("captures_sealed", sealed)
    .with("answers_sent", answered)
    .with("actors_left", left)
    .info();
  api.reset();
  leave_if_left(left);
  return sealed ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve(const config::settings& settings, const std::string& file) {
  const auto signals = block_signals();
  raise_descriptor_limit();
  set_up_logging(settings.log);
  capture::live_capture captures{to_capture_options(settings.capture)};
  const auto open_source = [&captures](auto options, auto listener) {
    return captures.open(std::move(options), std::move(listener));
  };
  caf::actor_system_config caf_config;
  prepare(caf_config, actor_threads);
  if (settings.is != config::role::standalone)
    prepare_network(caf_config);
  caf::actor_system system{caf_config};
  return settings.is == config::role::edge
           ? serve_edge(settings, system, open_source, signals)
           : serve_api(settings, file, system, open_source, signals);
}

int run(const config::command_line& command) {
  using action = config::command_line::action;
  switch (command.wanted) {
  case action::help:
    std::cout << command.text;
    return config::exit_ok;
  case action::usage_error:
    std::cerr << command.text;
    return config::exit_usage;
  case action::version:
    std::cout << "edgecapd " << program_version << '\n';
    return config::exit_ok;
  case action::hash_secret:
    return hash_secret(command.salt_file);
  case action::check:
  case action::run:
    break;
  }
  const auto loaded = load_configuration(command.config_file);
  std::cerr << config::report(loaded, command.config_file);
  if (!loaded.faults.empty())
    return config::exit_configuration;
  return command.wanted == action::check
           ? int{config::exit_ok}
           : serve(loaded.values, command.config_file);
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(config::parse_command_line(argc, argv));
  } catch (const std::exception& x) {
    // What could not be set up at all: an address in use, no thread left.
    std::cerr << "edgecapd: " << x.what() << '\n';
    return config::exit_configuration;
  }
}

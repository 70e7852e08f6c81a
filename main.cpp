// edgecapd: puts the parts together, waits for a signal, takes them apart.

#include "actors/log_event.hpp"
#include "actors/system.hpp"
#include "capture/live_source.hpp"
#include "config/command_line.hpp"
#include "config/load.hpp"
#include "daemon/configuration.hpp"
#include "daemon/logging.hpp"
#include "daemon/options.hpp"
#include "daemon/reloader.hpp"
#include "http/secret.hpp"
#include "http/server.hpp"

#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
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

/// Any hash of the configuration, to share its salt; empty if it has faults,
/// which are reported.
std::string some_hash_of(const std::string& file) {
  const auto loaded = config::load_file(file);
  std::cerr << config::report(loaded, file);
  if (!loaded.faults.empty())
    return {};
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

/// Follows the configuration file at each SIGHUP. Returns the signal that is to
/// end the process.
int wait_for_end(const sigset_t& signals, reloader& configuration) {
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP)
      return signal;
    configuration.reload();
  }
}

int serve(const config::settings& settings, const std::string& file) {
  const auto signals = block_signals();
  raise_descriptor_limit();
  set_up_logging(settings.log);
  capture::live_capture captures{to_capture_options(settings.capture)};
  caf::actor_system_config caf_config;
  prepare(caf_config, actor_threads);
  caf::actor_system system{caf_config};
  auto engine = engine::start(
    system,
    to_engine_options(settings, [&captures](auto options, auto listener) {
      return captures.open(std::move(options), std::move(listener));
    }));
  if (!engine) {
    log_event{"start-failed"}
      .with("error", describe(engine.error()).text)
      .error();
    return config::exit_configuration;
  }
  auto& tree = **engine;
  auto api = std::make_unique<http::server>(
    system,
    http::engine_handles{tree.registry(), tree.limiter(), tree.storage()},
    to_api_options(settings), to_front_options(settings));
  log_event{"listening"}
    .with("address", settings.listen.address)
    .with("port", api->port())
    .with("version", EDGECAP_VERSION)
    .info();
  reloader configuration{file, settings, tree, *api};
  const auto signal = wait_for_end(signals, configuration);
  log_event{"shutdown-begins"}.with("signal", strsignal(signal)).info();
  const auto sealed = tree.seal_jobs(settings.shutdown.grace_period);
  const auto answered = api->drain(answer_drain_timeout);
  const auto left = tree.stop();
  log_event{"shutdown-ends"}
    .with("captures_sealed", sealed)
    .with("answers_sent", answered)
    .with("actors_left", left)
    .info();
  api.reset();
  // A clean end destroys everything; actors that refuse to die would be waited
  // for, so the process leaves without that.
  if (left > 0)
    std::_Exit(EXIT_FAILURE);
  return sealed ? EXIT_SUCCESS : EXIT_FAILURE;
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
    std::cout << "edgecapd " EDGECAP_VERSION "\n";
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

// edgecapd: puts the parts together, waits for a signal, takes them apart.

#include "actors/log_event.hpp"
#include "actors/system.hpp"
#include "capture/live_source.hpp"
#include "config/command_line.hpp"
#include "config/load.hpp"
#include "config/validate.hpp"
#include "http/secret.hpp"
#include "http/server.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "daemon/options.hpp"

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

void set_up_logging(const config::log_settings& from) {
  auto logger = spdlog::stderr_logger_mt("edgecapd");
  logger->set_level(spdlog::level::from_str(from.level));
  // `log_event` writes the members; times are UTC.
  const auto* pattern
    = from.format == "json"
        ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})"
        : "%Y-%m-%dT%H:%M:%S.%fZ %l %v";
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
    pattern, spdlog::pattern_time_type::utc));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

/// The signals that end the process, blocked in every thread of ours so that
/// only `sigwait` sees them. Before any thread is made.
sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN); // a client that leaves is no reason to die
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigset_t blocked = signals;
  sigaddset(&blocked, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
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

/// Loads the file and compares it with the host's interfaces.
config::loaded load(const std::string& file) {
  auto result = config::load_file(file);
  const auto present = capture::list_interfaces();
  if (present)
    config::add_faults(result,
                       config::missing_interfaces(result.values, *present));
  return result;
}

int serve(const config::settings& settings) {
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
  int signal = 0;
  sigwait(&signals, &signal);
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
  const auto loaded = load(command.config_file);
  std::cerr << config::report(loaded, command.config_file);
  if (!loaded.faults.empty())
    return config::exit_configuration;
  return command.wanted == action::check ? int{config::exit_ok}
                                         : serve(loaded.values);
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

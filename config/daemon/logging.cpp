#include "config/daemon/logging.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

namespace edgecap::daemon {

void set_up_logging(const config::log_settings& from) {
  auto logger = spdlog::stderr_logger_mt("edgecapd");
  // `log_event` writes the members; times are UTC.
  const auto* pattern
    = from.format == "json"
        ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})"
        : "%Y-%m-%dT%H:%M:%S.%fZ %l %v";
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
    pattern, spdlog::pattern_time_type::utc));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  set_log_level(from.level);
}

void set_log_level(const std::string& level) {
  spdlog::default_logger_raw()->set_level(spdlog::level::from_str(level));
}

} // namespace edgecap::daemon

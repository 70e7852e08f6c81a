#pragma once

#include <nlohmann/json.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgecap::test {

/// Takes what is logged during its life. Replaces spdlog's default logger: one
/// at a time, and nobody else may log in another thread.
class captured_log {
public:
  captured_log() : former_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
    auto logger = std::make_shared<spdlog::logger>("captured", sink);
    logger->set_pattern("{%v}");
    logger->set_level(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
  }

  ~captured_log() {
    spdlog::set_default_logger(former_);
  }

  captured_log(const captured_log&) = delete;
  captured_log& operator=(const captured_log&) = delete;

  /// The lines with this event id, parsed.
  std::vector<nlohmann::json> events(std::string_view id) const {
    std::vector<nlohmann::json> result;
    std::istringstream lines{text_.str()};
    for (std::string line; std::getline(lines, line);) {
      auto entry = nlohmann::json::parse(line);
      if (entry.at("event") == id)
        result.push_back(std::move(entry));
    }
    return result;
  }

  std::string text() const {
    return text_.str();
  }

private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> former_;
};

} // namespace edgecap::test

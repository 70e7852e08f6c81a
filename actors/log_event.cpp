#include "actors/log_event.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace edgecap {

namespace {

/// Longest value that is logged whole; longer ones are cut and say so.
constexpr std::size_t max_value_bytes = 2048;

std::string quoted(std::string_view value) {
  auto text = std::string{value.substr(0, max_value_bytes)};
  if (value.size() > max_value_bytes)
    text += "...";
  using json = nlohmann::json;
  // Values from outside may be no UTF-8; a log line must not fail on that.
  return json(std::move(text))
    .dump(-1, ' ', true, json::error_handler_t::replace);
}

} // namespace

log_event::log_event(std::string_view id) : text_("\"event\":") {
  text_ += quoted(id);
}

log_event& log_event::with(std::string_view name, std::string_view value) {
  return raw(name, quoted(value));
}

log_event& log_event::raw(std::string_view name, std::string_view value) {
  text_ += ',';
  text_ += quoted(name);
  text_ += ':';
  text_ += value;
  return *this;
}

void log_event::debug() const {
  spdlog::debug("{}", text_);
}

void log_event::info() const {
  spdlog::info("{}", text_);
}

void log_event::warn() const {
  spdlog::warn("{}", text_);
}

void log_event::error() const {
  spdlog::error("{}", text_);
}

} // namespace edgecap

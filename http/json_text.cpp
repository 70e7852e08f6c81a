#include "http/json_text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace edgecap::http {

namespace {

/// Whether a character stands for itself in a JSON string.
bool is_plain(char c) {
  return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

} // namespace

void append_string(std::string& to, std::string_view text) {
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    to += nlohmann::json(text).dump(-1, ' ', false,
                                    nlohmann::json::error_handler_t::replace);
    return;
  }
  to += '"';
  to += text;
  to += '"';
}

object_text::object_text(std::string& to) : to_(to) {
  to_ += '{';
}

object_text::~object_text() {
  to_ += '}';
}

object_text& object_text::add(std::string_view name, std::string_view text) {
  append_string(begin(name), text);
  return *this;
}

object_text& object_text::add(std::string_view name, std::uint64_t number) {
  begin(name) += std::to_string(number);
  return *this;
}

object_text& object_text::add(std::string_view name,
                              const std::optional<std::uint64_t>& number) {
  return number ? add(name, *number) : add_null(name);
}

object_text& object_text::add_null(std::string_view name) {
  begin(name) += "null";
  return *this;
}

std::string& object_text::begin(std::string_view name) {
  to_ += empty_ ? "\"" : ",\"";
  to_ += name;
  to_ += "\":";
  empty_ = false;
  return to_;
}

} // namespace edgecap::http

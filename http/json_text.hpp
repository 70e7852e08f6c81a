#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgecap::http {

/// Appends `text` as a JSON string. Bytes that are no UTF-8 become U+FFFD.
void append_string(std::string& to, std::string_view text);

/// Writes one JSON object at the end of a string, member by member: a list of
/// captures has thousands of them, and a tree of values would cost more than
/// all the rest of the answer. Names are written as they are.
class object_text {
public:
  explicit object_text(std::string& to);

  object_text(const object_text&) = delete;
  object_text& operator=(const object_text&) = delete;

  /// Ends the object.
  ~object_text();

  object_text& add(std::string_view name, std::string_view text);
  object_text& add(std::string_view name, std::uint64_t number);

  /// Unknown is null, never 0.
  object_text& add(std::string_view name,
                   const std::optional<std::uint64_t>& number);

  object_text& add_null(std::string_view name);

  /// Begins a member whose value the caller writes, at the end of the string
  /// that is returned.
  std::string& begin(std::string_view name);

private:
  std::string& to_;
  bool empty_ = true;
};

} // namespace edgecap::http

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace edgecap {

/// One line of the log: an event id that a program can look for, and fields.
/// Values are escaped, so that nothing from outside can forge a field or a
/// line. The line goes to spdlog's default logger as the members of a JSON
/// object; `main.cpp` chooses the pattern around it. Usable on any thread.
///
///     log_event{"job-finished"}.with("job", id).with("packets", n).info();
class log_event {
public:
  /// @param id Kebab-case, stable: people grep for it.
  explicit log_event(std::string_view id);

  log_event& with(std::string_view name, std::string_view value);

  template <class Integer,
            class = std::enable_if_t<std::is_integral_v<Integer>>>
  log_event& with(std::string_view name, Integer value) {
    if constexpr (std::is_same_v<Integer, bool>)
      return raw(name, value ? "true" : "false");
    else
      return raw(name, std::to_string(value));
  }

  void debug() const;
  void info() const;
  void warn() const;
  void error() const;

  /// The members, as they are logged.
  const std::string& text() const {
    return text_;
  }

private:
  log_event& raw(std::string_view name, std::string_view value);

  std::string text_;
};

} // namespace edgecap

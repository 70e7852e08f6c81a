#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace edgecap::simulation {

/// Simulated time since a run began.
using instant = std::chrono::nanoseconds;

/// What happened in a run, as a hash of all and the last lines. Nothing that
/// differs between two processes (an address, a descriptor) may be noted.
class trace {
public:
  /// Lines that are kept for a report.
  static constexpr std::size_t max_kept = 120;

  /// @param print Print every line at once.
  explicit trace(bool print) : print_(print) {}

  /// Notes an event.
  /// @param subject Who does or is done to, `what` what; both literals or
  ///        otherwise immortal.
  void note(instant now, const char* subject, std::uint64_t number,
            const char* what, std::uint64_t value = 0,
            const std::string& text = {});

  std::uint64_t hash() const {
    return hash_;
  }

  std::uint64_t events() const {
    return events_;
  }

  bool prints() const {
    return print_;
  }

  /// The last lines, oldest first.
  std::string tail() const;

private:
  struct line {
    instant time;
    const char* subject;
    std::uint64_t number;
    const char* what;
    std::uint64_t value;
    std::string text;
  };

  static std::string rendered(const line& x);
  void mix(std::uint64_t x);
  void mix(const char* x);

  bool print_;
  std::uint64_t hash_ = 14695981039346656037u;
  std::uint64_t events_ = 0;
  std::deque<line> kept_;
};

} // namespace edgecap::simulation

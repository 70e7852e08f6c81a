#pragma once

#include "capture/packet_batch.hpp"
#include "tests/simulation/trace.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace edgecap::simulation {

/// Simulated time, the date that clocks show, and what is to happen when. It
/// goes on while no process runs.
class timeline {
public:
  instant now() const {
    return now_;
  }

  /// The date of the host's clock. No two calls in a row get the same, so that
  /// a date can tell two jobs apart.
  capture::unix_ns date() {
    const auto result = epoch + now_.count() + offset_ + ++calls_;
    latest_ = std::max(latest_, result);
    return result;
  }

  /// The latest date that there may ever have been.
  capture::unix_ns latest_date() const {
    return std::max(latest_, epoch + now_.count() + offset_ + calls_);
  }

  /// By how much the clock was set back, in all.
  std::chrono::nanoseconds set_back() const {
    return set_back_;
  }

  /// Whether it was ever set: dates then do not say how much time has passed.
  bool was_set() const {
    return was_set_;
  }

  /// Sets the host's clock, forward or back.
  void jump(std::chrono::nanoseconds by) {
    was_set_ = true;
    latest_ = latest_date();
    offset_ += by.count();
    if (by.count() < 0)
      set_back_ -= by;
  }

  /// Has something happen later. Equal times keep their order.
  void at(instant when, std::function<void()> what) {
    events_.emplace(std::max(when, now_), std::move(what));
  }

  void in(instant delay, std::function<void()> what) {
    at(now_ + delay, std::move(what));
  }

  /// When the next thing happens, if anything.
  std::optional<instant> next() const {
    if (events_.empty())
      return std::nullopt;
    return events_.begin()->first;
  }

  /// Lets time pass. @pre `to` is not before `now`.
  void advance(instant to) {
    now_ = to;
  }

  /// Has happen what is due.
  void run_due() {
    while (!events_.empty() && events_.begin()->first <= now_) {
      auto what = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      what();
    }
  }

private:
  /// 2026-01-01T00:00:00Z.
  static constexpr capture::unix_ns epoch = 1'767'225'600'000'000'000;

  instant now_{0};
  std::int64_t offset_ = 0;
  std::int64_t calls_ = 0;
  capture::unix_ns latest_ = 0;
  std::chrono::nanoseconds set_back_{0};
  bool was_set_ = false;
  std::multimap<instant, std::function<void()>> events_;
};

} // namespace edgecap::simulation

#pragma once

#include "http/message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace edgecap::http {

/// Bounds of an auth_throttle; see `auth` in docs/configuration.md.
struct throttle_options {
  std::uint32_t max_failures = 10; ///< At least 1.
  std::chrono::milliseconds window{300000};
  std::chrono::milliseconds max_block{60000};
  std::uint32_t max_addresses = 16384; ///< At least 1.
  /// The time; tests have their own.
  std::function<std::chrono::steady_clock::time_point()> now
    = std::chrono::steady_clock::now;
};

/// Slows down guessing: remembers which clients fail to authenticate, and for
/// how long they are to be turned away unheard. Nothing waits and nothing is
/// held for them. Clients are counted by `client_network`. A success changes
/// nothing, or whoever has one credential could guess at others without end.
/// Usable on any thread.
class auth_throttle {
public:
  explicit auth_throttle(throttle_options options);

  /// The first block; each further failure doubles it, up to `max_block`.
  static constexpr std::chrono::milliseconds first_block{1000};

  /// How long the client has yet to wait; 0 if it may try.
  std::chrono::milliseconds wait_of(std::string_view address);

  /// Notes a failure. Returns the block that it caused; 0 if none.
  std::chrono::milliseconds failed(std::string_view address);

  /// Clients that are remembered.
  std::size_t size() const;

private:
  using time_point = std::chrono::steady_clock::time_point;

  struct record {
    std::string network;
    std::uint32_t failures = 0;
    time_point blocked_until;
    time_point forgotten_at;
  };
  using records = std::list<record>;

  record& touch(const std::string& network, time_point now);
  std::chrono::milliseconds block_after(std::uint32_t failures) const;

  const throttle_options options_;
  mutable std::mutex mutex_; ///< Guards the next.
  records records_;          ///< The client that failed last is first.
  std::unordered_map<std::string, records::iterator> by_network_;
};

/// 429 with `Retry-After` (whole seconds, rounded up) and `retry-after-ms`.
/// @param wait more than 0.
response too_many_failures_response(std::chrono::milliseconds wait);

} // namespace edgecap::http

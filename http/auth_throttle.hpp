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
struct throttle_limits {
  std::uint32_t max_failures = 10; ///< At least 1.
  std::chrono::milliseconds window{300000};
  std::chrono::milliseconds max_block{60000};
  std::uint32_t max_addresses = 16384; ///< At least 1.
};

/// Slows down guessing: remembers which clients fail to authenticate, and for
/// how long they are to be turned away unheard. Nothing waits and nothing is
/// held for them. Clients are counted by `client_network`. A success changes
/// nothing, or whoever has one credential could guess at others without end.
/// Usable on any thread.
class auth_throttle {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using clock_function = std::function<time_point()>;

  /// @param now the time; tests have their own.
  explicit auth_throttle(throttle_limits limits,
                         clock_function now = std::chrono::steady_clock::now);

  /// The first block; each further failure doubles it, up to `max_block`.
  static constexpr std::chrono::milliseconds first_block{1000};

  /// How long the client has yet to wait; 0 if it may try.
  std::chrono::milliseconds wait_of(std::string_view address);

  /// Notes a failure. Returns the block that it caused; 0 if none.
  std::chrono::milliseconds failed(std::string_view address);

  /// Keeps to other limits from now on. Blocks that last are cut to a shorter
  /// `max_block`; of too many clients, each new one costs two old ones.
  void set_limits(const throttle_limits& limits);

  /// Clients that are remembered.
  std::size_t size() const;

private:
  struct record {
    std::string network;
    std::uint32_t failures = 0;
    time_point block_began;                   ///< By the last failure but those
    std::chrono::milliseconds block_lasts{0}; ///< that came during the block.
  };
  using records = std::list<record>;

  record& touch(const std::string& network, time_point now);
  time_point blocked_until(const record& x) const;
  std::chrono::milliseconds block_after(std::uint32_t failures) const;

  const clock_function now_;
  mutable std::mutex mutex_; ///< Guards the next.
  throttle_limits limits_;
  records records_; ///< The client that failed last is first.
  std::unordered_map<std::string, records::iterator> by_network_;
};

/// 429 with `Retry-After` (whole seconds, rounded up) and `retry-after-ms`.
/// @param wait more than 0.
response too_many_failures_response(std::chrono::milliseconds wait);

} // namespace edgecap::http

#pragma once

#include "actors/allowances.hpp"
#include "actors/interfaces.hpp"

#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace edgecap {

/// Says what is wrong with the options, if anything.
caf::error validate(const rate_limiter_options& options);

/// State of the RATE LIMITER. Each window slides exactly: "one per minute" must
/// also hold over the edge of a fixed window, so the moments are remembered.
struct rate_limiter_state {
  using clock_type = caf::actor_clock;

  /// An operation that was granted.
  struct use {
    clock_type::time_point at;
    std::uint64_t ticket = 0; ///< 0 if it is of an earlier process.
  };

  /// The operations that still count, oldest first.
  struct window {
    std::deque<use> used;
  };

  // -- initialization ---------------------------------------------------------

  explicit rate_limiter_state(rate_limiter_actor::pointer self);

  void init(const rate_limiter_options& options);

  /// Grants other allowances from now on. What accounts have used counts
  /// against these, as far as it is remembered.
  caf::result<caf::ok_atom> set_limits(const rate_limiter_options& options);

  // -- operations -------------------------------------------------------------

  /// Takes one operation, or says how long to wait.
  admission acquire(const std::string& account, allowance kind);

  /// Gives the operation back that was granted with this ticket, unless it
  /// counts no more.
  void refund(const std::string& account, allowance kind, std::uint64_t ticket);

  /// Takes over operations of an earlier process, oldest first.
  void resume(const std::vector<spent_allowance>& collects);

  /// Drops accounts that nothing is remembered of.
  void forget_idle();

  // -- member variables -------------------------------------------------------

  rate_limiter_actor::pointer self;
  rate_limiter_options options;
  std::unordered_map<std::string, window> collect;
  std::unordered_map<std::string, window> general;
  std::uint64_t last_ticket = 0;

  static inline const char* name = "rate-limiter";

private:
  std::unordered_map<std::string, window>& windows_of(allowance kind);
  const allowance_options& options_of(allowance kind) const;
  void expire(window& x, std::chrono::seconds length) const;
};

/// Admits operations of accounts. Quits at once on invalid options.
rate_limiter_actor::behavior_type
rate_limiter(rate_limiter_actor::stateful_pointer<rate_limiter_state> self,
             rate_limiter_options options);

} // namespace edgecap

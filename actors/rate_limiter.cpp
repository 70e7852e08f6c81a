#include "actors/rate_limiter.hpp"

#include "actors/actor_support.hpp"

#include <algorithm>

namespace edgecap {

namespace {

/// How often accounts without a memory are dropped.
constexpr std::chrono::seconds forget_interval{60};

/// Longest window that may be configured.
constexpr std::uint32_t max_window_s = 86400;

/// The same in nanoseconds.
constexpr std::uint64_t max_window_ns = max_window_s * 1'000'000'000ull;

/// Largest allowance; also the most moments remembered for an account.
constexpr std::uint32_t max_limit = 1'000'000;

caf::error check(const char* which, const allowance_options& x) {
  if (x.limit < 1 || x.limit > max_limit || x.window_s < 1
      || x.window_s > max_window_s)
    return make_error(errc::invalid_options,
                      std::string{"rate limiter: allowance "} + which
                        + " is out of range");
  return caf::none;
}

} // namespace

caf::error validate(const rate_limiter_options& options) {
  if (auto err = check("collect", options.collect))
    return err;
  return check("general", options.general);
}

rate_limiter_state::rate_limiter_state(rate_limiter_actor::pointer ptr)
  : self(ptr) {}

void rate_limiter_state::init(const rate_limiter_options& opts) {
  options = opts;
}

caf::result<caf::ok_atom>
rate_limiter_state::set_limits(const rate_limiter_options& opts) {
  if (auto err = validate(opts))
    return err;
  options = opts;
  return caf::ok_atom_v;
}

admission rate_limiter_state::acquire(const std::string& account,
                                      allowance kind) {
  const auto& opts = options_of(kind);
  const auto length = std::chrono::seconds{opts.window_s};
  auto& used = windows_of(kind)[account].used;
  expire(windows_of(kind)[account], length);
  admission result;
  result.limit = opts.limit;
  result.window_s = opts.window_s;
  const auto now = self->clock().now();
  if (used.size() < opts.limit) {
    used.push_back({now, ++last_ticket});
    result.granted = true;
    result.ticket = last_ticket;
    result.remaining = opts.limit - static_cast<std::uint32_t>(used.size());
    return result;
  }
  // The one whose end makes room: not the oldest if the limit was higher.
  const auto& next = used[used.size() - opts.limit];
  // Rounded up, so that whoever waits exactly this long is admitted.
  const auto wait
    = std::chrono::ceil<std::chrono::milliseconds>(next.at + length - now);
  result.retry_after_ms = static_cast<std::uint64_t>(wait.count());
  return result;
}

void rate_limiter_state::refund(const std::string& account, allowance kind,
                                std::uint64_t ticket) {
  auto& windows = windows_of(kind);
  const auto i = windows.find(account);
  if (i == windows.end())
    return;
  auto& used = i->second.used;
  const auto found = std::find_if(
    used.begin(), used.end(), [&](const use& x) { return x.ticket == ticket; });
  if (found != used.end())
    used.erase(found);
}

void rate_limiter_state::resume(const std::vector<spent_allowance>& collects) {
  const auto now = self->clock().now();
  const auto length = std::chrono::seconds{options.collect.window_s};
  for (const auto& x : collects) {
    auto& account = collect[x.account_id];
    const std::chrono::nanoseconds age{static_cast<std::int64_t>(
      std::min<std::uint64_t>(x.age_ns, max_window_ns))};
    account.used.push_back({now - age, 0});
    // The youngest decide; there are more if the limit was higher.
    if (account.used.size() > options.collect.limit)
      account.used.pop_front();
    expire(account, length);
  }
}

void rate_limiter_state::forget_idle() {
  for (const auto kind : {allowance::collect, allowance::general}) {
    auto& windows = windows_of(kind);
    const auto length = std::chrono::seconds{options_of(kind).window_s};
    for (auto i = windows.begin(); i != windows.end();) {
      expire(i->second, length);
      i = i->second.used.empty() ? windows.erase(i) : std::next(i);
    }
  }
}

std::unordered_map<std::string, rate_limiter_state::window>&
rate_limiter_state::windows_of(allowance kind) {
  return kind == allowance::collect ? collect : general;
}

const allowance_options& rate_limiter_state::options_of(allowance kind) const {
  return kind == allowance::collect ? options.collect : options.general;
}

void rate_limiter_state::expire(window& x, std::chrono::seconds length) const {
  const auto horizon = self->clock().now() - length;
  while (!x.used.empty() && x.used.front().at <= horizon)
    x.used.pop_front();
}

rate_limiter_actor::behavior_type
rate_limiter(rate_limiter_actor::stateful_pointer<rate_limiter_state> self,
             rate_limiter_options options) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return rate_limiter_actor::behavior_type::make_empty_behavior();
  }
  self->state.init(options);
  self->delayed_send(self, forget_interval, atom::tick_v);
  return {
    [self](atom::acquire, const std::string& account, allowance kind) {
      return self->state.acquire(account, kind);
    },
    [self](atom::refund, const std::string& account, allowance kind,
           std::uint64_t ticket) { self->state.refund(account, kind, ticket); },
    [self](atom::resume, const std::vector<spent_allowance>& collects) {
      self->state.resume(collects);
    },
    [self](atom::limits, const rate_limiter_options& limits) {
      return self->state.set_limits(limits);
    },
    [self](atom::tick) {
      self->state.forget_idle();
      self->delayed_send(self, forget_interval, atom::tick_v);
    },
  };
}

} // namespace edgecap

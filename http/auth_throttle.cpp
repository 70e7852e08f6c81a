#include "http/auth_throttle.hpp"

#include "http/client_network.hpp"
#include "http/errors.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::http {

using std::chrono::milliseconds;

namespace {

/// Clients that are forgotten for a new one, at most: after a lower limit the
/// others go one by one, so that nobody waits for thousands.
constexpr int max_forgotten_at_once = 2;

} // namespace

auth_throttle::auth_throttle(throttle_limits limits, clock_function now)
  : now_(std::move(now)), limits_(limits) {}

milliseconds auth_throttle::wait_of(std::string_view address) {
  const auto network = client_network(address);
  const auto now = now_();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_network_.find(network);
  if (found == by_network_.end() || blocked_until(*found->second) <= now)
    return milliseconds{0};
  return std::chrono::ceil<milliseconds>(blocked_until(*found->second) - now);
}

milliseconds auth_throttle::failed(std::string_view address) {
  const auto network = client_network(address);
  const auto now = now_();
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& client = touch(network, now);
  ++client.failures;
  // A request that was let in before the block began, on another thread: it
  // counts, but does not prolong what its like has caused.
  if (blocked_until(client) > now)
    return milliseconds{0};
  client.block_began = now;
  client.block_lasts = block_after(client.failures);
  return client.block_lasts;
}

void auth_throttle::set_limits(const throttle_limits& limits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limits_ = limits;
}

std::size_t auth_throttle::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return records_.size();
}

/// The client's record, as the youngest. Makes room for it if need be.
auth_throttle::record& auth_throttle::touch(const std::string& network,
                                            time_point now) {
  const auto found = by_network_.find(network);
  if (found != by_network_.end()) {
    records_.splice(records_.begin(), records_, found->second);
    auto& client = records_.front();
    if (blocked_until(client) + limits_.window <= now)
      client = {network, 0, {}, {}};
    return client;
  }
  for (auto n = 0;
       n < max_forgotten_at_once && records_.size() >= limits_.max_addresses;
       ++n) {
    by_network_.erase(records_.back().network);
    records_.pop_back();
  }
  records_.push_front({network, 0, {}, {}});
  by_network_.emplace(network, records_.begin());
  return records_.front();
}

auth_throttle::time_point auth_throttle::blocked_until(const record& x) const {
  return x.block_began + std::min(x.block_lasts, limits_.max_block);
}

milliseconds auth_throttle::block_after(std::uint32_t failures) const {
  if (failures < limits_.max_failures)
    return milliseconds{0};
  auto block = first_block;
  for (auto more = failures - limits_.max_failures;
       more > 0 && block < limits_.max_block; --more)
    block *= 2;
  return std::min(block, limits_.max_block);
}

response too_many_failures_response(milliseconds wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait);
  auto result = failure_response(
    {429, code::too_many_failures,
     "Too many requests of this address failed to authenticate", ""});
  result.headers.emplace_back("Retry-After", std::to_string(seconds.count()));
  result.headers.emplace_back("retry-after-ms", std::to_string(wait.count()));
  return result;
}

} // namespace edgecap::http

#include "http/auth_throttle.hpp"

#include "http/client_network.hpp"
#include "http/errors.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::http {

using std::chrono::milliseconds;

auth_throttle::auth_throttle(throttle_options options)
  : options_(std::move(options)) {}

milliseconds auth_throttle::wait_of(std::string_view address) {
  const auto network = client_network(address);
  const auto now = options_.now();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_network_.find(network);
  if (found == by_network_.end() || found->second->blocked_until <= now)
    return milliseconds{0};
  return std::chrono::ceil<milliseconds>(found->second->blocked_until - now);
}

milliseconds auth_throttle::failed(std::string_view address) {
  const auto network = client_network(address);
  const auto now = options_.now();
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& client = touch(network, now);
  // A request that was let in before the block began, on another thread: it
  // counts, but does not prolong what its like has caused.
  const auto is_blocked = client.blocked_until > now;
  ++client.failures;
  const auto block
    = is_blocked ? milliseconds{0} : block_after(client.failures);
  if (!is_blocked)
    client.blocked_until = now + block;
  client.forgotten_at = client.blocked_until + options_.window;
  return block;
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
    if (records_.front().forgotten_at <= now)
      records_.front() = {network, 0, {}, {}};
    return records_.front();
  }
  if (records_.size() >= options_.max_addresses) {
    by_network_.erase(records_.back().network);
    records_.pop_back();
  }
  records_.push_front({network, 0, {}, {}});
  by_network_.emplace(network, records_.begin());
  return records_.front();
}

milliseconds auth_throttle::block_after(std::uint32_t failures) const {
  if (failures < options_.max_failures)
    return milliseconds{0};
  auto block = first_block;
  for (auto more = failures - options_.max_failures;
       more > 0 && block < options_.max_block; --more)
    block *= 2;
  return std::min(block, options_.max_block);
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

#include "capture/tap_set.hpp"

#include <utility>

namespace edgecap::capture {

tap_set::tap_set(interface_tap::services with) : with_(std::move(with)) {}

std::shared_ptr<interface_tap> tap_set::find(const source_options& what) {
  auto& place = taps_[what.interface];
  // A renamed interface keeps its tap, but not for newcomers.
  if (place && !place->current())
    std::shared_ptr {
      place
      } -> end_when_left();
  auto& found = taps_[what.interface];
  if (found)
    return found;
  auto with = with_;
  with.ending = [this](const auto& tap) {
    const auto pos = taps_.find(tap->interface());
    if (pos != taps_.end() && pos->second == tap)
      taps_.erase(pos);
  };
  with.closed = [this](const auto&) {
    std::lock_guard guard{mutex_};
    --open_;
    changed_.notify_all();
  };
  found = std::make_shared<interface_tap>(what, std::move(with));
  {
    std::lock_guard guard{mutex_};
    ++open_;
  }
  found->start();
  return found;
}

void tap_set::close() {
  with_.loop->wake(shared_from_this());
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return open_ == 0; });
}

void tap_set::on_wake() {
  for (const auto& [name, tap] : std::unordered_map{taps_})
    tap->end_when_left();
}

} // namespace edgecap::capture

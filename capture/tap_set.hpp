#pragma once

#include "capture/helper_pool.hpp"
#include "capture/interface_tap.hpp"
#include "capture/packet_source.hpp"
#include "capture/reactor.hpp"

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace edgecap::capture {

/// The taps of a process: one for each interface that somebody wants or wanted
/// a moment ago.
class tap_set : public reactor::client,
                public std::enable_shared_from_this<tap_set> {
public:
  /// @param with What every tap needs, but for `ending` and `closed`.
  explicit tap_set(interface_tap::services with);

  /// The tap to join; opens it if there is none. The reactor's thread.
  std::shared_ptr<interface_tap> find(const source_options& what);

  /// Closes all taps and waits until they are closed. Any thread but the
  /// reactor's.
  /// @pre Nobody is subscribed, and nobody calls `find` any more.
  void close();

  void on_wake() override;

  void on_ready(std::uint32_t) override {}

  void on_timer() override {}

private:
  const interface_tap::services with_;
  /// By name of the interface. The reactor's thread alone.
  std::unordered_map<std::string, std::shared_ptr<interface_tap>> taps_;

  std::mutex mutex_; // Guards the next one.
  std::condition_variable changed_;
  std::size_t open_ = 0; ///< Also those that are no longer in `taps_`.
};

} // namespace edgecap::capture

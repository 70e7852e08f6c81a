#pragma once

#include "capture/packet_batch.hpp"
#include "tests/support/netns.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace edgecap::test {

/// The kernel's clock for packets.
capture::unix_ns unix_now();

/// Lets a tun interface receive packets to `wanted_port` without a pause,
/// numbered from 0, and notes when each came in. A tun takes a packet in the
/// sender's own thread: it has been through every tap when the next one is
/// made, and was stamped between the two times noted for it.
class steady_traffic {
public:
  struct span {
    capture::unix_ns from = 0;
    capture::unix_ns to = 0;
  };

  /// Begins.
  explicit steady_traffic(const tun_interface& tun);

  ~steady_traffic();

  /// Packets that came in so far.
  std::uint64_t sent() const {
    return sent_;
  }

  /// Waits until a packet that was not yet begun has come in.
  void pass_another() const;

  /// Ends it. An interface that takes no more packets has ended it by itself.
  /// @return When each packet came in.
  const std::vector<span>& end();

private:
  void run(const tun_interface& tun);

  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::vector<span> spans_; // The thread's, while it runs.
  std::thread thread_;      // Last, since it uses the others.
};

} // namespace edgecap::test

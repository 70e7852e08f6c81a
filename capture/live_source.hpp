#pragma once

#include "capture/packet_source.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace edgecap::capture {

/// Captures from real interfaces. Owns the reactor thread, which waits on all
/// rings, and the threads that open and close sockets (both wait for the
/// kernel's RCU grace periods, tens of milliseconds each). Thread-safe.
class live_capture {
public:
  struct options {
    /// Threads that open and close sockets, 1..64.
    unsigned helper_threads = 8;
    /// How long an interface stays open when nobody captures on it any more:
    /// until then the next source need not wait for its opening.
    std::chrono::milliseconds idle_time{10000};
    /// Rings that are made before anybody asks for an interface, so that
    /// opening as many takes no ten milliseconds. They serve sources with the
    /// same `ring_bytes` and `wake_interval_ms` as here.
    std::size_t spare_rings = 0;
    std::uint32_t ring_bytes = source_options{}.ring_bytes;
    std::uint32_t wake_interval_ms = source_options{}.wake_interval_ms;
    /// Whether to load programs into the kernel (eBPF), if it lets us.
    bool use_classifier = true;
    /// Told why that did not work for an interface; sources then share it at a
    /// higher cost. Called in a thread of the capture layer; may be empty.
    std::function<void(const capture_error&)> on_fallback;
  };

  /// @throws std::system_error if the system has no thread or descriptor left.
  explicit live_capture(const options& opts);

  /// Ends every source that is left (each gets its `on_ended`) and joins all
  /// threads. Not for a listener's callback.
  ~live_capture();

  live_capture(const live_capture&) = delete;
  live_capture& operator=(const live_capture&) = delete;

  /// See `source_factory`.
  std::unique_ptr<packet_source>
  open(source_options what, std::shared_ptr<source_listener> listener);

private:
  class impl;
  std::shared_ptr<impl> impl_;
};

/// Names of the interfaces that the host has now, in index order.
expected<std::vector<std::string>> list_interfaces();

} // namespace edgecap::capture

#pragma once

#include "capture/capture_error.hpp"
#include "capture/filter.hpp"
#include "capture/packet_batch.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace edgecap::capture {

/// What is to be read, and how much of it.
struct source_options {
  /// OS name of the interface.
  std::string interface;
  filter_fields filter;
  /// Most bytes kept of each packet, 1..262144.
  std::uint32_t snaplen_bytes = 160;
  /// Keep one in this many matching packets, at random; >= 1.
  std::uint32_t sampling_one_in = 1;
  bool promiscuous = false;
  /// Kernel ring, in bytes; live sources have at least 1 MiB and round up to
  /// 256 KiB.
  std::uint32_t ring_bytes = 2u << 20;
  /// Longest time that a packet waits in the kernel before it is handed over.
  std::uint32_t wake_interval_ms = 20;
  /// A batch that is not full comes so long after the one before it: at once
  /// if nothing came for that long. What is done with a batch costs more than
  /// its packets, if these are few. 0..1000.
  std::uint32_t batch_interval_ms = 200;
  /// Largest batch, in bytes; a single larger packet makes a larger batch.
  std::uint32_t batch_bytes = 256u << 10;
  /// Bytes of batches that may be delivered before the first `grant`.
  std::uint64_t initial_credit_bytes = 1u << 20;
  /// No more packets than this are needed from this source.
  std::uint64_t packet_limit = std::numeric_limits<std::uint64_t>::max();
  /// Packets stamped later than this are not delivered.
  unix_ns not_after = std::numeric_limits<unix_ns>::max();
  /// Added to the stamp of each packet that is delivered, for the host's clock
  /// is wrong by that; `not_after` is a stamp without it.
  std::int64_t stamp_correction_ns = 0;
};

/// Counts of one source since it opened. `nullopt` means that the platform
/// cannot tell; it is never reported as 0.
struct source_counters {
  /// Packets that matched the filter, delivered or not. Unknown when the
  /// kernel samples, for it counts only what the sample holds.
  std::optional<std::uint64_t> packets_matched;
  /// Matching packets left out on purpose by sampling.
  std::optional<std::uint64_t> packets_sampled_out;
  /// Dropped because the kernel's ring was full while we were reading.
  std::optional<std::uint64_t> dropped_by_kernel;
  /// Dropped by the interface or its driver.
  std::optional<std::uint64_t> dropped_by_interface;
  /// Dropped because we had no credit to take them.
  std::uint64_t dropped_by_us = 0;

  friend bool operator==(const source_counters& x, const source_counters& y) {
    const auto all = [](const source_counters& z) {
      return std::tie(z.packets_matched, z.packets_sampled_out,
                      z.dropped_by_kernel, z.dropped_by_interface,
                      z.dropped_by_us);
    };
    return all(x) == all(y);
  }

  friend bool operator!=(const source_counters& x, const source_counters& y) {
    return !(x == y);
  }
};

/// How and with what counts a source ended.
struct source_end {
  source_counters counters;
  /// Empty after `stop` or when `packet_limit` was reached.
  std::optional<capture_error> error;
};

/// Receives what a source has to say. Calls come from threads of the capture
/// layer, one at a time for each source, in the order: `on_opened`, any number
/// of `on_batch` and `on_counters`, `on_ended`. If opening fails, `on_ended`
/// alone. Must neither block nor throw. The source shares ownership until
/// `on_ended` returned.
class source_listener {
public:
  virtual ~source_listener() = default;

  /// Packets are captured from now on.
  virtual void on_opened(link_type link) = 0;

  /// Never empty.
  virtual void on_batch(packet_batch batch) = 0;

  /// The counts have changed since this or `on_batch` was called last, and no
  /// batch is about to follow: nobody has to ask for them again and again. A
  /// live source calls it once a second at most.
  virtual void on_counters() = 0;

  /// Last call.
  virtual void on_ended(source_end end) = 0;
};

/// One subscription to one interface: the one seam between edgecap and real
/// traffic. Created running; every member may be called from any thread and
/// returns at once.
class packet_source {
public:
  /// Ends the source without draining it; `on_ended` may still come.
  virtual ~packet_source() = default;

  /// Allows `bytes` more to be delivered. A source without credit stops
  /// reading and lets the kernel's ring fill. The last packet that is taken may
  /// overdraw the credit; the next grants pay for it first.
  virtual void grant(std::uint64_t bytes) = 0;

  /// Ends capturing: delivers what the kernel took until now (but nothing
  /// stamped after `not_after`), then calls `on_ended`. Idempotent.
  virtual void stop() = 0;

  /// Counts so far.
  virtual source_counters counters() const = 0;
};

/// Opens sources. Never blocks; failures come through `on_ended`.
using source_factory = std::function<std::unique_ptr<packet_source>(
  source_options, std::shared_ptr<source_listener>)>;

} // namespace edgecap::capture

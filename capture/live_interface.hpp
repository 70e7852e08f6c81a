#pragma once

#include "capture/capture_error.hpp"
#include "capture/packet_ring.hpp"
#include "capture/packet_source.hpp"
#include "capture/ring_reserve.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace edgecap::capture {

/// One interface that is captured, and what becomes of it meanwhile. Used by
/// one thread at a time.
class live_interface {
public:
  /// Opens the interface; blocks for some ten milliseconds if the reserve has
  /// no ring for it. Captures nothing before a filter is attached.
  /// @param options Its interface, ring and wake interval count.
  static expected<std::unique_ptr<live_interface>>
  open(const source_options& options, ring_reserve& reserve);

  /// Link type of every packet.
  link_type link() const {
    return link_;
  }

  /// See `packet_ring`.
  int descriptor() const {
    return ring_.descriptor();
  }

  /// Number of the interface in its network namespace.
  unsigned index() const {
    return index_;
  }

  /// See `packet_ring`.
  template <class F>
  void read(F&& f) {
    ring_.read(std::forward<F>(f));
  }

  /// What `read` shows, up to a limit; see `packet_run`.
  packet_run run(std::uint64_t& number, std::uint64_t last,
                 std::uint64_t max_bytes) {
    return {ring_, number, last, max_bytes};
  }

  /// Where a filter finds its fields.
  filter_layout layout() const;

  /// See `packet_ring`.
  expected<void> attach(const bpf_program& filter) {
    return ring_.attach(filter);
  }

  /// See `packet_ring`.
  expected<void> reject_all() {
    return ring_.reject_all();
  }

  /// See `packet_ring`.
  expected<void> accept_all() {
    return ring_.accept_all();
  }

  /// See `packet_ring`.
  expected<void> set_promiscuous(bool value) {
    return ring_.set_promiscuous(value);
  }

  /// Counts since the last call.
  kernel_counts take_counts() {
    return ring_.take_counts();
  }

  /// Takes the error that is pending on the socket, if there is one.
  std::optional<capture_error> take_error();

  /// Why the interface can no longer be captured: it is gone or it is down.
  capture_error loss() const;

private:
  live_interface(packet_ring ring, std::string name, unsigned index,
                 link_type link);

  packet_ring ring_;
  std::string name_;
  unsigned index_;
  link_type link_;
};

} // namespace edgecap::capture

#pragma once

#include "capture/capture_error.hpp"
#include "capture/filter.hpp"
#include "capture/packet_batch.hpp"
#include "capture/packet_source.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace edgecap::capture {

/// A packet as the kernel handed it over. The bytes are valid during the call
/// that shows it.
struct packet_view {
  unix_ns time = 0;
  const std::byte* data = nullptr;
  std::uint32_t captured_length = 0;
  std::uint32_t original_length = 0;
};

/// Receives the packets of `live_interface::read`.
class packet_sink {
public:
  virtual ~packet_sink() = default;

  /// Returns false to take no more for now; what is left stays in the ring.
  /// Must not throw: the caller is libpcap.
  virtual bool on_packet(const packet_view& packet) = 0;
};

/// What the kernel counted on a packet socket between two looks.
struct kernel_counts {
  std::uint64_t taken = 0;   ///< Accepted by the filter and put into the ring.
  std::uint64_t dropped = 0; ///< Accepted, but the ring was full.
};

/// One packet socket with its ring, opened by libtins and read by libpcap.
/// Used by one thread at a time.
///
/// After `open` the ring holds nothing but packets that the filter accepted
/// since. The filter is attached by SO_ATTACH_FILTER and not by
/// pcap_setfilter(3PCAP), which would have libpcap's interpreter look at the
/// first block again: it knows no SKF_AD_RANDOM and would reject all of it.
class live_interface {
public:
  /// Opens the interface. Blocks for tens of milliseconds, and for about a
  /// wake interval more on a busy interface.
  static expected<std::unique_ptr<live_interface>>
  open(const source_options& options);

  /// Closes the socket; blocks for tens of milliseconds. The kernel then takes
  /// back promiscuous mode.
  ~live_interface();

  live_interface(const live_interface&) = delete;
  live_interface& operator=(const live_interface&) = delete;

  /// Link type of every packet.
  link_type link() const;

  /// Becomes readable when the kernel has filled a block or its wake interval
  /// has passed, and reports an error when the interface goes away or down.
  int descriptor() const;

  /// Number of the interface in its network namespace.
  unsigned index() const;

  /// Shows packets to `sink` until there are none or it has enough. Fails when
  /// the interface is lost.
  expected<void> read(packet_sink& sink);

  /// From now on no packet enters the ring. Packets that the kernel is
  /// processing on another CPU at this moment may still.
  expected<void> reject_all();

  /// Counts since the last call.
  kernel_counts take_counts();

  /// Takes the error that is pending on the socket, if there is one.
  std::optional<capture_error> take_error();

  /// Why the interface can no longer be captured: it is gone or it is down.
  capture_error loss() const;

private:
  class handle; // Keeps libtins out of this header.

  live_interface(std::unique_ptr<handle> opened, const source_options& options,
                 unsigned index);

  expected<void> attach(const bpf_program& program);
  expected<void> start(const source_options& options);
  expected<void> discard_queued(const source_options& options);
  bool counts_exact() const;

  std::unique_ptr<handle> handle_;
  std::string name_;
  unsigned index_ = 0;
  bool loopback_ = false;
};

} // namespace edgecap::capture

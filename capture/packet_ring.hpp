#pragma once

#include "capture/capture_error.hpp"
#include "capture/descriptor.hpp"
#include "capture/filter.hpp"
#include "capture/packet_batch.hpp"

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgecap::capture {

/// A packet as the kernel handed it over. The bytes are valid during the call
/// that shows it.
struct packet_view {
  record_header header;
  const std::byte* data = nullptr; ///< `header.captured_length` bytes.

  /// Its size as a record of a savefile.
  std::uint64_t record_bytes() const {
    return sizeof header + header.captured_length;
  }
};

/// What a ring is for.
struct ring_options {
  std::string interface;        ///< For messages.
  unsigned interface_index = 0; ///< In the caller's network namespace.
  /// `ethernet`, `linux_sll` (the kernel takes the link layer away, the ring
  /// puts LINUX_SLL's header in its place), or what the interface has,
  /// untouched.
  link_type link = link_type::ethernet;
  std::uint32_t ring_bytes = 2u << 20;
  std::uint32_t wake_interval_ms = 20;
  /// The kernel shows no outgoing packets: where each comes in again.
  bool incoming_only = false;
};

/// What the kernel counted on a packet socket between two looks.
struct kernel_counts {
  std::uint64_t taken = 0;   ///< Accepted by the filter and put into the ring.
  std::uint64_t dropped = 0; ///< Accepted, but the ring was full.
};

/// A packet socket with a ring in memory that the kernel shares with us:
/// packet(7), TPACKET_V3 (Documentation/networking/packet_mmap.rst in the
/// kernel's sources). Used by one thread at a time.
///
/// The kernel fills one block after another and hands each over when it is
/// full, or a wake interval after its first packet. The socket is bound when a
/// filter and the ring are there, so that nothing but what a filter accepts is
/// ever in it.
class packet_ring {
public:
  /// Makes a ring and binds it. Nothing comes in before a filter is attached.
  static expected<packet_ring> open(const ring_options& options);

  /// Makes a ring that belongs to no interface yet. The kernel waits for an RCU
  /// grace period meanwhile: some ten milliseconds.
  static expected<packet_ring> make(const ring_options& options);

  /// Whether `bind` takes a ring that was made with other options.
  static bool interchangeable(const ring_options& made,
                              const ring_options& bound);

  /// Gives the ring its interface; waits for nothing.
  /// @pre It was made with options that are interchangeable with these.
  expected<void> bind(const ring_options& options);

  packet_ring(packet_ring&& other) noexcept;
  packet_ring& operator=(packet_ring&&) = delete;

  /// Waits for a grace period, too. The kernel then takes back promiscuous
  /// mode.
  ~packet_ring();

  /// Becomes readable when there is a block, and reports an error when the
  /// interface goes away or down.
  int descriptor() const {
    return socket_.get();
  }

  /// Calls `f(const packet_view&)` for each packet until there are no more or
  /// it returns false; what is left stays in the ring.
  template <class F>
  void read(F&& f) {
    while (left_ > 0 || next_block()) {
      const auto packet = take();
      const auto more = f(packet);
      // Only now: the kernel may write over it.
      if (left_ == 0)
        release_block();
      if (!more)
        return;
    }
  }

  /// Replaces the filter. Packets that the kernel is processing on another CPU
  /// at this moment may still have met the old one.
  expected<void> attach(const bpf_program& filter);

  /// From now on no packet enters the ring; those of another CPU may, as above.
  expected<void> reject_all();

  /// Takes the filter away: from now on all packets enter the ring, whole.
  /// Wants no memory.
  expected<void> accept_all();

  /// Enters or leaves promiscuous mode, as far as this socket is concerned: the
  /// kernel counts who wants it.
  expected<void> set_promiscuous(bool value);

  /// Counts since the last call.
  kernel_counts take_counts();

private:
  packet_ring(unique_descriptor socket, const ring_options& options);

  expected<void> map(const ring_options& options);
  expected<void> set_option(int name, const void* value, std::size_t size,
                            const char* what);

  bool next_block();
  void release_block();
  packet_view take();
  packet_view put_headers_back(const tpacket3_hdr& header, packet_view packet);
  std::byte* put_vlan_tag_back(const tpacket3_hdr& header, std::byte* data);
  std::byte* put_cooked_header(const tpacket3_hdr& header, std::byte* data);

  tpacket_block_desc* block() const {
    return reinterpret_cast<tpacket_block_desc*>(memory_
                                                 + current_ * block_bytes_);
  }

  unique_descriptor socket_;
  std::string name_;
  unsigned index_;
  link_type link_;
  std::byte* memory_ = nullptr;
  std::size_t block_bytes_ = 0;
  std::size_t blocks_ = 0;
  std::size_t current_ = 0;   ///< Block that is read or is the next to come.
  std::uint32_t left_ = 0;    ///< Packets of it that were not yet taken.
  std::byte* next_ = nullptr; ///< The first of them.
};

/// The packets that come next in a ring, up to a limit, for one reader.
class packet_run {
public:
  /// @param number Of the packet before the run. While that is read, of the
  /// packet at hand.
  /// @param last Number of the packet that ends the run.
  /// @param max_bytes Ends it as well, after the packet that exceeds it.
  packet_run(packet_ring& ring, std::uint64_t& number, std::uint64_t last,
             std::uint64_t max_bytes)
    : ring_(ring), number_(number), last_(last), max_bytes_(max_bytes) {}

  /// Calls `f(const packet_view&)` for each packet until the run ends or it
  /// returns false. To be called once.
  template <class F>
  void read(F&& f) {
    ring_.read([this, &f](const packet_view& x) {
      ++number_;
      bytes_ += x.record_bytes();
      return f(x) && number_ < last_ && bytes_ < max_bytes_;
    });
  }

  /// Their size as records of a savefile.
  std::uint64_t bytes() const {
    return bytes_;
  }

private:
  packet_ring& ring_;
  std::uint64_t& number_;
  const std::uint64_t last_;
  const std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
};

// Here, since a packet costs no more than some calls do.

/// The next packet of the block.
inline packet_view packet_ring::take() {
  const auto& header = *reinterpret_cast<const tpacket3_hdr*>(next_);
  packet_view result;
  result.header.seconds = header.tp_sec;
  result.header.nanoseconds = header.tp_nsec;
  result.header.captured_length = header.tp_snaplen;
  result.header.original_length = header.tp_len;
  result.data = next_ + header.tp_mac;
  if (--left_ > 0) {
    next_ += header.tp_next_offset;
    __builtin_prefetch(next_);
    __builtin_prefetch(next_ + 64);
    __builtin_prefetch(next_ + 128);
  }
  if (link_ == link_type::linux_sll
      || (header.tp_status & TP_STATUS_VLAN_VALID) != 0)
    return put_headers_back(header, result);
  return result;
}

} // namespace edgecap::capture

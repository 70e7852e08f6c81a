#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace edgecap::capture {

/// Nanoseconds since 1970-01-01T00:00:00Z, as the kernel stamps packets
/// (CLOCK_REALTIME).
using unix_ns = std::int64_t;

/// LINKTYPE_ value of a savefile header (pcap-linktype(7)). Values that are
/// not named here are legal; they are only less well treated.
enum class link_type : std::uint32_t {
  ethernet = 1,
  raw = 101,
  linux_sll = 113,
  linux_sll2 = 276,
};

/// Header of one record inside a batch: the layout of a record of a
/// nanosecond savefile in host byte order (pcap-savefile(5)), so that a batch
/// is written to a savefile with one call.
struct record_header {
  std::uint32_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  std::uint32_t captured_length = 0; ///< Bytes that follow.
  std::uint32_t original_length = 0; ///< Bytes on the wire.

  /// @pre `time` is not negative and its seconds fit 32 bits, as in a savefile.
  static record_header of(unix_ns time, std::uint32_t captured_length,
                          std::uint32_t original_length) {
    return {static_cast<std::uint32_t>(time / 1'000'000'000),
            static_cast<std::uint32_t>(time % 1'000'000'000), captured_length,
            original_length};
  }

  /// Time stamp of the record.
  unix_ns time() const {
    return static_cast<unix_ns>(seconds) * 1'000'000'000 + nanoseconds;
  }

  /// Moves the stamp; it stays within what 32 bits of seconds can say.
  void move_time(std::int64_t by_ns);
};

/// Largest captured length of a record: what libpcap reads at most
/// (MAXIMUM_SNAPLEN). Anything larger is damage, not a packet.
inline constexpr std::uint32_t max_captured_length = 262144;

/// True if `x` can be the header of a packet's record: its captured length is
/// in bounds and no longer than the packet was, its nanoseconds are less than a
/// second, and the packet was not empty (a host that crashes may leave zeros at
/// a file's end).
bool plausible(const record_header& x);

static_assert(sizeof(record_header) == 16);

/// A run of savefile records of one interface in one contiguous, immutable
/// buffer. Copies share the buffer, so that passing a batch between threads
/// or actors never copies packets.
class packet_batch {
public:
  packet_batch() = default;

  /// Link type of every record in the batch.
  link_type link() const {
    return link_;
  }

  /// Number of records.
  std::uint32_t packets() const {
    return packets_;
  }

  bool empty() const {
    return packets_ == 0;
  }

  /// First of `size_bytes()` bytes of records.
  const std::byte* data() const {
    return bytes_.get();
  }

  /// Size of all records with their headers.
  std::size_t size_bytes() const {
    return size_bytes_;
  }

  /// Sum of the captured lengths, without record headers.
  std::uint64_t captured_bytes() const {
    return size_bytes_ - std::uint64_t{packets_} * sizeof(record_header);
  }

  /// Time stamp of the first record; 0 in an empty batch.
  unix_ns first_time() const {
    return first_time_;
  }

  /// Time stamp of the last record; 0 in an empty batch.
  unix_ns last_time() const {
    return last_time_;
  }

  /// True when no record is older than the one before it.
  bool ordered() const {
    return ordered_;
  }

  /// The first `n` records as a batch that shares this one's buffer; the
  /// whole batch if it has no more than `n`.
  packet_batch prefix(std::uint32_t n) const;

  /// Calls `f(const record_header&, const std::byte* data)` for each record.
  template <class F>
  void for_each(F&& f) const {
    const auto* pos = data();
    for (std::uint32_t i = 0; i < packets_; ++i) {
      record_header header;
      std::memcpy(&header, pos, sizeof header);
      f(header, pos + sizeof header);
      pos += sizeof header + header.captured_length;
    }
  }

  friend bool operator==(const packet_batch& x, const packet_batch& y) {
    return x.link_ == y.link_ && x.packets_ == y.packets_
           && x.size_bytes_ == y.size_bytes_
           && (x.data() == y.data() || x.empty()
               || std::memcmp(x.data(), y.data(), x.size_bytes_) == 0);
  }

  /// A batch of what came from another process: checks every record's header,
  /// and counts. Empty if the bytes are not whole, plausible records.
  static packet_batch of_records(link_type link,
                                 std::shared_ptr<const std::byte[]> bytes,
                                 std::size_t size_bytes);

private:
  friend class batch_builder;

  /// Counts one record more.
  void count(const record_header& header) {
    const auto time = header.time();
    if (packets_ == 0)
      first_time_ = time;
    else if (time < last_time_)
      ordered_ = false;
    last_time_ = time;
    ++packets_;
  }

  std::shared_ptr<const std::byte[]> bytes_;
  std::size_t size_bytes_ = 0;
  std::uint32_t packets_ = 0;
  link_type link_ = link_type::ethernet;
  unix_ns first_time_ = 0;
  unix_ns last_time_ = 0;
  bool ordered_ = true;
};

/// Buffers of batches that nobody holds any more, for the next ones: memory
/// that comes fresh from the kernel costs more than the packets that fill it.
/// Buffers come back from any thread; they may outlive the pool's owner.
class buffer_pool : public std::enable_shared_from_this<buffer_pool> {
public:
  /// Most buffers that are kept; more may be out.
  static constexpr std::size_t max_kept = 16;

  explicit buffer_pool(std::size_t buffer_bytes)
    : buffer_bytes_(buffer_bytes) {}

  /// A buffer of `buffer_bytes`: the one that came back last, or a new one.
  /// @throws std::bad_alloc
  std::shared_ptr<std::byte[]> take();

private:
  void give_back(std::unique_ptr<std::byte[]> buffer);

  std::size_t buffer_bytes_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> kept_; ///< Guarded by mutex_.
};

/// Collects records into a batch. Used by one thread at a time.
class batch_builder {
public:
  /// @param capacity_bytes Size that `append` never exceeds, but for a single
  ///        record that alone is larger.
  batch_builder(link_type link, std::size_t capacity_bytes);

  /// Appends one record. Returns false, and appends nothing, if the batch has
  /// records already and no room for this one: take it and append again.
  /// @pre `header.captured_length` bytes are readable at `data`.
  /// @throws std::bad_alloc
  bool append(const record_header& header, const std::byte* data);

  bool empty() const {
    return batch_.packets_ == 0;
  }

  std::size_t size_bytes() const {
    return batch_.size_bytes_;
  }

  std::uint32_t packets() const {
    return batch_.packets_;
  }

  /// Hands over what was collected, without copying it, and starts anew.
  packet_batch take();

private:
  /// Gives the buffer room for `needed_bytes`, if the capacity allows it.
  bool grow(std::size_t needed_bytes);

  std::size_t capacity_bytes_;
  std::shared_ptr<buffer_pool> pool_; ///< Of buffers of the capacity.
  /// Never larger than twice what is in it or was in the last batch, so that
  /// many small batches do not hold much more memory than they say.
  std::shared_ptr<std::byte[]> buffer_;
  std::size_t buffer_bytes_ = 0;
  std::size_t last_bytes_ = 0; ///< Size of the last batch.
  packet_batch batch_;         ///< All but its bytes.
};

// Here, so that the fields of a header stay in registers on their way.
inline bool batch_builder::append(const record_header& header,
                                  const std::byte* data) {
  const auto used = batch_.size_bytes_;
  const auto needed = used + sizeof header + header.captured_length;
  if (needed > buffer_bytes_ && !grow(needed))
    return false;
  auto* pos = buffer_.get() + used;
  std::memcpy(pos, &header, sizeof header);
  if (header.captured_length > 0)
    std::memcpy(pos + sizeof header, data, header.captured_length);
  batch_.count(header);
  batch_.size_bytes_ = needed;
  return true;
}

} // namespace edgecap::capture

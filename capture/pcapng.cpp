#include "capture/pcapng.hpp"

#include <algorithm>
#include <cstring>

namespace edgecap::capture {

namespace {

// Block types (4.1, 4.2, 4.6) and options (3.5).
constexpr std::uint32_t section_header_block = 0x0a0d0d0a;
constexpr std::uint32_t interface_description_block = 1;
constexpr std::uint32_t interface_statistics_block = 5;
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint16_t opt_endofopt = 0;
constexpr std::uint16_t shb_userappl = 4;
constexpr std::uint16_t if_name = 2;
constexpr std::uint16_t if_tsresol = 9;
constexpr std::uint16_t isb_ifrecv = 4;
constexpr std::uint16_t isb_ifdrop = 5;
constexpr std::uint16_t isb_osdrop = 7;

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

/// Builds one block field by field.
class block_builder {
public:
  explicit block_builder(std::uint32_t type) {
    put(type);
    put(std::uint32_t{0}); // The length, see `finish`.
  }

  template <class T>
  void put(T value) {
    append(&value, sizeof value);
  }

  void put_option(std::uint16_t code, const void* value, std::size_t size) {
    put(code);
    put(static_cast<std::uint16_t>(size));
    append(value, size);
    bytes_.resize(padded(bytes_.size()));
    has_options_ = true;
  }

  void put_option(std::uint16_t code, std::optional<std::uint64_t> value) {
    if (value)
      put_option(code, &*value, sizeof *value);
  }

  pcapng_block finish() {
    if (has_options_)
      put_option(opt_endofopt, nullptr, 0);
    const auto length = static_cast<std::uint32_t>(bytes_.size() + 4);
    put(length);
    std::memcpy(bytes_.data() + 4, &length, sizeof length);
    return std::move(bytes_);
  }

private:
  void append(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }

  pcapng_block bytes_;
  bool has_options_ = false;
};

std::uint32_t high_half(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}

std::uint32_t low_half(std::uint64_t x) {
  return static_cast<std::uint32_t>(x);
}

} // namespace

pcapng_block pcapng_section() {
  static constexpr char name[] = "edgecap";
  block_builder result{section_header_block};
  result.put(byte_order_magic);
  result.put(std::uint16_t{1}); // Version 1.0.
  result.put(std::uint16_t{0});
  result.put(std::int64_t{-1});
  result.put_option(shb_userappl, name, sizeof name - 1);
  return result.finish();
}

pcapng_block pcapng_interface(link_type link, std::uint32_t snaplen_bytes,
                              const std::string& name) {
  constexpr std::uint8_t nanoseconds = 9; // 10^-9 s.
  block_builder result{interface_description_block};
  result.put(static_cast<std::uint16_t>(link));
  result.put(std::uint16_t{0});
  result.put(snaplen_bytes);
  if (!name.empty())
    result.put_option(if_name, name.data(),
                      std::min(name.size(), max_interface_name_bytes));
  result.put_option(if_tsresol, &nanoseconds, sizeof nanoseconds);
  return result.finish();
}

pcapng_block pcapng_statistics(std::uint32_t interface, unix_ns time,
                               const pcapng_counts& counts) {
  const auto stamp = static_cast<std::uint64_t>(time);
  block_builder result{interface_statistics_block};
  result.put(interface);
  result.put(high_half(stamp));
  result.put(low_half(stamp));
  result.put_option(isb_ifrecv, counts.received);
  result.put_option(isb_ifdrop, counts.dropped_by_interface);
  result.put_option(isb_osdrop, counts.dropped_by_kernel);
  return result.finish();
}

pcapng_packet_header pcapng_packet(std::uint32_t interface,
                                   const record_header& header) {
  const auto stamp = static_cast<std::uint64_t>(header.time());
  pcapng_packet_header result;
  result.block_length
    = static_cast<std::uint32_t>(sizeof result + padded(header.captured_length)
                                 + sizeof result.block_length);
  result.interface = interface;
  result.time_high = high_half(stamp);
  result.time_low = low_half(stamp);
  result.captured_length = header.captured_length;
  result.original_length = header.original_length;
  return result;
}

} // namespace edgecap::capture

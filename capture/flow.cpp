#include "capture/flow.hpp"

#include <algorithm>
#include <cstring>

namespace edgecap::capture {

namespace {

/// Where LINUX_SLL's header ends: with an ethertype, like Ethernet's.
constexpr std::size_t sll_header_bytes = 16;

constexpr std::size_t ipv4_header_bytes = 20;
constexpr std::size_t ipv6_header_bytes = 40;
constexpr std::size_t ports_bytes = 4;

/// Reads one packet. A header that is cut is not there.
class reader {
public:
  reader(const std::byte* data, std::size_t size) : data_(data), size_(size) {
    // nop
  }

  flow read(link_type link, std::uint32_t max_tags) {
    switch (link) {
    case link_type::ethernet:
      read_tags(ETH_HLEN, max_tags);
      break;
    case link_type::linux_sll:
      read_tags(sll_header_bytes, max_tags);
      break;
    case link_type::raw:
      if (has(1))
        read_version(byte(0) >> 4);
      break;
    default:
      break;
    }
    return result_;
  }

private:
  /// Looks for IP behind a header that ends with an ethertype.
  void read_tags(std::size_t header_bytes, std::uint32_t max_tags) {
    at_ = header_bytes;
    for (std::uint32_t tags = 0; has(0); ++tags) {
      const auto ethertype = half(-2);
      if (ethertype == ETH_P_IP)
        return read_version(4);
      if (ethertype == ETH_P_IPV6)
        return read_version(6);
      if (tags == max_tags
          || std::find(vlan_ethertypes.begin(), vlan_ethertypes.end(),
                       ethertype)
               == vlan_ethertypes.end())
        return;
      at_ += 4;
    }
  }

  void read_version(unsigned version) {
    if (version == 4)
      read_ipv4();
    else if (version == 6)
      read_ipv6();
  }

  void read_ipv4() {
    // A header of at least five words.
    if (!has(ipv4_header_bytes) || byte(0) < 0x45 || byte(0) > 0x4f)
      return;
    auto& key = result_.key;
    key.family = family_ipv4;
    key.fields = field_source | field_destination;
    std::memcpy(key.source, data_ + at_ + 12, 4);
    std::memcpy(key.destination, data_ + at_ + 16, 4);
    const auto protocol = byte(9);
    const auto first_fragment = (half(6) & 0x1fff) == 0;
    set_end(half(2), 0);
    at_ += (byte(0) & 0x0fu) * 4;
    set_protocol(protocol, first_fragment);
  }

  void read_ipv6() {
    if (!has(ipv6_header_bytes) || byte(0) >> 4 != 6)
      return;
    auto& key = result_.key;
    key.family = family_ipv6;
    key.fields = field_source | field_destination;
    std::memcpy(key.source, data_ + at_ + 8, sizeof key.source);
    std::memcpy(key.destination, data_ + at_ + 24, sizeof key.destination);
    auto header = byte(6);
    set_end(half(4), ipv6_header_bytes);
    at_ += ipv6_header_bytes;
    auto later_fragment = false;
    // What lies behind the packet's end is padding of the frame.
    for (std::uint32_t walked = 0; at_ <= end_; ++walked) {
      const auto kind = kind_of_header[header];
      if (kind == 0 || kind == header_with_ports)
        return set_protocol(header, !later_fragment);
      result_.extensions |= static_cast<std::uint8_t>(1u << (kind - 1));
      // A later fragment has the headers behind the fragment header no more,
      // only the kind of the first of them.
      if (walked == max_extension_headers || later_fragment)
        return;
      if (header == IPPROTO_FRAGMENT) {
        if (!has(4))
          return;
        later_fragment = (half(2) & 0xfff8) != 0;
        header = step(8);
      } else {
        if (!has(2))
          return;
        header = header == IPPROTO_AH ? step((byte(1) + 2u) * 4)
                                      : step((byte(1) + 1u) * 8);
      }
    }
  }

  /// Goes to the next header; returns its protocol.
  std::uint8_t step(std::size_t header_bytes) {
    const auto result = byte(0);
    at_ += header_bytes;
    return result;
  }

  /// @param length What the header gives, which leaves out `more` bytes of it.
  void set_end(std::size_t length, std::size_t more) {
    end_ = length == 0 ? far_away : at_ + length + more;
  }

  /// The upper layer begins here; if the packet goes on with it, its ports are
  /// here, too.
  void set_protocol(std::uint8_t protocol, bool may_have_ports) {
    auto& key = result_.key;
    key.protocol = protocol;
    key.fields |= field_protocol;
    if (!may_have_ports || kind_of_header[protocol] != header_with_ports
        || !has(ports_bytes) || at_ + ports_bytes > end_)
      return;
    key.fields |= field_source_port | field_destination_port;
    std::memcpy(key.ports, data_ + at_, ports_bytes);
  }

  bool has(std::size_t bytes) const {
    return at_ + bytes <= size_;
  }

  std::uint8_t byte(std::ptrdiff_t offset) const {
    return std::to_integer<std::uint8_t>(
      data_[static_cast<std::ptrdiff_t>(at_) + offset]);
  }

  std::uint16_t half(std::ptrdiff_t offset) const {
    return static_cast<std::uint16_t>(byte(offset) << 8 | byte(offset + 1));
  }

  const std::byte* data_;
  std::size_t size_;
  std::size_t at_ = 0;  ///< Offset of the header under examination.
  std::size_t end_ = 0; ///< Offset behind the IP packet.
  flow result_;
};

} // namespace

flow read_flow(link_type link, const std::byte* data, std::size_t size,
               std::uint32_t max_tags) {
  return reader{data, size}.read(link, max_tags);
}

} // namespace edgecap::capture

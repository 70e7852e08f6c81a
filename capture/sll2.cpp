#include "capture/sll2.hpp"

#include "capture/savefile.hpp"

#include <pcap/sll.h>

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <net/ethernet.h>

#include <algorithm>
#include <cstring>

namespace edgecap::capture {

namespace {

static_assert(sizeof(sll2_header) == sll2_header_bytes);
static_assert(sizeof(sll_header) == SLL_HDR_LEN);

/// The first `sizeof(Header)` bytes of a packet, zeros where it is cut.
template <class Header>
Header read_header(const std::byte* data, std::size_t size) {
  Header result{};
  if (size > 0)
    std::memcpy(&result, data, std::min(size, sizeof result));
  return result;
}

std::uint8_t packet_type(const std::uint8_t (&destination)[ETH_ALEN]) {
  if ((destination[0] & 1) == 0)
    return LINUX_SLL_HOST;
  const auto all_ones
    = std::all_of(std::begin(destination), std::end(destination),
                  [](auto x) { return x == 0xff; });
  return all_ones ? LINUX_SLL_BROADCAST : LINUX_SLL_MULTICAST;
}

/// What Linux makes of the two bytes behind an Ethernet frame's addresses
/// (eth_type_trans).
std::uint16_t ethernet_protocol(const ether_header& header,
                                const std::byte* data, std::size_t size) {
  if (size < sizeof header)
    return 0;
  const auto type = ntohs(header.ether_type);
  if (type >= ETH_P_802_3_MIN)
    return type;
  const auto novell = size >= sizeof header + 2
                      && data[sizeof header] == std::byte{0xff}
                      && data[sizeof header + 1] == std::byte{0xff};
  return novell ? LINUX_SLL_P_802_3 : LINUX_SLL_P_802_2;
}

std::uint32_t from_ethernet(sll2_header& out, const std::byte* data,
                            std::size_t size) {
  const auto in = read_header<ether_header>(data, size);
  out.sll2_protocol = htons(ethernet_protocol(in, data, size));
  out.sll2_hatype = htons(ARPHRD_ETHER);
  out.sll2_pkttype = packet_type(in.ether_dhost);
  out.sll2_halen = ETH_ALEN;
  std::memcpy(out.sll2_addr, in.ether_shost, ETH_ALEN);
  return sizeof in;
}

std::uint32_t from_raw(sll2_header& out, const std::byte* data,
                       std::size_t size) {
  const auto version = size > 0 ? std::to_integer<unsigned>(data[0]) >> 4 : 0u;
  if (version == 4)
    out.sll2_protocol = htons(ETH_P_IP);
  else if (version == 6)
    out.sll2_protocol = htons(ETH_P_IPV6);
  out.sll2_hatype = htons(ARPHRD_NONE);
  return 0;
}

std::uint32_t from_sll(sll2_header& out, const std::byte* data,
                       std::size_t size) {
  const auto in = read_header<sll_header>(data, size);
  out.sll2_protocol = in.sll_protocol;
  out.sll2_hatype = in.sll_hatype;
  out.sll2_pkttype = static_cast<std::uint8_t>(ntohs(in.sll_pkttype));
  out.sll2_halen = static_cast<std::uint8_t>(
    std::min<unsigned>(ntohs(in.sll_halen), SLL_ADDRLEN));
  std::memcpy(out.sll2_addr, in.sll_addr, SLL_ADDRLEN);
  return sizeof in;
}

} // namespace

bool converts_to_sll2(link_type link) {
  return link == link_type::ethernet || link == link_type::raw
         || link == link_type::linux_sll;
}

sll2_record to_sll2(link_type link, std::uint32_t interface_index,
                    const record_header& header, const std::byte* data) {
  sll2_record result;
  sll2_header out{};
  out.sll2_if_index = htonl(interface_index);
  std::uint32_t replaced = 0;
  if (link == link_type::ethernet)
    replaced = from_ethernet(out, data, header.captured_length);
  else if (link == link_type::linux_sll)
    replaced = from_sll(out, data, header.captured_length);
  else
    replaced = from_raw(out, data, header.captured_length);
  std::memcpy(result.link_header.data(), &out, sizeof out);
  const std::uint32_t gained = sll2_header_bytes;
  result.skipped_bytes = std::min(replaced, header.captured_length);
  result.captured_length
    = std::min(header.captured_length - result.skipped_bytes + gained,
               max_captured_length);
  result.original_length = header.original_length
                           - std::min(replaced, header.original_length)
                           + gained;
  return result;
}

} // namespace edgecap::capture

#include "capture/packet_ring.hpp"

#include "capture/errno_error.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace edgecap::capture {

namespace {

/// A block holds the largest packet (the kernel cuts what does not fit), but
/// for some hundred bytes of headers.
constexpr std::size_t min_block_bytes = 256u << 10;

/// Larger ones do not save wake-ups worth having, and each wants memory in one
/// piece, which the kernel then takes from what was not used for longest: in a
/// virtual machine, often from what its host has to give it anew.
constexpr std::size_t max_block_bytes = 512u << 10;

/// The kernel closes a block once per wake interval, however empty it is, and
/// drops packets when all are closed and unread. Four let us be late by three
/// intervals; with a single one it would have nowhere to write while we read.
constexpr std::size_t min_blocks = 4;

/// More are made before blocks grow: a quiet interface may use one up in each
/// wake interval.
constexpr std::size_t wanted_blocks = 32;

/// tp_frame_size means nothing to TPACKET_V3, but must be in order.
constexpr unsigned frame_bytes = 2048;

constexpr std::size_t vlan_tag_bytes = 4;
constexpr std::size_t addresses_bytes = 2 * ETH_ALEN;

/// Header of LINUX_SLL (pcap-linktype(7)), in network byte order.
struct sll_header {
  std::uint16_t packet_type;
  std::uint16_t arp_type;
  std::uint16_t address_length;
  std::uint8_t address[8];
  std::uint16_t protocol;
};

static_assert(sizeof(sll_header) == 16);

// What is put back in front of a packet has room where the kernel says from
// whom it came (TPACKET3_HDRLEN in linux/if_packet.h), which is read before.
// Room of its own (PACKET_RESERVE) would make small packets take a sixth more
// of the ring.
static_assert(sizeof(sockaddr_ll) >= sizeof(sll_header) + vlan_tag_bytes);

std::size_t block_bytes_for(std::size_t ring_bytes) {
  auto result = min_block_bytes;
  while (result < max_block_bytes && ring_bytes / result > wanted_blocks)
    result *= 2;
  return result;
}

} // namespace

packet_ring::packet_ring(unique_descriptor socket, const ring_options& options)
  : socket_(std::move(socket)), name_(options.interface),
    index_(options.interface_index), link_(options.link) {}

packet_ring::packet_ring(packet_ring&& other) noexcept
  : socket_(std::move(other.socket_)), name_(std::move(other.name_)),
    index_(other.index_), link_(other.link_),
    memory_(std::exchange(other.memory_, nullptr)),
    block_bytes_(other.block_bytes_), blocks_(other.blocks_),
    current_(other.current_), left_(other.left_), next_(other.next_) {}

packet_ring::~packet_ring() {
  if (memory_ != nullptr)
    ::munmap(memory_, blocks_ * block_bytes_);
}

// -- opening ------------------------------------------------------------------

expected<packet_ring> packet_ring::open(const ring_options& options) {
  auto result = make(options);
  if (result)
    if (auto ok = result->bind(options); !ok)
      return tl::unexpected<capture_error>{std::move(ok.error())};
  return result;
}

expected<packet_ring> packet_ring::make(const ring_options& options) {
  const auto kind
    = options.link == link_type::linux_sll ? SOCK_DGRAM : SOCK_RAW;
  // Without a protocol it captures nothing until it is bound.
  unique_descriptor fd{
    ::socket(AF_PACKET, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd)
    return fail_errno("open interface " + options.interface, errno);
  packet_ring result{std::move(fd), options};
  auto ok = result.reject_all();
  if (ok)
    ok = result.map(options);
  if (!ok)
    return tl::unexpected<capture_error>{std::move(ok.error())};
  return result;
}

bool packet_ring::interchangeable(const ring_options& made,
                                  const ring_options& bound) {
  return (made.link == link_type::linux_sll)
           == (bound.link == link_type::linux_sll)
         && made.ring_bytes == bound.ring_bytes
         && made.wake_interval_ms == bound.wake_interval_ms;
}

expected<void> packet_ring::map(const ring_options& options) {
  const int version = TPACKET_V3;
  auto ok = set_option(PACKET_VERSION, &version, sizeof version, "TPACKET_V3");
  if (!ok)
    return ok;
  block_bytes_ = block_bytes_for(options.ring_bytes);
  const auto whole = (options.ring_bytes + block_bytes_ - 1) / block_bytes_;
  blocks_ = std::max(whole, min_blocks);
  tpacket_req3 request{};
  request.tp_block_size = static_cast<unsigned>(block_bytes_);
  request.tp_block_nr = static_cast<unsigned>(blocks_);
  request.tp_frame_size = frame_bytes;
  request.tp_frame_nr
    = static_cast<unsigned>(blocks_ * (block_bytes_ / frame_bytes));
  request.tp_retire_blk_tov = options.wake_interval_ms;
  ok = set_option(PACKET_RX_RING, &request, sizeof request, "make the ring");
  if (!ok)
    return ok;
  auto* memory = ::mmap(nullptr, blocks_ * block_bytes_, PROT_READ | PROT_WRITE,
                        MAP_SHARED, socket_.get(), 0);
  if (memory == MAP_FAILED)
    return fail_errno("map the ring of interface " + name_, errno);
  memory_ = static_cast<std::byte*>(memory);
  return {};
}

expected<void> packet_ring::bind(const ring_options& options) {
  name_ = options.interface;
  index_ = options.interface_index;
  link_ = options.link;
  if (options.incoming_only) {
    const int yes = 1;
    auto ok = set_option(PACKET_IGNORE_OUTGOING, &yes, sizeof yes,
                         "leave out outgoing packets");
    if (!ok)
      return ok;
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(options.interface_index);
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof address)
      != 0)
    return fail_errno("open interface " + name_, errno);
  return {};
}

expected<void> packet_ring::set_option(int name, const void* value,
                                       std::size_t size, const char* what) {
  if (::setsockopt(socket_.get(), SOL_PACKET, name, value,
                   static_cast<socklen_t>(size))
      != 0)
    return fail_errno("open interface " + name_ + ": " + what, errno);
  return {};
}

// -- filter and counts --------------------------------------------------------

expected<void> packet_ring::attach(const bpf_program& filter) {
  assert(filter.size() <= BPF_MAXINSNS);
  sock_fprog request{};
  request.len = static_cast<unsigned short>(filter.size());
  // The kernel copies the program; its interface lacks a const.
  request.filter = const_cast<sock_filter*>(filter.data());
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &request,
                   sizeof request)
      != 0)
    return fail_errno("attach the filter to interface " + name_, errno);
  return {};
}

expected<void> packet_ring::reject_all() {
  return attach({{BPF_RET | BPF_K, 0, 0, 0}});
}

expected<void> packet_ring::accept_all() {
  const int unused = 0;
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_DETACH_FILTER, &unused,
                   sizeof unused)
        != 0
      && errno != ENOENT) // There is none.
    return fail_errno("take the filter from interface " + name_, errno);
  return {};
}

expected<void> packet_ring::set_promiscuous(bool value) {
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(index_);
  request.mr_type = PACKET_MR_PROMISC;
  return set_option(value ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP,
                    &request, sizeof request, "change promiscuous mode");
}

kernel_counts packet_ring::take_counts() {
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size)
      != 0)
    return {}; // Never for a packet socket; the counts come with the next.
  kernel_counts result;
  // tp_packets holds the drops as well (packet(7)).
  result.dropped = stats.tp_drops;
  result.taken = stats.tp_packets - stats.tp_drops;
  return result;
}

// -- reading ------------------------------------------------------------------

/// Goes to the next block that has packets; false if the kernel still has it.
bool packet_ring::next_block() {
  for (;;) {
    auto& header = block()->hdr.bh1;
    if ((__atomic_load_n(&header.block_status, __ATOMIC_ACQUIRE)
         & TP_STATUS_USER)
        == 0)
      return false;
    left_ = header.num_pkts;
    next_ = reinterpret_cast<std::byte*>(block()) + header.offset_to_first_pkt;
    if (left_ > 0)
      return true;
    release_block();
  }
}

/// Gives the block back to the kernel.
void packet_ring::release_block() {
  __atomic_store_n(&block()->hdr.bh1.block_status, TP_STATUS_KERNEL,
                   __ATOMIC_RELEASE);
  if (++current_ == blocks_)
    current_ = 0;
}

/// The packet with what the kernel took away from it.
packet_view packet_ring::put_headers_back(const tpacket3_hdr& header,
                                          packet_view packet) {
  // Our memory, with the sender's address in front.
  auto* const kept = const_cast<std::byte*>(packet.data);
  auto* data = kept;
  if (link_ == link_type::linux_sll)
    data = put_cooked_header(header, data);
  if ((header.tp_status & TP_STATUS_VLAN_VALID) != 0)
    data = put_vlan_tag_back(header, data);
  const auto grown = static_cast<std::uint32_t>(kept - data);
  packet.header.captured_length += grown;
  packet.header.original_length += grown;
  packet.data = data;
  return packet;
}

/// The kernel takes the outermost tag out of the packet. Behind it is what was
/// behind the addresses, or the cooked header's protocol.
std::byte* packet_ring::put_vlan_tag_back(const tpacket3_hdr& header,
                                          std::byte* data) {
  const auto before = link_ == link_type::linux_sll
                        ? offsetof(sll_header, protocol)
                        : addresses_bytes;
  if ((link_ != link_type::ethernet && link_ != link_type::linux_sll)
      || (link_ == link_type::ethernet && header.tp_snaplen < before))
    return data;
  const auto known = (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
  const std::uint16_t tag[2]{
    htons(known ? header.hv1.tp_vlan_tpid : ETH_P_8021Q),
    htons(static_cast<std::uint16_t>(header.hv1.tp_vlan_tci))};
  auto* result = data - vlan_tag_bytes;
  std::memmove(result, data, before);
  std::memcpy(result + before, tag, sizeof tag);
  return result;
}

/// Describes the link layer that the kernel took away.
std::byte* packet_ring::put_cooked_header(const tpacket3_hdr& header,
                                          std::byte* data) {
  sockaddr_ll from{};
  std::memcpy(&from,
              reinterpret_cast<const std::byte*>(&header)
                + TPACKET_ALIGN(sizeof header),
              sizeof from);
  sll_header cooked{};
  cooked.packet_type = htons(from.sll_pkttype);
  cooked.arp_type = htons(from.sll_hatype);
  cooked.address_length = htons(from.sll_halen);
  std::memcpy(cooked.address, from.sll_addr, sizeof cooked.address);
  cooked.protocol = from.sll_protocol;
  auto* result = data - sizeof cooked;
  std::memcpy(result, &cooked, sizeof cooked);
  return result;
}

} // namespace edgecap::capture

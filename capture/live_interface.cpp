#include "capture/live_interface.hpp"

#include "capture/descriptor.hpp"

#include <pcap/pcap.h>
#include <tins/sniffer.h>

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace edgecap::capture {

namespace {

using clock = std::chrono::steady_clock;

/// libpcap's MAXIMUM_SNAPLEN. It makes the ring's blocks of this size.
constexpr std::uint32_t block_bytes = 262144;

/// The kernel closes a block once per wake interval, however empty it is, and
/// drops packets when all are closed and unread. Four let us be late by three
/// intervals; with a single one it would have nowhere to write while we read.
constexpr std::uint32_t min_ring_bytes = 4 * block_bytes;

/// Bytes that the kernel keeps even if the snaplen is smaller: libpcap puts a
/// VLAN tag back only if the two addresses in front of it are there.
constexpr std::uint32_t min_kernel_snaplen_bytes = 64;

/// Longest time that the ring may take to become empty at opening.
constexpr auto settle_timeout = std::chrono::seconds{2};

/// Added to the wake interval where it alone tells that the ring is empty.
constexpr auto settle_margin = std::chrono::milliseconds{50};

capture_errc classify(int error) {
  switch (error) {
  case ENODEV:
  case ENXIO:
    return capture_errc::no_such_interface;
  case ENETDOWN:
    return capture_errc::interface_down;
  case EPERM:
  case EACCES:
    return capture_errc::not_permitted;
  default:
    return capture_errc::io;
  }
}

capture_error system_error(const std::string& attempt, int error) {
  return {classify(error), attempt + ": " + std::strerror(error)};
}

tl::unexpected<capture_error> fail_errno(const std::string& attempt,
                                         int error) {
  return tl::unexpected<capture_error>{system_error(attempt, error)};
}

/// What the interface named `name` is, asked in the network namespace of
/// `socket`.
struct interface_facts {
  int error = 0; ///< errno; the rest is valid if it is 0.
  bool up = false;
  bool loopback = false;
  unsigned index = 0;
};

interface_facts inspect(int socket, const std::string& name) {
  interface_facts result;
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name
      || name.find('\0') != std::string::npos) {
    result.error = ENODEV;
    return result;
  }
  std::memcpy(request.ifr_name, name.data(), name.size());
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) {
    result.error = errno;
    return result;
  }
  const auto flags = static_cast<unsigned short>(request.ifr_flags);
  result.up = (flags & IFF_UP) != 0;
  result.loopback = (flags & IFF_LOOPBACK) != 0;
  if (::ioctl(socket, SIOCGIFINDEX, &request) != 0)
    result.error = errno;
  else
    result.index = static_cast<unsigned>(request.ifr_ifindex);
  return result;
}

/// 0 if interface number `index` is there and up, otherwise ENODEV or ENETDOWN.
/// By number, since an interface may be renamed under a capture.
int state_error(int socket, unsigned index) {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (::ioctl(socket, SIOCGIFNAME, &request) != 0)
    return errno;
  const std::string name{request.ifr_name,
                         ::strnlen(request.ifr_name, sizeof request.ifr_name)};
  const auto facts = inspect(socket, name);
  if (facts.error != 0)
    return facts.error;
  return facts.up ? 0 : ENETDOWN;
}

Tins::SnifferConfiguration configuration(const source_options& options) {
  Tins::SnifferConfiguration result;
  result.set_snap_len(options.snaplen_bytes);
  result.set_promisc_mode(options.promiscuous);
  result.set_timeout(options.wake_interval_ms);
  result.set_timestamp_precision(PCAP_TSTAMP_PRECISION_NANO);
  constexpr std::uint32_t most = std::numeric_limits<int>::max();
  result.set_buffer_size(std::clamp(options.ring_bytes, min_ring_bytes, most));
  return result;
}

/// LINKTYPE_ of a DLT_. They differ for a few old types, of which Linux has
/// DLT_RAW alone (pcap-linktype(7)).
link_type to_link_type(int dlt) {
  if (dlt == DLT_RAW)
    return link_type::raw;
  return static_cast<link_type>(dlt);
}

/// Where a filter finds its fields in packets of this DLT_.
std::optional<filter_layout> layout_of(int dlt) {
  switch (dlt) {
  case DLT_EN10MB:
    return filter_layout::ethernet;
  case DLT_RAW:
    return filter_layout::raw_ip;
  case DLT_LINUX_SLL:
  case DLT_LINUX_SLL2:
    return filter_layout::cooked;
  default:
    return std::nullopt;
  }
}

/// Counts packets and forgets them.
class discarding_sink : public packet_sink {
public:
  bool on_packet(const packet_view&) override {
    ++packets;
    return true;
  }

  std::uint64_t packets = 0;
};

/// What `pcap_dispatch` hands through to its callback.
struct dispatch_target {
  packet_sink* sink;
  pcap_t* pcap;
};

void on_pcap_packet(u_char* user, const pcap_pkthdr* header,
                    const u_char* bytes) {
  auto* target = reinterpret_cast<dispatch_target*>(user);
  packet_view packet;
  // With PCAP_TSTAMP_PRECISION_NANO, tv_usec holds nanoseconds.
  packet.time = static_cast<unix_ns>(header->ts.tv_sec) * 1'000'000'000
                + static_cast<unix_ns>(header->ts.tv_usec);
  packet.data = reinterpret_cast<const std::byte*>(bytes);
  packet.captured_length = header->caplen;
  packet.original_length = header->len;
  if (!target->sink->on_packet(packet))
    pcap_breakloop(target->pcap);
}

} // namespace

/// Opens by libtins, which also closes; everything else asks libpcap.
class live_interface::handle {
public:
  /// @throws Tins::exception_base with libpcap's words.
  explicit handle(const source_options& options)
    : sniffer_(options.interface, configuration(options)) {}

  pcap_t* pcap() {
    return sniffer_.get_pcap_handle();
  }

  int descriptor() {
    return pcap_get_selectable_fd(pcap());
  }

  int dlt() {
    return pcap_datalink(pcap());
  }

private:
  Tins::Sniffer sniffer_;
};

live_interface::live_interface(std::unique_ptr<handle> opened,
                               const source_options& options, unsigned index)
  : handle_(std::move(opened)), name_(options.interface), index_(index) {}

live_interface::~live_interface() = default;

expected<std::unique_ptr<live_interface>>
live_interface::open(const source_options& options) {
  const auto attempt = "open interface " + options.interface;
  // Asks first, since libtins reports neither codes nor, for some errors, a
  // text.
  unique_descriptor probe{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
  if (probe.get() < 0)
    return fail_errno(attempt, errno);
  const auto facts = inspect(probe.get(), options.interface);
  if (facts.error != 0)
    return fail_errno(attempt, facts.error);
  if (!facts.up)
    return fail_errno(attempt, ENETDOWN);
  std::unique_ptr<live_interface> result;
  try {
    result.reset(new live_interface{std::make_unique<handle>(options), options,
                                    facts.index});
  } catch (const std::exception& ex) {
    const auto now = inspect(probe.get(), options.interface);
    if (now.error != 0)
      return fail_errno(attempt, now.error);
    if (!now.up)
      return fail_errno(attempt, ENETDOWN);
    return fail(capture_errc::io, attempt + ": " + ex.what());
  }
  result->loopback_ = facts.loopback;
  // The socket is bound and unfiltered since a moment ago.
  if (auto ok = result->reject_all(); !ok)
    return tl::unexpected<capture_error>{std::move(ok.error())};
  // Closing a packet socket waits for an RCU grace period
  // (packet_release in the kernel's net/packet/af_packet.c). Packets are
  // processed inside RCU read sections, so that afterwards none is under way
  // that passed before the filter was attached.
  probe = {};
  if (auto ok = result->start(options); !ok)
    return tl::unexpected<capture_error>{std::move(ok.error())};
  return result;
}

/// From "rejects all" to "takes what the filter accepts".
expected<void> live_interface::start(const source_options& options) {
  const auto attempt = "open interface " + name_;
  // libpcap's descriptors are not close-on-exec.
  if (::fcntl(descriptor(), F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno(attempt, errno);
  char text[PCAP_ERRBUF_SIZE] = "";
  if (pcap_setnonblock(handle_->pcap(), 1, text) != 0)
    return fail(capture_errc::io, attempt + ": " + text);
  const auto layout = layout_of(handle_->dlt());
  if (!layout && !(options.filter == filter_fields{})) {
    const auto* name = pcap_datalink_val_to_name(handle_->dlt());
    return fail(capture_errc::unsupported_link_type,
                attempt + ": no filter is defined for its link type "
                  + (name ? name : std::to_string(handle_->dlt())));
  }
  filter_options how;
  how.layout = layout.value_or(filter_layout::ethernet);
  how.sampling_one_in = options.sampling_one_in;
  how.snaplen_bytes = std::max(options.snaplen_bytes, min_kernel_snaplen_bytes);
  // libpcap skips outgoing packets on loopback and CAN, where each packet comes
  // in again: not counting them keeps the kernel's counts in step with ours.
  how.incoming_only = loopback_ || handle_->dlt() == DLT_CAN_SOCKETCAN;
  const auto program = compile(options.filter, how);
  if (!program)
    return tl::unexpected<capture_error>{program.error()};
  if (auto ok = discard_queued(options); !ok)
    return ok;
  return attach(*program);
}

/// Whether each packet that the kernel puts into an unfiltered ring is shown
/// to us.
bool live_interface::counts_exact() const {
  return !loopback_ && handle_->dlt() != DLT_CAN_SOCKETCAN;
}

/// Empties the ring of what came in before `reject_all`. The ring is empty
/// when we saw as many packets as the kernel says it put there; an open block
/// is not shown to us before its wake interval is over.
expected<void> live_interface::discard_queued(const source_options& options) {
  discarding_sink seen;
  std::uint64_t taken = 0;
  const auto wake = std::chrono::milliseconds{options.wake_interval_ms};
  const auto deadline = clock::now() + settle_timeout;
  auto quiet_since = clock::now();
  for (;;) {
    const auto before = seen.packets;
    if (auto ok = read(seen); !ok)
      return ok;
    const auto now = clock::now();
    if (seen.packets != before)
      quiet_since = now;
    taken += take_counts().taken;
    if (seen.packets == taken)
      return {};
    if (!counts_exact() && now - quiet_since > 3 * wake + settle_margin)
      return {};
    if (now > deadline)
      return fail(capture_errc::io,
                  "open interface " + name_
                    + ": the kernel keeps back what came before the filter");
    pollfd waited{descriptor(), POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(options.wake_interval_ms)) < 0
        && errno != EINTR)
      return fail_errno("open interface " + name_, errno);
  }
}

link_type live_interface::link() const {
  return to_link_type(handle_->dlt());
}

int live_interface::descriptor() const {
  return handle_->descriptor();
}

unsigned live_interface::index() const {
  return index_;
}

expected<void> live_interface::read(packet_sink& sink) {
  auto* pcap = handle_->pcap();
  dispatch_target target{&sink, pcap};
  const auto result = pcap_dispatch(pcap, -1, on_pcap_packet,
                                    reinterpret_cast<u_char*>(&target));
  // In non-blocking mode libpcap asks for a short select timeout when it has
  // taken ENETDOWN off the socket; nobody else would see that error again.
  if (pcap_get_required_select_timeout(pcap) != nullptr)
    return tl::unexpected<capture_error>{loss()};
  if (result >= 0 || result == PCAP_ERROR_BREAK)
    return {};
  const std::string text = pcap_geterr(pcap);
  if (const auto error = state_error(descriptor(), index_))
    return fail_errno("read interface " + name_, error);
  return fail(capture_errc::io, "read interface " + name_ + ": " + text);
}

expected<void> live_interface::reject_all() {
  return attach({{BPF_RET | BPF_K, 0, 0, 0}});
}

expected<void> live_interface::attach(const bpf_program& program) {
  assert(program.size() <= BPF_MAXINSNS);
  sock_fprog request{};
  request.len = static_cast<unsigned short>(program.size());
  // The kernel copies the program; its interface lacks a const.
  request.filter = const_cast<sock_filter*>(program.data());
  if (::setsockopt(descriptor(), SOL_SOCKET, SO_ATTACH_FILTER, &request,
                   sizeof request)
      != 0)
    return fail_errno("attach the filter to interface " + name_, errno);
  return {};
}

kernel_counts live_interface::take_counts() {
  // Not pcap_stats(3PCAP), which adds up in 32 bits and, in promiscuous mode,
  // opens two files of sysfs each time.
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  if (::getsockopt(descriptor(), SOL_PACKET, PACKET_STATISTICS, &stats, &size)
      != 0)
    return {}; // Never for a packet socket; the counts come with the next.
  kernel_counts result;
  // tp_packets holds the drops as well (packet(7)).
  result.dropped = stats.tp_drops;
  result.taken = stats.tp_packets - stats.tp_drops;
  return result;
}

std::optional<capture_error> live_interface::take_error() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    error = errno;
  if (error == 0)
    return std::nullopt;
  if (error == ENETDOWN)
    return loss(); // Says that of an interface that is deleted, too.
  return system_error("read interface " + name_, error);
}

capture_error live_interface::loss() const {
  const auto attempt = "read interface " + name_;
  if (const auto error = state_error(descriptor(), index_))
    return system_error(attempt, error);
  // It is up again, but packets of a moment ago are missing.
  return {capture_errc::interface_down, attempt + ": it was down for a moment"};
}

} // namespace edgecap::capture

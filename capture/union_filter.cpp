#include "capture/union_filter.hpp"

#include "capture/bpf_assembler.hpp"
#include "capture/bpf_codes.hpp"
#include "capture/flow_key.hpp"
#include "capture/packet_rules.hpp"

#include <algorithm>
#include <cassert>
#include <optional>
#include <set>
#include <utility>

namespace edgecap::capture {

namespace {

using namespace bpf;

// Scratch memory. The index register holds `at` unless said otherwise.
constexpr std::uint32_t at = 0;          ///< Offset of what is examined.
constexpr std::uint32_t length = 1;      ///< Of what the socket sees.
constexpr std::uint32_t network = 2;     ///< Offset of the IP header.
constexpr std::uint32_t packet_end = 3;  ///< Offset behind the IP packet.
constexpr std::uint32_t next_header = 4; ///< Kind of the header at `at`.
constexpr std::uint32_t protocol = 5;    ///< That of the upper layer.
constexpr std::uint32_t extensions = 6;  ///< Bits as in struct flow.
constexpr std::uint32_t ports = 7;       ///< Of source and destination.

constexpr std::uint32_t no_protocol = 256;

/// Nothing is read from further behind `at`.
constexpr std::uint32_t max_header_bytes = 40;

/// A comparison and a jump; more filters than have room do not even get tried.
constexpr std::size_t min_instructions_per_filter = 3;

constexpr std::uint32_t ipv4_header_bytes = 20;
constexpr std::uint32_t ipv6_header_bytes = 40;

/// Where the addresses are in an IP header.
struct address_layout {
  ip_family family;
  std::size_t words;
  std::uint32_t source, destination;
};

constexpr address_layout ipv4_addresses{ip_family::ipv4, 1, 12, 16};
constexpr address_layout ipv6_addresses{ip_family::ipv6, 4, 8, 24};

std::uint32_t extension_bit(std::uint8_t header) {
  const auto kind = kind_of_header[header];
  return kind == 0 || kind == header_with_ports ? 0 : 1u << (kind - 1);
}

/// Writes the program. It first reads the packet, once and without a load from
/// beyond it, which would reject it although a filter has matched; and then
/// compares what it found with each filter.
class union_compiler {
public:
  /// @param everything Takes every packet, whatever the filters are.
  union_compiler(std::vector<flow_match> filters, bool everything,
                 const union_options& options)
    : filters_(std::move(filters)), everything_(everything), options_(options) {
    for (const auto& x : filters_)
      if (x.protocol && !x.wants_ports())
        wanted_extensions_ |= extension_bit(*x.protocol);
  }

  expected<bpf_program> run() {
    asm_.emit(load_length);
    asm_.emit(store, length);
    emit_link_layer();
    emit_ipv4();
    emit_filters(ipv4_addresses, ipv4_ports_, ipv4_done_);
    emit_ipv6();
    emit_filters(ipv6_addresses, ipv6_ports_, ipv6_done_);
    asm_.bind(no_ip_);
    if (!everything_)
      asm_.jump(reject_);
    emit_verdict();
    return asm_.assemble();
  }

private:
  using label = bpf_assembler::label;
  static constexpr auto next = bpf_assembler::next;

  /// Goes to `otherwise` if there are no `bytes` at `at`.
  void emit_need(std::uint32_t bytes, label otherwise) {
    asm_.emit(load_memory, at);
    asm_.emit(add, bytes);
    asm_.emit(load_index, length);
    asm_.branch(if_above_index, 0, otherwise, next);
    asm_.emit(load_index, at);
  }

  void emit_go_to(std::uint32_t offset) {
    asm_.emit(load_value, offset);
    asm_.emit(store, at);
    asm_.emit(to_index);
  }

  void emit_link_layer() {
    if (options_.layout == filter_layout::raw_ip) {
      emit_go_to(0);
      emit_need(1, no_ip_);
      asm_.emit(load_byte_at, 0);
      asm_.emit(mask, 0xf0);
      asm_.branch(if_equal, 0x40, ipv4_, next);
      asm_.branch(if_equal, 0x60, ipv6_, no_ip_);
      return;
    }
    const auto cooked = options_.layout == filter_layout::cooked;
    const std::uint32_t first = cooked ? 0 : ETH_HLEN;
    for (std::uint32_t tags = 0; tags <= max_vlan_tags; ++tags) {
      const auto offset = first + tags * 4;
      emit_go_to(offset);
      if (offset == 0) {
        asm_.emit(load_word, ancillary(SKF_AD_PROTOCOL));
      } else {
        emit_need(0, no_ip_);
        asm_.emit(load_half, offset - 2);
      }
      asm_.branch(if_equal, ETH_P_IP, ipv4_, next);
      asm_.branch(if_equal, ETH_P_IPV6, ipv6_,
                  tags < max_vlan_tags ? next : no_ip_);
      if (tags < max_vlan_tags)
        emit_any_of(vlan_ethertypes, no_ip_);
    }
  }

  /// Goes on if the accumulator is one of `values`.
  template <class Values>
  void emit_any_of(const Values& values, label otherwise) {
    const auto found = asm_.make_label();
    for (std::size_t i = 0; i < values.size(); ++i)
      asm_.branch(if_equal, values[i], found,
                  i + 1 < values.size() ? next : otherwise);
    asm_.bind(found);
  }

  /// Stores the offset behind the packet. The accumulator holds the length
  /// that the header gives, `more` is what that leaves out.
  void emit_packet_end(std::uint32_t more) {
    const auto known = asm_.make_label();
    const auto done = asm_.make_label();
    asm_.branch(if_equal, 0, next, known);
    asm_.emit(load_value, far_away);
    asm_.jump(done);
    asm_.bind(known);
    asm_.emit(add, more);
    asm_.emit(add_index);
    asm_.bind(done);
    asm_.emit(store, packet_end);
  }

  void emit_ipv4() {
    asm_.bind(ipv4_);
    emit_need(ipv4_header_bytes, no_ip_);
    asm_.emit(load_byte_at, 0);
    asm_.branch(if_at_least, 0x45, next, no_ip_);
    asm_.branch(if_at_least, 0x50, no_ip_, next);
    asm_.emit(store_index, network);
    asm_.emit(load_half_at, 2);
    emit_packet_end(0);
    asm_.emit(load_byte_at, 9);
    asm_.emit(store, protocol);
    // Only the first fragment has ports.
    asm_.emit(load_half_at, 6);
    asm_.branch(if_any_bit, 0x1fff, ipv4_done_, next);
    asm_.emit(load_byte_at, 0);
    asm_.emit(mask, 0x0f);
    asm_.emit(shift_left, 2);
    emit_step();
    emit_ports(ipv4_done_);
  }

  /// Goes as far as the accumulator says.
  void emit_step() {
    asm_.emit(add_index);
    asm_.emit(store, at);
    asm_.emit(to_index);
  }

  /// Reads the ports of the upper layer, which is here.
  void emit_ports(label otherwise) {
    asm_.emit(load_memory, protocol);
    emit_any_of(port_protocols, otherwise);
    asm_.emit(load_memory, at);
    asm_.emit(add, 4);
    asm_.emit(load_index, packet_end);
    asm_.branch(if_above_index, 0, otherwise, next);
    emit_need(4, otherwise);
    asm_.emit(load_word_at, 0);
    asm_.emit(store, ports);
  }

  void emit_ipv6() {
    const auto upper = asm_.make_label();
    const auto later_fragment = asm_.make_label();
    asm_.bind(ipv6_);
    emit_need(ipv6_header_bytes, no_ip_);
    asm_.emit(load_byte_at, 0);
    asm_.emit(mask, 0xf0);
    asm_.branch(if_equal, 0x60, next, no_ip_);
    asm_.emit(store_index, network);
    asm_.emit(load_value, no_protocol);
    asm_.emit(store, protocol);
    asm_.emit(load_value, 0);
    asm_.emit(store, extensions);
    asm_.emit(load_half_at, 4);
    emit_packet_end(ipv6_header_bytes);
    asm_.emit(load_byte_at, 6);
    asm_.emit(store, next_header);
    asm_.emit(load_value, ipv6_header_bytes);
    emit_step();
    for (std::uint32_t walked = 0; walked <= max_extension_headers; ++walked) {
      emit_header();
      if (walked < max_extension_headers)
        emit_extension_header(upper, later_fragment);
      else
        for (const auto header : extension_headers)
          asm_.branch(if_equal, header, ipv6_done_, next);
    }
    asm_.bind(upper);
    asm_.emit(store, protocol);
    emit_ports(ipv6_done_);
    asm_.jump(ipv6_ports_);
    // It has the headers behind the fragment header no more, only the kind of
    // the first of them.
    asm_.bind(later_fragment);
    asm_.emit(load_value, 8);
    emit_step();
    emit_header();
    asm_.emit(store, protocol);
    asm_.jump(ipv6_done_);
  }

  /// Ends the walk if the header at `at` is in the padding behind the packet.
  /// Notes what filters ask for; leaves the header's kind in the accumulator.
  void emit_header() {
    asm_.emit(load_memory, at);
    asm_.emit(load_index, packet_end);
    asm_.branch(if_above_index, 0, ipv6_done_, next);
    asm_.emit(load_index, at);
    asm_.emit(load_memory, next_header);
    for (const auto header : extension_headers) {
      const auto bit = extension_bit(header);
      if ((wanted_extensions_ & bit) == 0)
        continue;
      const auto other = asm_.make_label();
      asm_.branch(if_equal, header, next, other);
      asm_.emit(load_memory, extensions);
      asm_.emit(either, bit);
      asm_.emit(store, extensions);
      asm_.emit(load_memory, next_header);
      asm_.bind(other);
    }
  }

  /// Goes to the next header, or to the code for what is here.
  void emit_extension_header(label upper, label later_fragment) {
    const auto plain = asm_.make_label();
    const auto fragment = asm_.make_label();
    const auto authentication = asm_.make_label();
    const auto done = asm_.make_label();
    for (const auto kind : plain_extension_headers)
      asm_.branch(if_equal, kind, plain, next);
    asm_.branch(if_equal, IPPROTO_FRAGMENT, fragment, next);
    asm_.branch(if_equal, IPPROTO_AH, authentication, upper);
    asm_.bind(plain);
    emit_next_header(2);
    asm_.emit(load_byte_at, 1);
    asm_.emit(add, 1);
    asm_.emit(shift_left, 3);
    asm_.jump(done);
    asm_.bind(authentication);
    emit_next_header(2);
    asm_.emit(load_byte_at, 1);
    asm_.emit(add, 2);
    asm_.emit(shift_left, 2);
    asm_.jump(done);
    asm_.bind(fragment);
    emit_next_header(4);
    asm_.emit(load_half_at, 2);
    asm_.branch(if_any_bit, 0xfff8, later_fragment, next);
    asm_.emit(load_value, 8);
    asm_.bind(done);
    emit_step();
  }

  /// Reads the kind of the next header from one of which `bytes` are needed.
  void emit_next_header(std::uint32_t bytes) {
    emit_need(bytes, ipv6_done_);
    asm_.emit(load_byte_at, 0);
    asm_.emit(store, next_header);
  }

  /// Compares the packet with all filters, from `with_ports` on with those that
  /// want ports, too.
  void emit_filters(const address_layout& where, label with_ports,
                    label without_ports) {
    asm_.bind(with_ports);
    asm_.emit(load_index, network);
    emit_filters(where, true);
    asm_.bind(without_ports);
    asm_.emit(load_index, network);
    emit_filters(where, false);
    asm_.jump(no_ip_);
  }

  void emit_filters(const address_layout& where, bool with_ports) {
    for (const auto& x : filters_) {
      if (x.wants_ports() != with_ports
          || (x.family != ip_family::any && x.family != where.family))
        continue;
      const auto other = asm_.make_label();
      emit_address(x.source, where.words, where.source, other);
      emit_address(x.destination, where.words, where.destination, other);
      emit_port_pair(x, other);
      emit_protocol(x, where.family, other);
      asm_.jump(accept_);
      asm_.bind(other);
    }
  }

  void emit_address(const std::optional<ip_address>& address, std::size_t words,
                    std::uint32_t offset, label otherwise) {
    for (std::size_t i = 0; address && i < words; ++i) {
      std::uint32_t value = 0;
      for (std::size_t byte = 0; byte < 4; ++byte)
        value = value << 8 | (*address)[i * 4 + byte];
      asm_.emit(load_word_at, offset + static_cast<std::uint32_t>(i * 4));
      asm_.branch(if_equal, value, next, otherwise);
    }
  }

  void emit_port_pair(const flow_match& x, label otherwise) {
    if (!x.wants_ports())
      return;
    asm_.emit(load_memory, ports);
    if (!x.source_port)
      asm_.emit(mask, 0x0000ffff);
    if (!x.destination_port)
      asm_.emit(mask, 0xffff0000);
    const std::uint32_t source = x.source_port.value_or(0);
    asm_.branch(if_equal, source << 16 | x.destination_port.value_or(0), next,
                otherwise);
  }

  void emit_protocol(const flow_match& x, ip_family family, label otherwise) {
    if (!x.protocol)
      return;
    const auto bit = family == ip_family::ipv6 ? extension_bit(*x.protocol) : 0;
    asm_.emit(load_memory, bit != 0 ? extensions : protocol);
    if (bit != 0)
      asm_.branch(if_any_bit, bit, next, otherwise);
    else
      asm_.branch(if_equal, *x.protocol, next, otherwise);
  }

  void emit_verdict() {
    asm_.bind(accept_);
    if (options_.threshold != every_packet) {
      asm_.emit(load_word, ancillary(SKF_AD_RANDOM));
      asm_.branch(if_at_least, options_.threshold, reject_, next);
    }
    // User space will want to look at as many bytes.
    const auto enough = asm_.make_label();
    asm_.emit(load_memory, at);
    asm_.emit(add, max_header_bytes);
    asm_.branch(if_at_least, options_.snaplen_bytes, next, enough);
    asm_.emit(return_accumulator);
    asm_.bind(enough);
    asm_.emit(return_value, options_.snaplen_bytes);
    asm_.bind(reject_);
    asm_.emit(return_value, 0);
  }

  std::vector<flow_match> filters_;
  bool everything_;
  const union_options& options_;
  std::uint32_t wanted_extensions_ = 0;
  bpf_assembler asm_;
  label ipv4_ = asm_.make_label();
  label ipv4_ports_ = asm_.make_label();
  label ipv4_done_ = asm_.make_label();
  label ipv6_ = asm_.make_label();
  label ipv6_ports_ = asm_.make_label();
  label ipv6_done_ = asm_.make_label();
  label no_ip_ = asm_.make_label();
  label accept_ = asm_.make_label();
  label reject_ = asm_.make_label();
};

/// Each filter once.
std::vector<flow_match> distinct(const std::vector<flow_match>& filters) {
  std::set<flow_words> seen;
  std::vector<flow_match> result;
  for (const auto& x : filters)
    if (seen.insert(words_of(key_of(x))).second)
      result.push_back(x);
  return result;
}

std::vector<flow_match>
without_endpoints(const std::vector<flow_match>& filters) {
  std::vector<flow_match> result;
  for (const auto& x : filters)
    for (const auto& each : without_endpoints(x))
      result.push_back(each);
  return distinct(result);
}

} // namespace

expected<union_filter> compile_union(const std::vector<flow_match>& filters,
                                     const union_options& options) {
  assert(options.snaplen_bytes > 0 && options.threshold > 0);
  if (filters.empty())
    return union_filter{{{return_value, 0, 0, 0}}, union_precision::exact};
  const auto everything
    = std::any_of(filters.begin(), filters.end(),
                  [](const auto& x) { return x.everything(); });
  const auto exact = everything ? std::vector<flow_match>{} : distinct(filters);
  const auto limit
    = std::min<std::size_t>(options.max_instructions, BPF_MAXINSNS);
  if (exact.size() <= limit / min_instructions_per_filter)
    if (auto program = union_compiler{exact, everything, options}.run();
        program && program->size() <= limit)
      return union_filter{std::move(*program), union_precision::exact};
  const auto coarse = without_endpoints(exact);
  if (auto program = union_compiler{coarse, false, options}.run();
      program && program->size() <= limit)
    return union_filter{std::move(*program), union_precision::protocols};
  auto program = union_compiler{{}, true, options}.run();
  if (!program)
    return tl::unexpected<capture_error>{std::move(program.error())};
  return union_filter{std::move(*program), union_precision::none};
}

std::vector<flow_match> without_endpoints(const flow_match& filter) {
  flow_match kind;
  kind.family = filter.family;
  kind.protocol = filter.protocol;
  if (kind.protocol || !filter.wants_ports())
    return {kind};
  std::vector<flow_match> result;
  for (const auto with_ports : port_protocols) {
    kind.protocol = with_ports;
    result.push_back(kind);
  }
  return result;
}

} // namespace edgecap::capture

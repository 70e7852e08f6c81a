#include "capture/filter.hpp"

#include "capture/bpf_assembler.hpp"
#include "capture/bpf_codes.hpp"
#include "capture/flow_match.hpp"
#include "capture/packet_rules.hpp"
#include "capture/sampling.hpp"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <cstddef>
#include <optional>
#include <string>

namespace edgecap::capture {

namespace {

using namespace bpf;

// Scratch memory.
constexpr std::uint32_t next_header = 0; ///< Of the IPv6 header walk.
constexpr std::uint32_t packet_end = 1;  ///< Offset behind the IP packet.
constexpr std::uint32_t transport = 2;   ///< Offset of the upper layer.

/// Writes the program for one filter. A load from beyond the packet ends a
/// program with a rejection: a header that is cut never matches.
class compiler {
public:
  compiler(const flow_match& match, const filter_options& options)
    : match_(match), options_(options) {
    // nop
  }

  expected<bpf_program> run() {
    if (options_.incoming_only) {
      asm_.emit(load_word, ancillary(SKF_AD_PKTTYPE));
      asm_.branch(if_equal, PACKET_OUTGOING, reject_, next);
    }
    if (!match_.everything()) {
      emit_link_layer();
      if (match_.family != ip_family::ipv6)
        emit_ipv4();
      if (match_.family != ip_family::ipv4)
        emit_ipv6();
      if (match_.wants_ports())
        emit_ports();
    }
    emit_verdict();
    return asm_.assemble();
  }

private:
  using label = bpf_assembler::label;
  static constexpr auto next = bpf_assembler::next;

  /// Finds the IP header, puts its offset into the index register and goes to
  /// the code of its version.
  void emit_link_layer() {
    if (options_.layout == filter_layout::raw_ip) {
      asm_.emit(set_index, 0);
      asm_.emit(load_byte, 0);
      asm_.emit(mask, 0xf0);
      emit_version_switch(0x40, 0x60);
      asm_.jump(reject_);
      return;
    }
    // Both layouts have the ethertype right before what it tells of, but for
    // the outermost of the cooked one: that is not among the bytes.
    const auto cooked = options_.layout == filter_layout::cooked;
    const std::uint32_t first = cooked ? 0 : ETH_HLEN;
    for (std::uint32_t tags = 0; tags <= max_vlan_tags; ++tags) {
      const auto offset = first + tags * 4;
      asm_.emit(set_index, offset);
      if (offset == 0)
        asm_.emit(load_word, ancillary(SKF_AD_PROTOCOL));
      else
        asm_.emit(load_half, offset - 2);
      emit_version_switch(ETH_P_IP, ETH_P_IPV6);
      if (tags < max_vlan_tags)
        emit_any_of(vlan_ethertypes);
      else
        asm_.jump(reject_);
    }
  }

  void emit_version_switch(std::uint32_t version_4, std::uint32_t version_6) {
    if (match_.family != ip_family::ipv6)
      asm_.branch(if_equal, version_4, ipv4_, next);
    if (match_.family != ip_family::ipv4)
      asm_.branch(if_equal, version_6, ipv6_, next);
  }

  /// Goes on if the accumulator is one of `values`, rejects otherwise.
  template <class Values>
  void emit_any_of(const Values& values) {
    const auto found = asm_.make_label();
    for (std::size_t i = 0; i < values.size(); ++i)
      asm_.branch(if_equal, values[i], found,
                  i + 1 < values.size() ? next : reject_);
    asm_.bind(found);
  }

  /// Compares `words` words of an address, those at `offset` of the header.
  void emit_address(const std::optional<ip_address>& address, std::size_t words,
                    std::uint32_t offset) {
    for (std::size_t i = 0; address && i < words; ++i) {
      std::uint32_t value = 0;
      for (std::size_t byte = 0; byte < 4; ++byte)
        value = value << 8 | (*address)[i * 4 + byte];
      asm_.emit(load_word_at, offset + static_cast<std::uint32_t>(i * 4));
      asm_.branch(if_equal, value, next, reject_);
    }
  }

  /// Goes on if the accumulator holds the protocol that is asked for.
  void emit_protocol() {
    if (match_.protocol)
      asm_.branch(if_equal, *match_.protocol, next, reject_);
    else if (match_.wants_ports())
      emit_any_of(port_protocols);
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
    if (more != 0)
      asm_.emit(add, more);
    asm_.emit(add_index);
    asm_.bind(done);
    asm_.emit(store, packet_end);
  }

  void emit_ipv4() {
    asm_.bind(ipv4_);
    // Version 4 with a header of at least five words.
    asm_.emit(load_byte_at, 0);
    asm_.branch(if_at_least, 0x45, next, reject_);
    asm_.branch(if_at_least, 0x50, reject_, next);
    asm_.emit(load_byte_at, 19); // The header is whole.
    emit_address(match_.source, 1, 12);
    emit_address(match_.destination, 1, 16);
    if (match_.protocol || match_.wants_ports()) {
      asm_.emit(load_byte_at, 9);
      emit_protocol();
    }
    if (match_.wants_ports()) {
      // Only the first fragment has ports.
      asm_.emit(load_half_at, 6);
      asm_.branch(if_any_bit, 0x1fff, reject_, next);
      asm_.emit(load_half_at, 2);
      emit_packet_end(0);
      asm_.emit(load_byte_at, 0);
      asm_.emit(mask, 0x0f);
      asm_.emit(shift_left, 2);
      asm_.emit(add_index);
      asm_.emit(to_index);
    }
    if (match_.family == ip_family::any)
      asm_.jump(match_.wants_ports() ? ports_ : accept_);
  }

  void emit_ipv6() {
    asm_.bind(ipv6_);
    asm_.emit(load_byte_at, 0);
    asm_.emit(mask, 0xf0);
    asm_.branch(if_equal, 0x60, next, reject_);
    asm_.emit(load_byte_at, 39); // The header is whole.
    emit_address(match_.source, 4, 8);
    emit_address(match_.destination, 4, 24);
    if (match_.protocol || match_.wants_ports())
      emit_header_walk();
  }

  /// Walks from header to header until one of the wanted kind is found. A
  /// protocol may be an extension header itself: then any in the chain will
  /// do.
  void emit_header_walk() {
    const auto found = asm_.make_label();
    asm_.emit(load_half_at, 4);
    emit_packet_end(40);
    asm_.emit(load_byte_at, 6);
    asm_.emit(store, next_header);
    asm_.emit(load_value, 40);
    for (std::uint32_t walked = 0; walked <= max_extension_headers; ++walked) {
      asm_.emit(add_index);
      asm_.emit(to_index);
      asm_.emit(load_memory, next_header);
      emit_found(found);
      if (walked < max_extension_headers)
        emit_extension_header(found);
    }
    asm_.jump(reject_);
    asm_.bind(found);
    // What lies behind the packet's end is padding of the frame.
    if (!match_.wants_ports()) {
      asm_.emit(from_index);
      asm_.emit(load_index, packet_end);
      asm_.branch(if_above_index, 0, reject_, accept_);
    }
  }

  /// Goes to `found` if the accumulator holds a header that is asked for.
  void emit_found(label found) {
    if (match_.protocol)
      asm_.branch(if_equal, *match_.protocol, found, next);
    else
      for (const auto protocol : port_protocols)
        asm_.branch(if_equal, protocol, found, next);
  }

  /// Leaves the length of the extension header in the accumulator and the kind
  /// of the next one in scratch memory. Any other header ends the chain.
  void emit_extension_header(label found) {
    const auto plain = asm_.make_label();
    const auto fragment = asm_.make_label();
    const auto authentication = asm_.make_label();
    const auto done = asm_.make_label();
    for (const auto kind : plain_extension_headers)
      asm_.branch(if_equal, kind, plain, next);
    asm_.branch(if_equal, IPPROTO_FRAGMENT, fragment, next);
    asm_.branch(if_equal, IPPROTO_AH, authentication, reject_);
    asm_.bind(plain);
    emit_next_header();
    asm_.emit(load_byte_at, 1);
    asm_.emit(add, 1);
    asm_.emit(shift_left, 3);
    asm_.jump(done);
    asm_.bind(authentication); // RFC 4302: in words, without the first two.
    emit_next_header();
    asm_.emit(load_byte_at, 1);
    asm_.emit(add, 2);
    asm_.emit(shift_left, 2);
    asm_.jump(done);
    asm_.bind(fragment);
    emit_next_header();
    emit_fragment(found);
    asm_.emit(load_value, 8);
    asm_.bind(done);
  }

  void emit_next_header() {
    asm_.emit(load_byte_at, 0);
    asm_.emit(store, next_header);
  }

  /// A later fragment ends the walk: it has the headers behind the fragment
  /// header no more, only the kind of the first of them.
  void emit_fragment(label found) {
    const auto first = asm_.make_label();
    asm_.emit(load_half_at, 2);
    if (match_.wants_ports()) {
      asm_.branch(if_any_bit, 0xfff8, reject_, next);
      return;
    }
    asm_.branch(if_any_bit, 0xfff8, next, first);
    asm_.emit(load_memory, next_header);
    asm_.branch(if_equal, *match_.protocol, next, reject_);
    asm_.emit(load_value, 8);
    asm_.emit(add_index);
    asm_.emit(to_index);
    asm_.jump(found);
    asm_.bind(first);
  }

  /// Compares the ports, which the index register points to, if they are still
  /// in the packet: behind its end is padding of the frame.
  void emit_ports() {
    asm_.bind(ports_);
    asm_.emit(store_index, transport);
    asm_.emit(from_index);
    asm_.emit(add, 4);
    asm_.emit(load_index, packet_end);
    asm_.branch(if_above_index, 0, reject_, next);
    asm_.emit(load_index, transport);
    if (!match_.destination_port)
      asm_.emit(load_half_at, 2); // Both ports are there.
    if (match_.source_port) {
      asm_.emit(load_half_at, 0);
      asm_.branch(if_equal, *match_.source_port, next, reject_);
    }
    if (match_.destination_port) {
      asm_.emit(load_half_at, 2);
      asm_.branch(if_equal, *match_.destination_port, next, reject_);
    }
  }

  void emit_verdict() {
    asm_.bind(accept_);
    if (options_.sampling_one_in > 1) {
      asm_.emit(load_word, ancillary(SKF_AD_RANDOM));
      asm_.branch(if_at_least, threshold_of(options_.sampling_one_in), reject_,
                  next);
    }
    asm_.emit(return_value, options_.snaplen_bytes);
    asm_.bind(reject_);
    asm_.emit(return_value, 0);
  }

  const flow_match& match_;
  const filter_options& options_;
  bpf_assembler asm_;
  label ipv4_ = asm_.make_label();
  label ipv6_ = asm_.make_label();
  label ports_ = asm_.make_label();
  label accept_ = asm_.make_label();
  label reject_ = asm_.make_label();
};

} // namespace

std::vector<filter_fault> validate(const filter_fields& fields) {
  std::vector<filter_fault> result;
  parse(fields, result);
  return result;
}

expected<bpf_program> compile(const filter_fields& fields,
                              const filter_options& options) {
  const auto match = match_of(fields);
  if (!match)
    return tl::unexpected<capture_error>{match.error()};
  if (options.sampling_one_in == 0 || options.snaplen_bytes == 0)
    return fail(capture_errc::bad_filter,
                "compile filter: sampling rate and snaplen must be at least 1");
  return compiler{*match, options}.run();
}

} // namespace edgecap::capture

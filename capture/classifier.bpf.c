/* Decides in the kernel what a packet socket takes: the packets that match any
 * row of a table, however many rows that has. The counterpart of flow.cpp and
 * flow_table.hpp; see kernel_classifier.hpp.
 *
 * It reads bytes where the program of filter.cpp reads them, from the first that
 * the socket sees, and not relative to the network header (BPF_HDR_START_NET):
 * of a packet that was sent with a VLAN tag in it the kernel has this header
 * behind the tag, but the tag's ethertype as the packet's protocol. */
#include "capture/classifier.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

volatile const struct classifier_rules rules = {};

struct classifier_state state = {};

/* Of all rows that have one key, the highest threshold. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct flow_key);
  __type(value, __u32);
} rows SEC(".maps");

/* What a packet says; struct flow of flow.hpp. */
struct flow {
  struct flow_key key;
  __u32 extensions;
  __u32 end; /* Of the bytes that were looked at. */
};

/* Copies SIZE bytes at OFFSET; false if they are not all there. */
static __always_inline int load(struct __sk_buff *skb, struct flow *flow,
                                __u32 offset, void *to, __u32 size) {
  if (bpf_skb_load_bytes(skb, offset, to, size))
    return 0;
  flow->end = offset + size;
  return 1;
}

/* The upper layer begins at OFFSET; if it may have ports, they are there, and at
 * PORTS unless that is null. */
static __always_inline void set_protocol(struct __sk_buff *skb,
                                         struct flow *flow, __u8 protocol,
                                         int may_have_ports, __u32 offset,
                                         __u32 packet_end, const __u8 *ports) {
  flow->key.protocol = protocol;
  flow->key.fields |= field_protocol;
  if (!may_have_ports
      || rules.header_kinds[protocol] != rules.header_with_ports
      || offset + sizeof flow->key.ports > packet_end)
    return;
  if (ports) {
    __builtin_memcpy(flow->key.ports, ports, sizeof flow->key.ports);
    flow->end = offset + sizeof flow->key.ports;
  } else if (!load(skb, flow, offset, flow->key.ports, sizeof flow->key.ports)) {
    return;
  }
  flow->key.fields |= field_source_port | field_destination_port;
}

enum { ipv4_header_bytes = 20 }; /* Without options. */

/* HEADER is what is at OFFSET, PORTS what is behind it or null. */
static __always_inline void take_ipv4(struct __sk_buff *skb, struct flow *flow,
                                      __u32 offset, const __u8 *header,
                                      const __u8 *ports) {
  flow->key.family = family_ipv4;
  flow->key.fields = field_source | field_destination;
  __builtin_memcpy(flow->key.source, header + 12, 4);
  __builtin_memcpy(flow->key.destination, header + 16, 4);
  __u32 length = header[2] << 8 | header[3];
  __u32 packet_end = length ? offset + length : rules.far_away;
  int first_fragment = !((header[6] & 0x1f) | header[7]);
  set_protocol(skb, flow, header[9], first_fragment,
               offset + (header[0] & 0x0f) * 4, packet_end, ports);
}

static __always_inline void read_ipv4(struct __sk_buff *skb, struct flow *flow,
                                      __u32 offset) {
  __u8 header[ipv4_header_bytes];
  /* A header of at least five words. */
  if (!load(skb, flow, offset, header, sizeof header) || header[0] < 0x45
      || header[0] > 0x4f)
    return;
  take_ipv4(skb, flow, offset, header, 0);
}

/* Reads what nearly every packet is, IPv4 without a tag and without options, in
 * one go: each read is a call. False if it is something else. */
static __always_inline int read_plain_ipv4(struct __sk_buff *skb,
                                           struct flow *flow, __u32 offset) {
  struct {
    __u8 unused[2]; /* So that what follows is aligned. */
    __u8 ethertype[2];
    __u8 header[ipv4_header_bytes];
    __u8 ports[4];
  } __attribute__((aligned(4))) start;
  if (bpf_skb_load_bytes(skb, offset - sizeof start.ethertype, start.ethertype,
                         sizeof start - sizeof start.unused)
      || start.ethertype[0] != ETH_P_IP >> 8
      || start.ethertype[1] != (ETH_P_IP & 0xff) || start.header[0] != 0x45)
    return 0;
  flow->end = offset + sizeof start.header;
  take_ipv4(skb, flow, offset, start.header, start.ports);
  return 1;
}

static __always_inline void read_ipv6(struct __sk_buff *skb, struct flow *flow,
                                      __u32 offset) {
  __u8 header[40];
  if (!load(skb, flow, offset, header, sizeof header)
      || (header[0] & 0xf0) != 0x60)
    return;
  flow->key.family = family_ipv6;
  flow->key.fields = field_source | field_destination;
  __builtin_memcpy(flow->key.source, header + 8, 16);
  __builtin_memcpy(flow->key.destination, header + 24, 16);
  __u32 length = header[4] << 8 | header[5];
  offset += sizeof header;
  __u32 packet_end = length ? offset + length : rules.far_away;
  __u8 protocol = header[6];
  int later_fragment = 0;
  for (__u32 walked = 0; walked <= rules.max_extension_headers; ++walked) {
    __u8 more[4];
    /* What lies behind the packet's end is padding of the frame. */
    if (offset > packet_end)
      return;
    __u32 kind = rules.header_kinds[protocol];
    if (kind == 0 || kind == rules.header_with_ports) {
      set_protocol(skb, flow, protocol, !later_fragment, offset, packet_end, 0);
      return;
    }
    flow->extensions |= 1u << ((kind - 1) & 7);
    /* A later fragment has the headers behind the fragment header no more, only
     * the kind of the first of them. */
    if (walked == rules.max_extension_headers || later_fragment)
      return;
    if (protocol == IPPROTO_FRAGMENT) {
      if (!load(skb, flow, offset, more, 4))
        return;
      later_fragment = more[2] != 0 || (more[3] & 0xf8) != 0;
      offset += 8;
    } else {
      if (!load(skb, flow, offset, more, 2))
        return;
      offset += protocol == IPPROTO_AH ? (more[1] + 2) * 4 : (more[1] + 1) * 8;
    }
    protocol = more[0];
  }
}

static __always_inline void read_version(struct __sk_buff *skb,
                                         struct flow *flow, __u32 version,
                                         __u32 offset) {
  if (version == 4)
    read_ipv4(skb, flow, offset);
  else if (version == 6)
    read_ipv6(skb, flow, offset);
}

static __always_inline void read_flow(struct __sk_buff *skb,
                                      struct flow *flow) {
  __u32 offset = rules.network_offset;
  __u32 version = 0;
  if (rules.raw_ip) {
    __u8 first;
    if (load(skb, flow, 0, &first, sizeof first))
      version = first >> 4;
  } else {
    if (offset > 0 && read_plain_ipv4(skb, flow, offset))
      return;
    for (__u32 tags = 0;; ++tags) {
      __be16 ethertype = skb->protocol;
      if (offset > 0
          && !load(skb, flow, offset - 2, &ethertype, sizeof ethertype))
        return;
      if (ethertype == bpf_htons(ETH_P_IP))
        version = 4;
      else if (ethertype == bpf_htons(ETH_P_IPV6))
        version = 6;
      if (version || tags >= rules.max_vlan_tags)
        break;
      if (ethertype != rules.vlan_ethertypes[0]
          && ethertype != rules.vlan_ethertypes[1]
          && ethertype != rules.vlan_ethertypes[2])
        return;
      offset += 4;
    }
  }
  read_version(skb, flow, version, offset);
}

/* What the words of both addresses add to the hash of a key. */
struct address_sums {
  __u64 source;
  __u64 destination;
};

/* The row of the given shape that PACKET matches: the higher of its threshold
 * and THRESHOLD. */
static __always_inline __u32 look_up(const struct flow_key *packet,
                                     const struct address_sums *sums,
                                     __u32 family, __u32 fields,
                                     __u32 threshold) {
  struct flow_key key;
  const __u64 *from = (const __u64 *)packet;
  const volatile __u64 *mask
    = (const volatile __u64 *)&rules.masks[fields & (field_combinations - 1)];
  __u64 *to = (__u64 *)&key;
  __u64 last = (from[4] & mask[4]) | family * rules.one_family
               | fields * rules.one_field;
  __u64 sum = (sums->source & mask[0]) + (sums->destination & mask[2])
              + last * rules.factors[4];
  __u32 place = sum >> (64 - crowd_bits);
  if (!(state.crowd[place >> 3] >> (place & 7) & 1))
    return threshold;
#pragma unroll
  for (__u32 i = 0; i < sizeof key / 8 - 1; ++i)
    to[i] = from[i] & mask[i];
  to[4] = last;
  const __u32 *found = bpf_map_lookup_elem(&rows, &key);
  return found && *found > threshold ? *found : threshold;
}

/* Number of the lowest bit of X that is set: that of the bits below it.
 * __builtin_ctzll makes Clang 14 crash. */
static __always_inline __u32 lowest_bit(__u64 x) {
  x = (x & -x) - 1;
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return x * 0x0101010101010101 >> 56;
}

/* The highest threshold of the rows that have one of SHAPES, or THRESHOLD. The
 * upper half of SHAPES is for rows of the packet's family, the lower one for
 * rows of any.
 *
 * Not static: the verifier then examines it once, for any arguments, and not for
 * each path that leads to it. Linux 5.12 is the first to do so where one is a
 * pointer. */
__attribute__((noinline)) __u32 search(const struct flow_key *packet,
                                       __u64 shapes, __u32 threshold) {
  if (!packet)
    return threshold;
  const __u64 *words = (const __u64 *)packet;
  struct address_sums sums;
  sums.source = words[0] * rules.factors[0] + words[1] * rules.factors[1];
  sums.destination = words[2] * rules.factors[2] + words[3] * rules.factors[3];
  for (int i = 0; i < 2 * field_combinations && shapes; ++i) {
    __u32 shape = lowest_bit(shapes);
    shapes &= shapes - 1;
    __u32 family = shape < field_combinations ? family_any : packet->family;
    threshold = look_up(packet, &sums, family, shape % field_combinations,
                        threshold);
  }
  return threshold;
}

/* Shapes, of any family and of the packet's, that ask for some fields. */
static const __u64 with_ports = 0xfff0fff0fff0fff0;
static const __u64 with_protocol = 0xffff0000ffff0000;

static __always_inline __u32 highest_threshold(struct flow *flow,
                                               __u32 threshold) {
  __u32 family = flow->key.family;
  if (family == family_any || family >= flow_families)
    return threshold;
  __u64 shapes = (__u64)state.shapes[family] << 32 | state.shapes[family_any];
  if (!(flow->key.fields & field_source_port))
    shapes &= ~with_ports;
  if (!(flow->key.fields & field_protocol))
    threshold = search(&flow->key, shapes & ~with_protocol, threshold);
  else
    threshold = search(&flow->key, shapes, threshold);
  /* Each extension header is one more protocol of the packet. */
  shapes &= with_protocol & ~with_ports;
  for (__u32 i = 0; i < sizeof rules.extension_headers; ++i) {
    if (!(flow->extensions >> i & 1) || !shapes)
      continue;
    flow->key.protocol = rules.extension_headers[i];
    threshold = search(&flow->key, shapes, threshold);
  }
  return threshold;
}

SEC("socket")
int classify(struct __sk_buff *skb) {
  struct flow flow = {};
  __u32 threshold = state.everything;
  if (state.shapes[family_any] | state.shapes[family_ipv4]
      | state.shapes[family_ipv6]) {
    read_flow(skb, &flow);
    threshold = highest_threshold(&flow, threshold);
  }
  if (!threshold
      || (threshold != rules.every_packet
          && bpf_get_prandom_u32() >= threshold))
    return 0;
  /* User space will want to look at as many bytes. */
  return flow.end > state.snaplen_bytes ? flow.end : state.snaplen_bytes;
}

/* No helper is used that is for GPL programs only. */
char program_license[] SEC("license") = "BSD-3-Clause";

#pragma once

/* What classifier.bpf.c, which runs in the kernel, and the program around it
 * agree upon: C and C++ alike. */

#include <linux/types.h>

#ifdef __cplusplus
namespace edgecap::capture {
#endif

/* The fields of a filter. Any subset of them is a shape that rows may have. */
enum flow_field {
  field_source = 1,
  field_destination = 2,
  field_source_port = 4,
  field_destination_port = 8,
  field_protocol = 16,
  field_combinations = 32 /* So many shapes are there in each family. */
};

/* Of a row, or of a packet: one that is not IP has family_any. In step with
 * enum class ip_family. */
enum flow_family { family_any, family_ipv4, family_ipv6, flow_families };

/* Some fields of a packet, or those that a row asks for; the others are 0. */
struct flow_key {
  __u8 source[16];      /* An IPv4 address is in the first four bytes. */
  __u8 destination[16]; /* The same. */
  __be16 ports[2];      /* Of source and destination. */
  __u8 protocol;
  __u8 family; /* enum flow_family */
  __u8 fields; /* Which are there, bits of enum flow_field. */
  __u8 unused; /* Always 0. */
} __attribute__((aligned(8)));

/* How packets are read: packet_rules.hpp. Constant when the program is loaded,
 * so that the verifier knows the values. */
struct classifier_rules {
  struct flow_key masks[field_combinations]; /* Which bits of a key to keep. */
  __u8 header_kinds[256];
  __u8 extension_headers[8];
  __u16 vlan_ethertypes[3];
  __u8 header_with_ports;
  __u8 raw_ip; /* There is no ethertype; the first byte tells the version. */
  __u32 network_offset; /* Without tags. */
  __u32 max_vlan_tags;
  __u32 max_extension_headers;
  __u32 far_away;
  __u32 every_packet;
  __u64 factors[sizeof(struct flow_key) / 8]; /* Of the hash of a key. */
  __u64 one_family; /* Last word of a key with family 1 and nothing else, */
  __u64 one_field;  /* and with fields 1. */
};

enum { crowd_bits = 18 };

/* What changes while the program runs. */
struct classifier_state {
  __u32 shapes[flow_families]; /* Bit n: there are rows with the fields n. */
  __u32 everything; /* Highest threshold of rows without fields, or 0. */
  __u32 snaplen_bytes;
  /* A bit for each value of the upper bits of a key's hash: there are such keys.
   * Nearly all that is looked up is not there, and this says so from a small
   * part of the memory. */
  __u8 crowd[1 << (crowd_bits - 3)];
};

#ifdef __cplusplus
} /* namespace edgecap::capture */
#endif

/* Makes packets out of nothing: an XDP program that BPF_PROG_TEST_RUN runs with
 * BPF_F_TEST_XDP_LIVE_FRAMES (Documentation/bpf/bpf_prog_run.rst in the kernel's
 * sources). Each run stamps its number into the frame that it is given and sends
 * it out of an interface. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* In step with generator.cpp and profile.hpp. */
#define NUMBER_OFFSET 42 /* behind Ethernet, IPv4 and UDP */
#define SMALLEST 60
#define PROFILE_LENGTHS 16 /* a power of two: the verifier follows a mask */

volatile const __u32 out_interface = 0;
volatile const __u32 flows = 1;
/* Frame lengths that take turns; all alike unless the profile is mixed. */
volatile const __u32 lengths[PROFILE_LENGTHS] = {};

__u64 limit = 0;
__u64 sent = 0;

SEC("xdp")
int generate(struct xdp_md *context) {
  __u64 number = sent;
  if (number >= limit)
    return XDP_DROP;
  __u32 length = lengths[number & (PROFILE_LENGTHS - 1)];
  __u32 now_long = (__u32)(context->data_end - context->data);
  if (length != now_long
      && bpf_xdp_adjust_tail(context, (int)length - (int)now_long))
    return XDP_DROP;
  unsigned char *data = (void *)(long)context->data;
  unsigned char *end = (void *)(long)context->data_end;
  if (data + SMALLEST > end)
    return XDP_DROP;
  /* The lengths of IPv4 and UDP; its checksum of 0 says that there is none, and
   * nobody looks at that of IPv4. */
  __u32 ip_length = length - 14, udp_length = length - 34;
  data[16] = ip_length >> 8;
  data[17] = ip_length;
  data[38] = udp_length >> 8;
  data[39] = udp_length;
  /* Destination 198.51.100.FLOW. */
  data[33] = number % flows;
  *(__u64 *)(data + NUMBER_OFFSET) = number;
  sent = number + 1;
  return bpf_redirect(out_interface, 0);
}

char program_license[] SEC("license") = "GPL";

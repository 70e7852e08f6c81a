/* Makes packets out of nothing: an XDP program that BPF_PROG_TEST_RUN runs with
 * BPF_F_TEST_XDP_LIVE_FRAMES (Documentation/bpf/bpf_prog_run.rst in the kernel's
 * sources). Each run stamps its number into the frame that it is given and sends
 * it out of an interface. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* In step with generator.cpp, profile.hpp and many.py. */
#define NUMBER_OFFSET 42 /* behind Ethernet, IPv4 and UDP */
#define SMALLEST 60
#define JOB_REMAINDER 7
#define FIRST_JOB_PORT 1024
#define PROFILE_LENGTHS 16 /* a power of two: the verifier follows a mask */

volatile const __u32 out_interface = 0;
volatile const __u32 flows = 1;
/* How many jobs one in a hundred packets is for, by turns; 0: there are none. */
volatile const __u32 jobs = 0;
/* Frame lengths that take turns; all alike unless the profile is mixed. */
volatile const __u32 lengths[PROFILE_LENGTHS] = {};

__u64 limit = 0;
__u64 sent = 0;

static __always_inline void put(unsigned char *to, __u32 x) {
  to[0] = x >> 8;
  to[1] = x;
}

/* Addresses and ports of a packet. All that tells one job's packets from others'
 * is in each of them, so that a filter may ask for any. What is for nobody is of
 * 65536 flows, none of which has a job's address or port. A frame may have been
 * sent before, as another's. */
static __always_inline void address(unsigned char *data, __u64 number) {
  if (number % 100 == JOB_REMAINDER) {
    __u32 job = number / 100 % jobs;
    data[26] = 10; /* From 10.0.x.y to 10.128.x.y */
    data[27] = 0;
    put(data + 28, job);
    data[30] = 10;
    data[31] = 128;
    put(data + 32, job);
    put(data + 34, FIRST_JOB_PORT + job);
    put(data + 36, FIRST_JOB_PORT + job);
    return;
  }
  __u32 flow = (__u32)number * 2654435761u >> 16; /* Knuth's scatter. */
  data[26] = 172; /* From 172.16.x.y to 198.51.100.FLOW */
  data[27] = 16;
  put(data + 28, flow);
  data[30] = 198;
  data[31] = 51;
  data[32] = 100;
  put(data + 34, 0x8000 | flow);
  put(data + 36, 53);
}

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
  if (jobs)
    address(data, number);
  *(__u64 *)(data + NUMBER_OFFSET) = number;
  sent = number + 1;
  return bpf_redirect(out_interface, 0);
}

char program_license[] SEC("license") = "GPL";

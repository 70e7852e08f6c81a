/* Makes packets out of nothing: an XDP program that BPF_PROG_TEST_RUN runs with
 * BPF_F_TEST_XDP_LIVE_FRAMES (Documentation/bpf/bpf_prog_run.rst in the kernel's
 * sources). Each run stamps its number into the frame that it is given and sends
 * it out of an interface. */
#include "tests/bench/capture/frame.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* In step with generator.cpp and profile.hpp. */
#define PROFILE_LENGTHS 16 /* a power of two: the verifier follows a mask */

volatile const __u32 out_interface = 0;
volatile const __u32 flows = 1;
volatile const __u32 jobs = 0;
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
  if (data + smallest_frame > end)
    return XDP_DROP;
  make_packet(data, number, length, flows, jobs);
  sent = number + 1;
  return bpf_redirect(out_interface, 0);
}

char program_license[] SEC("license") = "GPL";

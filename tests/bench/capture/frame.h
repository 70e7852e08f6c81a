/* What the generator's packets say, whoever makes them: generator.bpf.c in the
 * kernel, generator.cpp outside. In step with savefile_check.cpp and many.py. */
#ifndef EDGECAP_BENCH_FRAME_H
#define EDGECAP_BENCH_FRAME_H

#include <linux/types.h>

enum {
  number_offset = 42, /* Behind Ethernet, IPv4 and UDP. */
  smallest_frame = 60,
  one_in = 100, /* So many packets is for a job. */
  job_remainder = 7,
  first_job_port = 1024
};

static inline void put_16(unsigned char *to, __u32 x) {
  to[0] = (unsigned char)(x >> 8);
  to[1] = (unsigned char)x;
}

/* Addresses and ports where one packet in a hundred is for one of JOBS, in turn.
 * All that tells its packets from others' is in each of them, so that a filter
 * may ask for any. What is for none is of 65536 flows, no address or port of
 * which is a job's. */
static inline void put_flow(unsigned char *frame, __u64 number, __u32 flows,
                            __u32 jobs) {
  if (number % one_in == job_remainder) {
    __u32 job = (__u32)(number / one_in % jobs);
    put_16(frame + 26, 10 << 8); /* From 10.0.x.y to 10.128.x.y. */
    put_16(frame + 28, job);
    put_16(frame + 30, 10 << 8 | 128);
    put_16(frame + 32, job);
    put_16(frame + 34, first_job_port + job);
    put_16(frame + 36, first_job_port + job);
  } else {
    __u32 flow = (__u32)number * 2654435761u >> 16; /* Knuth's scatter. */
    put_16(frame + 26, 172 << 8 | 16); /* From 172.16.x.y to 198.51.100.FLOW. */
    put_16(frame + 28, flow);
    put_16(frame + 30, 198 << 8 | 51);
    put_16(frame + 32, 100 << 8 | (__u32)(number % flows));
    put_16(frame + 34, 0x8000 | flow);
    put_16(frame + 36, 53);
  }
}

/* Makes LENGTH bytes the packet of that number. They may have been another one
 * before. */
static inline void make_packet(unsigned char *frame, __u64 number, __u32 length,
                               __u32 flows, __u32 jobs) {
  /* The lengths of IPv4 and UDP; its checksum of 0 says that there is none, and
   * nobody looks at that of IPv4. */
  put_16(frame + 16, length - 14);
  put_16(frame + 38, length - 34);
  if (jobs)
    put_flow(frame, number, flows, jobs);
  else
    frame[33] = (unsigned char)(number % flows); /* To 198.51.100.FLOW. */
  __builtin_memcpy(frame + number_offset, &number, sizeof number);
}

#endif

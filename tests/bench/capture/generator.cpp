// Offers numbered packets to an interface as fast as one processor can, or at a
// given rate; see README.md.
//
//   generator PROGRAM INTERFACE COUNT PROFILE FLOWS RATE JOBS
//
// PROGRAM is the compiled generator.bpf.c; PROFILE is as in profile.hpp;
// packets go to FLOWS addresses in turn, 198.51.100.0 and up; RATE is packets
// per second, 0 for as many as possible; unless JOBS is 0, one in a hundred
// packets is for one of so many jobs, in turn. Writes what it did as one line
// of JSON.

#include "tests/bench/capture/frame.h"
#include "tests/bench/capture/profile.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using bench::largest_frame;

// In step with generator.bpf.c.
struct constants {
  std::uint32_t out_interface;
  std::uint32_t flows;
  std::uint32_t jobs;
  std::array<std::uint32_t, bench::profile_lengths> lengths;
};

struct state {
  std::uint64_t limit;
  std::uint64_t sent;
};

/// Between two bursts at a given rate: the processor is for others then.
constexpr std::chrono::microseconds pause{200};

/// Frames that the kernel hands on at once, as a network driver would, or that
/// we hand on in one call.
constexpr std::uint32_t batch = 64;

/// As many as there are ports that nobody else has.
constexpr std::uint32_t max_jobs = 30000;

struct outcome {
  std::uint64_t sent;
  std::chrono::duration<double> took;
  double processor_s; ///< Of this process, what the receiver does included.
};

/// Stops the time of a generator.
class stopwatch {
public:
  outcome stop(std::uint64_t sent) const {
    return {sent, std::chrono::steady_clock::now() - begin_,
            processor_s() - processor_begin_s_};
  }

  /// Since the start.
  double elapsed_s() const {
    const std::chrono::duration<double> result
      = std::chrono::steady_clock::now() - begin_;
    return result.count();
  }

private:
  static double processor_s() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec)
           + static_cast<double>(now.tv_nsec) / 1e9;
  }

  std::chrono::steady_clock::time_point begin_
    = std::chrono::steady_clock::now();
  double processor_begin_s_ = processor_s();
};

/// Set by SIGTERM: what is sent at a given rate ends before its time.
volatile std::sig_atomic_t terminated = 0;

[[noreturn]] void fail(const char* what, int error) {
  throw std::system_error(std::abs(error), std::generic_category(), what);
}

using frame_bytes = std::array<std::uint8_t, largest_frame>;

/// Ethernet, IPv4 and UDP to port 53, but for what `make_packet` fills in. The
/// address is nobody's: what is captured is dropped right behind the tap.
frame_bytes make_template() {
  frame_bytes frame{};
  constexpr std::array<std::uint8_t, 42> headers{
    2,    0,    0, 0,  0,   0x99, 2,   0, 0,  0,  0, 1, 8, 0, // Ethernet
    0x45, 0,    0, 0,  0,   0,    0,   0, 64, 17, 0, 0,       // IPv4
    192,  0,    2, 1,  198, 51,   100, 0,                     // addresses
    0x13, 0x88, 0, 53, 0,   0,    0,   0};                    // UDP
  std::copy(headers.begin(), headers.end(), frame.begin());
  return frame;
}

struct object_closer {
  void operator()(bpf_object* x) const {
    bpf_object__close(x);
  }
};

/// As fast as it goes: the kernel runs a program that makes the packets. Each
/// call ends with a grace period of RCU, some 20 ms, so that there is one.
outcome flood(const char* file, const constants& wanted, std::uint64_t count) {
  const std::unique_ptr<bpf_object, object_closer> object{
    bpf_object__open(file)};
  if (!object)
    fail(file, errno);
  auto* constant_map = bpf_object__find_map_by_name(object.get(), ".rodata");
  auto* state_map = bpf_object__find_map_by_name(object.get(), ".bss");
  if (constant_map == nullptr || state_map == nullptr)
    throw std::runtime_error("the program is not generator.bpf.c");
  bpf_map__set_initial_value(constant_map, &wanted, sizeof wanted);
  if (const auto error = bpf_object__load(object.get()))
    fail("load the program", error);
  const std::uint32_t only = 0;
  state now{count, 0};
  const auto state_descriptor = bpf_map__fd(state_map);
  if (bpf_map_update_elem(state_descriptor, &only, &now, BPF_ANY) != 0)
    fail("set the program's state", errno);

  auto frame = make_template();
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in
    = *std::max_element(wanted.lengths.begin(), wanted.lengths.end());
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = batch;
  const auto program = bpf_program__fd(
    bpf_object__find_program_by_name(object.get(), "generate"));
  const stopwatch watch;
  while (now.sent < count) {
    options.repeat = static_cast<int>(std::min<std::uint64_t>(
      count - now.sent, std::numeric_limits<int>::max()));
    if (const auto error = bpf_prog_test_run_opts(program, &options))
      fail("run the program", error);
    if (bpf_map_lookup_elem(state_descriptor, &only, &now) != 0)
      fail("read the program's state", errno);
  }
  return watch.stop(now.sent);
}

/// A packet socket that sends from an interface and receives nothing.
int open_sender(std::uint32_t interface) {
  const int result = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(interface);
  const int yes = 1;
  if (result < 0
      || ::bind(result, reinterpret_cast<const sockaddr*>(&address),
                sizeof address)
           != 0
      || ::setsockopt(result, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes)
           != 0)
    fail("open a packet socket", errno);
  return result;
}

/// So many packets a second, from user space, until there are `count` or
/// SIGTERM comes.
outcome send_at(double rate, const constants& wanted, std::uint64_t count) {
  const auto sender = open_sender(wanted.out_interface);
  std::vector<frame_bytes> frames(batch, make_template());
  std::vector<iovec> parts(batch);
  std::vector<mmsghdr> messages(batch);
  for (std::size_t i = 0; i < batch; ++i) {
    parts[i].iov_base = frames[i].data();
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const stopwatch watch;
  std::uint64_t sent = 0;
  while (sent < count && terminated == 0) {
    const auto due
      = std::min(count, static_cast<std::uint64_t>(rate * watch.elapsed_s()))
        - sent;
    if (due == 0) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    const auto burst = std::min<std::uint64_t>(due, batch);
    for (std::size_t i = 0; i < burst; ++i) {
      const auto number = sent + i;
      const auto length = wanted.lengths[number % bench::profile_lengths];
      make_packet(frames[i].data(), number, length, wanted.flows, wanted.jobs);
      parts[i].iov_len = length;
    }
    const auto done
      = ::sendmmsg(sender, messages.data(), static_cast<unsigned>(burst), 0);
    if (done < 0 && errno != ENOBUFS)
      fail("send", errno);
    sent += static_cast<std::uint64_t>(std::max(done, 0));
  }
  ::close(sender);
  return watch.stop(sent);
}

int run(char** arguments) {
  const auto count = std::stoull(arguments[3]);
  const auto rate = std::stod(arguments[6]);
  constants wanted{};
  wanted.out_interface = if_nametoindex(arguments[2]);
  if (wanted.out_interface == 0)
    fail(arguments[2], errno);
  wanted.lengths = bench::lengths_of(arguments[4]);
  wanted.flows = static_cast<std::uint32_t>(std::stoul(arguments[5]));
  if (wanted.flows < 1 || wanted.flows > 256)
    throw std::runtime_error("FLOWS is 1 to 256");
  wanted.jobs = static_cast<std::uint32_t>(std::stoul(arguments[7]));
  if (wanted.jobs > max_jobs)
    throw std::runtime_error("JOBS is 0 to " + std::to_string(max_jobs));
  std::signal(SIGTERM, [](int) { terminated = 1; });
  const auto done = rate > 0 ? send_at(rate, wanted, count)
                             : flood(arguments[1], wanted, count);
  std::printf(R"({"sent": %llu, "seconds": %.6f, "processor_s": %.6f})"
              "\n",
              static_cast<unsigned long long>(done.sent), done.took.count(),
              done.processor_s);
  return 0;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    std::cerr << "Usage: generator PROGRAM INTERFACE COUNT PROFILE FLOWS RATE "
                 "JOBS\n";
    return 2;
  }
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::cerr << "generator: " << error.what() << '\n';
    return 1;
  }
}

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

#include "tests/bench/capture/profile.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

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

/// Between two system calls at a given rate: the processor is for others then.
constexpr std::chrono::microseconds pause{200};

/// Frames that the kernel hands on at once, as a network driver would.
constexpr std::uint32_t batch = 64;

/// As many as there are ports that nobody else has.
constexpr std::uint32_t max_jobs = 30000;

[[noreturn]] void fail(const char* what, int error) {
  throw std::system_error(std::abs(error), std::generic_category(), what);
}

/// Ethernet, IPv4 and UDP to port 53, but for what the program fills in. The
/// address is nobody's: what is captured is dropped right behind the tap.
std::array<std::uint8_t, largest_frame> make_template() {
  std::array<std::uint8_t, largest_frame> frame{};
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

int run(char** arguments) {
  const auto index = if_nametoindex(arguments[2]);
  if (index == 0)
    fail(arguments[2], errno);
  const auto count = std::stoull(arguments[3]);
  const auto rate = std::stod(arguments[6]);
  constants wanted{};
  wanted.out_interface = index;
  wanted.lengths = bench::lengths_of(arguments[4]);
  wanted.flows = static_cast<std::uint32_t>(std::stoul(arguments[5]));
  if (wanted.flows < 1 || wanted.flows > 256)
    throw std::runtime_error("FLOWS is 1 to 256");
  wanted.jobs = static_cast<std::uint32_t>(std::stoul(arguments[7]));
  if (wanted.jobs > max_jobs)
    throw std::runtime_error("JOBS is 0 to " + std::to_string(max_jobs));

  const std::unique_ptr<bpf_object, object_closer> object{
    bpf_object__open(arguments[1])};
  if (!object)
    fail(arguments[1], errno);
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
  const auto begin = std::chrono::steady_clock::now();
  while (now.sent < count) {
    std::uint64_t due = count - now.sent;
    if (rate > 0) {
      std::this_thread::sleep_for(pause);
      const std::chrono::duration<double> elapsed
        = std::chrono::steady_clock::now() - begin;
      due = std::min(due, static_cast<std::uint64_t>(rate * elapsed.count())
                            - now.sent);
    }
    if (due == 0)
      continue;
    options.repeat = static_cast<int>(
      std::min<std::uint64_t>(due, std::numeric_limits<int>::max()));
    if (const auto error = bpf_prog_test_run_opts(program, &options))
      fail("run the program", error);
    if (bpf_map_lookup_elem(state_descriptor, &only, &now) != 0)
      fail("read the program's state", errno);
  }
  const auto seconds
    = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin);
  std::printf(R"({"sent": %llu, "seconds": %.6f})"
              "\n",
              static_cast<unsigned long long>(now.sent), seconds.count());
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

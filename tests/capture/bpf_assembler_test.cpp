// Programs are run by the kernel, on a socket pair: the number of bytes that
// arrive is what the program returned.

#include "capture/bpf_assembler.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <vector>

namespace edgecap::capture {

namespace {

constexpr std::uint16_t load_half = BPF_LD | BPF_H | BPF_ABS;
constexpr std::uint16_t return_value = BPF_RET | BPF_K;

/// What `program` returns for a packet that begins with `value`, up to 4096.
std::size_t run(bpf_program program, unsigned value) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0)
    throw std::system_error{errno, std::generic_category(), "socketpair"};
  const sock_fprog request{static_cast<unsigned short>(program.size()),
                           program.data()};
  if (::setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &request,
                   sizeof request)
      != 0)
    throw std::system_error{errno, std::generic_category(), "SO_ATTACH_FILTER"};
  std::vector<std::byte> packet(4096);
  packet[0] = static_cast<std::byte>(value >> 8);
  packet[1] = static_cast<std::byte>(value);
  EXPECT_EQ(::send(ends[0], packet.data(), packet.size(), 0), 4096);
  const auto n = ::recv(ends[1], packet.data(), packet.size(), 0);
  ::close(ends[0]);
  ::close(ends[1]);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

/// Compares the packet with 1 to `cases` and returns what it found; each
/// branch is farther from its target than the one before.
bpf_program switch_of(unsigned cases) {
  bpf_assembler code;
  std::vector<bpf_assembler::label> found(cases);
  for (auto& x : found)
    x = code.make_label();
  const auto other = code.make_label();
  code.emit(load_half, 0);
  for (unsigned i = 0; i < cases; ++i)
    code.branch(BPF_JEQ | BPF_K, cases - i, found[cases - 1 - i],
                bpf_assembler::next);
  code.jump(other);
  for (unsigned i = 0; i < cases; ++i) {
    code.bind(found[i]);
    code.emit(return_value, i + 1);
  }
  code.bind(other);
  code.emit(return_value, 4000);
  return code.assemble().value();
}

TEST(BpfAssembler, ReachesNearAndFarTargets) {
  for (const auto cases : {1u, 120u, 127u, 128u, 129u, 300u, 700u}) {
    const auto program = switch_of(cases);
    for (unsigned i = 1; i <= cases; ++i)
      ASSERT_EQ(run(program, i), i) << cases;
    EXPECT_EQ(run(program, cases + 1), 4000u) << cases;
  }
}

TEST(BpfAssembler, TakesDetoursOnlyWhereItMust) {
  EXPECT_EQ(switch_of(100).size(), 2 * 100u + 3);
}

/// A branch with both targets far or near, in every combination.
bpf_program fork_of(std::size_t before_yes, std::size_t before_no) {
  bpf_assembler code;
  const auto yes = code.make_label();
  const auto no = code.make_label();
  code.emit(load_half, 0);
  code.branch(BPF_JGE | BPF_K, 10, yes, no);
  for (std::size_t i = 0; i < before_yes; ++i)
    code.emit(return_value, 1);
  code.bind(yes);
  code.emit(return_value, 2);
  for (std::size_t i = 0; i < before_no; ++i)
    code.emit(return_value, 3);
  code.bind(no);
  code.emit(return_value, 4);
  return code.assemble().value();
}

TEST(BpfAssembler, ReachesBothTargetsOfABranch) {
  for (const auto before_yes : {1u, 100u, 253u, 254u, 255u, 256u, 257u, 1000u})
    for (const auto before_no : {0u, 1u, 153u, 154u, 155u, 254u, 255u, 1000u}) {
      const auto program = fork_of(before_yes, before_no);
      EXPECT_EQ(run(program, 10), 2u) << before_yes << ' ' << before_no;
      EXPECT_EQ(run(program, 9), 4u) << before_yes << ' ' << before_no;
    }
}

TEST(BpfAssembler, RefusesWhatTheKernelWould) {
  for (const auto size : {std::size_t{BPF_MAXINSNS}, BPF_MAXINSNS + 1ul}) {
    bpf_assembler code;
    for (std::size_t i = 0; i < size; ++i)
      code.emit(return_value, 1);
    const auto program = code.assemble();
    EXPECT_EQ(program.has_value(), size == BPF_MAXINSNS);
    if (program)
      EXPECT_EQ(run(*program, 0), 1u);
    else
      EXPECT_EQ(program.error().code, capture_errc::bad_filter);
  }
}

} // namespace

} // namespace edgecap::capture

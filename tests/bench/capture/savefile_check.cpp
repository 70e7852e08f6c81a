// Compares a classic savefile with what the generator sent; see README.md.
//
//   savefile_check FILE COUNT FLOWS FLOW
//
// Each packet must be one of the COUNT that were sent (to FLOW alone, unless
// that is -1), in their order, none twice, with the bytes and the original
// length that it was sent with. Writes one line of JSON: how many there are and
// are missing, the numbers of the first and the last, when the first came, and
// how many are from each hundredth of what was sent and from each flow. Says
// what is wrong otherwise and exits with 1.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace {

// In step with generator.cpp.
constexpr std::size_t number_offset = 42;
constexpr std::size_t flow_offset = 33;
constexpr std::size_t ip_length_offset = 16;
constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t smallest_frame = 60;

constexpr std::uint32_t magic_us = 0xa1b2c3d4;
constexpr std::uint32_t magic_ns = 0xa1b23c4d;
constexpr std::size_t file_header_bytes = 24;

constexpr std::size_t positions = 100;

struct record {
  std::uint32_t seconds;
  std::uint32_t fraction;
  std::uint32_t captured;
  std::uint32_t original;
};

[[noreturn]] void wrong(std::uint64_t number, const std::string& what) {
  throw std::runtime_error("record " + std::to_string(number) + ": " + what);
}

/// The zeros behind the headers and the number.
bool is_padding(const unsigned char* begin, const unsigned char* end) {
  while (begin != end && *begin == 0)
    ++begin;
  return begin == end;
}

std::string list_of(const std::vector<std::uint64_t>& counts) {
  std::string result;
  for (const auto x : counts)
    result += (result.empty() ? "[" : ", ") + std::to_string(x);
  return result + "]";
}

int run(char** arguments) {
  const int fd = ::open(arguments[1], O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  if (fd < 0 || ::fstat(fd, &facts) != 0)
    throw std::system_error(errno, std::generic_category(), arguments[1]);
  const auto size = static_cast<std::size_t>(facts.st_size);
  const auto count = std::stoull(arguments[2]);
  const auto flows = std::stoull(arguments[3]);
  const auto flow = std::stoll(arguments[4]);
  if (count == 0 || flows == 0)
    throw std::runtime_error("COUNT and FLOWS are 1 or more");
  if (size < file_header_bytes)
    throw std::runtime_error("it has no header");
  auto* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap");
  const auto* next = static_cast<const unsigned char*>(memory);
  const auto* const end = next + size;
  std::uint32_t magic = 0;
  std::memcpy(&magic, next, sizeof magic);
  if (magic != magic_us && magic != magic_ns)
    throw std::runtime_error("it is no classic savefile");
  next += file_header_bytes;
  std::uint64_t packets = 0;
  std::uint64_t first = 0;
  std::uint64_t first_ns = 0;
  std::uint64_t expected = 0; // The smallest number that may come.
  std::vector<std::uint64_t> by_position(positions);
  std::vector<std::uint64_t> by_flow(flows);
  while (next != end) {
    record header{};
    if (static_cast<std::size_t>(end - next) < sizeof header)
      wrong(packets, "its header is cut");
    std::memcpy(&header, next, sizeof header);
    const auto* frame = next + sizeof header;
    if (static_cast<std::size_t>(end - frame) < header.captured)
      wrong(packets, "it is cut");
    next = frame + header.captured;
    if (header.captured < smallest_frame)
      wrong(packets, "it is short");
    std::uint64_t number = 0;
    std::memcpy(&number, frame + number_offset, sizeof number);
    if (number >= count || number < expected)
      wrong(packets, "number " + std::to_string(number) + " after "
                       + std::to_string(expected) + " were seen or missed");
    expected = number + 1;
    const auto length
      = ethernet_bytes
        + (static_cast<std::size_t>(frame[ip_length_offset]) << 8)
        + frame[ip_length_offset + 1];
    if (header.captured != length || header.original != length)
      wrong(packets, "its length is not the one sent");
    if (frame[flow_offset] != number % flows
        || (flow >= 0 && frame[flow_offset] != flow))
      wrong(packets, "it belongs to another flow");
    if (!is_padding(frame + number_offset + sizeof number, next))
      wrong(packets, "its bytes are not those sent");
    if (packets == 0) {
      first = number;
      first_ns = header.seconds * 1'000'000'000ull
                 + header.fraction * (magic == magic_us ? 1000ull : 1ull);
    }
    ++packets;
    ++by_position[number * positions / count];
    ++by_flow[number % flows];
  }
  const auto sent
    = flow < 0
        ? count
        : count / flows + (static_cast<std::uint64_t>(flow) < count % flows);
  std::cout << R"({"packets": )" << packets << R"(, "missing": )"
            << sent - packets << R"(, "first": )" << first << R"(, "last": )"
            << expected - 1 << R"(, "first_ns": )" << first_ns
            << R"(, "by_position": )" << list_of(by_position)
            << R"(, "by_flow": )" << list_of(by_flow) << "}\n";
  return 0;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "Usage: savefile_check FILE COUNT FLOWS FLOW\n";
    return 2;
  }
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::cerr << arguments[1] << ": " << error.what() << '\n';
    return 1;
  }
}

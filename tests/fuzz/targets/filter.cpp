// Any fields as a filter: it is refused with a reason, or compiles to a program
// that libpcap finds sound, and that tells packets apart as the fields say.
#include "capture/filter.hpp"

#include "tests/fuzz/target.hpp"

#include <pcap/pcap.h>

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace edgecap;
using namespace edgecap::capture;
using fuzz::input_reader;
using fuzz::require;

// libpcap's instructions are the kernel's.
static_assert(sizeof(bpf_insn) == sizeof(sock_filter));

/// Which fields are there, one bit each.
enum present : unsigned {
  has_source = 1,
  has_destination = 2,
  has_source_port = 4,
  has_destination_port = 8,
  has_protocol = 16,
};

filter_fields read_fields(input_reader& in) {
  filter_fields result;
  const unsigned present = in.byte();
  if (present & has_source_port)
    result.source_port = in.half();
  if (present & has_destination_port)
    result.destination_port = in.half();
  if (present & has_protocol)
    result.protocol = in.byte();
  if (present & has_source)
    result.source_address = in.line();
  if (present & has_destination)
    result.destination_address = in.line();
  return result;
}

filter_options read_options(input_reader& in) {
  filter_options result;
  constexpr std::array layouts{filter_layout::ethernet, filter_layout::raw_ip,
                               filter_layout::cooked};
  result.layout = layouts.at(in.byte() % layouts.size());
  result.incoming_only = in.byte() % 2 == 1;
  result.sampling_one_in = in.word();
  result.snaplen_bytes = in.word();
  return result;
}

bool sound(const capture::bpf_program& program) {
  std::vector<bpf_insn> copy(program.size());
  std::memcpy(copy.data(), program.data(),
              program.size() * sizeof(sock_filter));
  return bpf_validate(copy.data(), static_cast<int>(copy.size())) == 1;
}

// -- what a filter without link layer, tags and randomness matches
// -------------

struct packet {
  std::array<std::uint8_t, 4> source{}, destination{};
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t protocol = 17;
};

std::vector<std::uint8_t> bytes_of(const packet& x) {
  std::vector<std::uint8_t> result(28, 0);
  result[0] = 0x45;
  result[3] = 28; // Total length.
  result[9] = x.protocol;
  std::copy(x.source.begin(), x.source.end(), result.begin() + 12);
  std::copy(x.destination.begin(), x.destination.end(), result.begin() + 16);
  const auto put = [&result](std::size_t at, std::uint16_t value) {
    result[at] = static_cast<std::uint8_t>(value >> 8);
    result[at + 1] = static_cast<std::uint8_t>(value);
  };
  put(20, x.source_port);
  put(22, x.destination_port);
  return result;
}

bool names(const std::string& text, const std::array<std::uint8_t, 4>& bytes) {
  std::array<std::uint8_t, 4> address{};
  return inet_pton(AF_INET, text.c_str(), address.data()) == 1
         && address == bytes;
}

bool has_ports(std::uint8_t protocol) {
  return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132
         || protocol == 136;
}

/// The rules of docs/filter.md for a whole IPv4 packet, in their own words.
bool expected_match(const filter_fields& wanted, const packet& x) {
  const auto wants_ports = wanted.source_port || wanted.destination_port;
  return (!wanted.source_address || names(*wanted.source_address, x.source))
         && (!wanted.destination_address
             || names(*wanted.destination_address, x.destination))
         && (!wants_ports || has_ports(x.protocol))
         && (!wanted.source_port || *wanted.source_port == x.source_port)
         && (!wanted.destination_port
             || *wanted.destination_port == x.destination_port)
         && (!wanted.protocol || *wanted.protocol == x.protocol);
}

/// A packet that the filter asks for, as far as it says.
packet wanted_packet(const filter_fields& wanted) {
  packet result;
  if (wanted.source_address)
    inet_pton(AF_INET, wanted.source_address->c_str(), result.source.data());
  if (wanted.destination_address)
    inet_pton(AF_INET, wanted.destination_address->c_str(),
              result.destination.data());
  result.source_port = wanted.source_port.value_or(0);
  result.destination_port = wanted.destination_port.value_or(0);
  result.protocol = wanted.protocol.value_or(17);
  return result;
}

void compare(const capture::bpf_program& program, const filter_fields& wanted,
             const packet& x) {
  const auto bytes = bytes_of(x);
  const auto size = static_cast<u_int>(bytes.size());
  std::vector<bpf_insn> copy(program.size());
  std::memcpy(copy.data(), program.data(),
              program.size() * sizeof(sock_filter));
  const auto matched = bpf_filter(copy.data(), bytes.data(), size, size) != 0;
  require(matched == expected_match(wanted, x),
          "a program matches what its fields say");
}

void compare_near_misses(const capture::bpf_program& program,
                         const filter_fields& wanted, input_reader& in) {
  const auto x = wanted_packet(wanted);
  compare(program, wanted, x);
  auto other = x;
  other.source[in.byte() % 4] ^= in.byte();
  compare(program, wanted, other);
  other = x;
  other.destination[in.byte() % 4] ^= in.byte();
  compare(program, wanted, other);
  other = x;
  other.source_port = in.half();
  compare(program, wanted, other);
  other = x;
  other.destination_port = in.half();
  compare(program, wanted, other);
  other = x;
  other.protocol = in.byte();
  compare(program, wanted, other);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  input_reader in{fuzz::text_of(data, size)};
  const auto fields = read_fields(in);
  const auto options = read_options(in);
  const auto faults = validate(fields);
  for (const auto& x : faults)
    require(!x.field.empty() && !x.message.empty(), "a fault says what it is");
  const auto program = compile(fields, options);
  if (!program) {
    require(!faults.empty() || options.sampling_one_in == 0
              || options.snaplen_bytes == 0,
            "a good filter compiles");
    return 0;
  }
  require(faults.empty(), "a faulty filter does not compile");
  require(sound(*program), "libpcap finds the program sound");
  filter_options plain;
  plain.layout = filter_layout::raw_ip;
  if (const auto simple = compile(fields, plain))
    compare_near_misses(*simple, fields, in);
  return 0;
}

#include "capture/savefile.hpp"
#include "capture/sll2.hpp"
#include "tests/support/packets.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace edgecap::capture {

namespace {

using test::bytes;

bytes raw(std::initializer_list<unsigned> values) {
  bytes result;
  for (const auto x : values)
    result.push_back(static_cast<std::byte>(x));
  return result;
}

bytes operator+(bytes x, const bytes& y) {
  x.insert(x.end(), y.begin(), y.end());
  return x;
}

sll2_record convert(link_type link, const bytes& packet,
                    std::uint32_t interface_index = 0x01020304,
                    std::uint32_t more_on_the_wire = 100) {
  const auto size = static_cast<std::uint32_t>(packet.size());
  return to_sll2(link, interface_index, {1, 2, size, size + more_on_the_wire},
                 packet.data());
}

bytes header_of(const sll2_record& x) {
  return {x.link_header.begin(), x.link_header.end()};
}

const auto source = raw({2, 0, 0, 0, 0, 9});
const auto unicast = raw({2, 0, 0, 0, 0, 8});

/// What is expected of an Ethernet frame from `source`.
bytes from_ethernet(unsigned type_high, unsigned type_low,
                    unsigned packet_type = 0) {
  return raw({type_high, type_low, 0, 0, 1, 2, 3, 4, 0, 1, packet_type, 6})
         + source + raw({0, 0});
}

TEST(Sll2, KeepsAnEthernetFramesPayload) {
  const auto x
    = convert(link_type::ethernet,
              unicast + source + raw({0x86, 0xdd}) + raw({0x60, 1, 2, 3}));
  EXPECT_EQ(header_of(x), from_ethernet(0x86, 0xdd));
  EXPECT_EQ(x.skipped_bytes, 14u);
  EXPECT_EQ(x.captured_length, 24u);
  EXPECT_EQ(x.original_length, 124u);
}

TEST(Sll2, TellsBroadcastAndMulticast) {
  const auto type_of = [](const bytes& destination) {
    const auto x
      = convert(link_type::ethernet, destination + source + raw({8, 0}));
    return std::to_integer<int>(x.link_header[10]);
  };
  EXPECT_EQ(type_of(unicast), 0);
  EXPECT_EQ(type_of(raw({255, 255, 255, 255, 255, 255})), 1);
  EXPECT_EQ(type_of(raw({1, 0, 0x5e, 0, 0, 1})), 2);
  EXPECT_EQ(type_of(raw({255, 255, 255, 255, 255, 254})), 2);
}

TEST(Sll2, LeavesTagsInThePayload) {
  const auto x
    = convert(link_type::ethernet,
              unicast + source + raw({0x81, 0, 0, 5, 8, 0}) + raw({0x45}));
  EXPECT_EQ(header_of(x), from_ethernet(0x81, 0));
  EXPECT_EQ(x.skipped_bytes, 14u);
}

TEST(Sll2, TellsIeee8023Frames) {
  const auto protocol_of = [](const bytes& rest) {
    return header_of(convert(link_type::ethernet, unicast + source + rest));
  };
  EXPECT_EQ(protocol_of(raw({0, 3, 0xaa, 0xaa, 3})), from_ethernet(0, 4));
  EXPECT_EQ(protocol_of(raw({0, 38, 0x42, 0x42, 3})), from_ethernet(0, 4));
  EXPECT_EQ(protocol_of(raw({0, 30, 0xff, 0xff, 0})), from_ethernet(0, 1));
  EXPECT_EQ(protocol_of(raw({0, 30, 0xff})), from_ethernet(0, 4));
  EXPECT_EQ(protocol_of(raw({5, 0xff, 0xff, 0xff})), from_ethernet(0, 1));
  EXPECT_EQ(protocol_of(raw({6, 0, 0xff, 0xff})), from_ethernet(6, 0));
}

TEST(Sll2, TakesFramesThatAreCut) {
  const auto whole = unicast + source + raw({8, 0});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const bytes cut(whole.begin(), whole.begin() + static_cast<long>(size));
    const auto x = convert(link_type::ethernet, cut);
    EXPECT_EQ(x.skipped_bytes, size);
    EXPECT_EQ(x.captured_length, 20u);
    EXPECT_EQ(x.original_length,
              size + 100 - std::min<std::size_t>(14, size + 100) + 20);
    EXPECT_EQ(x.link_header[0], std::byte{0});
    EXPECT_EQ(x.link_header[1], std::byte{0});
  }
  // Not even on the wire was it longer.
  EXPECT_EQ(convert(link_type::ethernet, raw({2, 0}), 0, 0).original_length,
            20u);
}

TEST(Sll2, TellsRawPacketsByTheirVersion) {
  const auto expected = [](unsigned high, unsigned low) {
    return raw({high, low, 0, 0, 1, 2, 3, 4, 0xff, 0xfe, 0, 0}) + bytes(8);
  };
  const auto ipv4 = convert(link_type::raw, raw({0x45, 0, 0}));
  EXPECT_EQ(header_of(ipv4), expected(8, 0));
  EXPECT_EQ(ipv4.skipped_bytes, 0u);
  EXPECT_EQ(ipv4.captured_length, 23u);
  EXPECT_EQ(ipv4.original_length, 123u);
  EXPECT_EQ(header_of(convert(link_type::raw, raw({0x60}))),
            expected(0x86, 0xdd));
  EXPECT_EQ(header_of(convert(link_type::raw, raw({0x50}))), expected(0, 0));
  EXPECT_EQ(header_of(convert(link_type::raw, {})), expected(0, 0));
}

TEST(Sll2, RearrangesSll) {
  const auto address = raw({1, 2, 3, 4, 5, 6, 7, 8});
  const auto x
    = convert(link_type::linux_sll,
              raw({0, 4, 3, 10, 0, 8}) + address + raw({8, 6}) + raw({9, 9}));
  EXPECT_EQ(header_of(x), raw({8, 6, 0, 0, 1, 2, 3, 4, 3, 10, 4, 8}) + address);
  EXPECT_EQ(x.skipped_bytes, 16u);
  EXPECT_EQ(x.captured_length, 22u);
  EXPECT_EQ(x.original_length, 122u);
  // An address that is longer than the field says so; readers must not trust
  // that.
  const auto lie = convert(link_type::linux_sll,
                           raw({0, 0, 0, 1, 1, 44}) + address + raw({8, 0}));
  EXPECT_EQ(lie.link_header[11], std::byte{8});
}

TEST(Sll2, CutsWhatBecomesTooLong) {
  const bytes packet(max_captured_length, std::byte{0x45});
  const auto x = convert(link_type::raw, packet, 1, 0);
  EXPECT_EQ(x.captured_length, max_captured_length);
  EXPECT_EQ(x.original_length, max_captured_length + 20);
}

TEST(Sll2, KnowsWhatItConverts) {
  EXPECT_TRUE(converts_to_sll2(link_type::ethernet));
  EXPECT_TRUE(converts_to_sll2(link_type::raw));
  EXPECT_TRUE(converts_to_sll2(link_type::linux_sll));
  EXPECT_FALSE(converts_to_sll2(link_type{105}));
}

} // namespace

} // namespace edgecap::capture

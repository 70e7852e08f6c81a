#include "capture/packet_batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace edgecap::capture {

namespace {

using bytes = std::vector<std::byte>;

struct packet {
  unix_ns time = 0;
  bytes data;
  std::uint32_t original_length = 0;

  friend bool operator==(const packet& x, const packet& y) {
    return x.time == y.time && x.data == y.data
           && x.original_length == y.original_length;
  }
};

bool append(batch_builder& builder, const packet& x) {
  const auto length = static_cast<std::uint32_t>(x.data.size());
  return builder.append(record_header::of(x.time, length, x.original_length),
                        x.data.data());
}

packet packet_of(std::size_t size, unix_ns time, unsigned value = 7) {
  return {time, bytes(size, static_cast<std::byte>(value)),
          static_cast<std::uint32_t>(size + 1000)};
}

std::vector<packet> packets_of(const packet_batch& batch) {
  std::vector<packet> result;
  batch.for_each([&](const record_header& header, const std::byte* data) {
    result.push_back({header.time(), bytes(data, data + header.captured_length),
                      header.original_length});
  });
  return result;
}

TEST(PacketBatch, IsEmptyAtFirst) {
  const packet_batch batch;
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.size_bytes(), 0u);
  EXPECT_EQ(batch.captured_bytes(), 0u);
  EXPECT_EQ(batch.data(), nullptr);
  EXPECT_TRUE(batch.ordered());
  EXPECT_TRUE(packets_of(batch).empty());
  EXPECT_EQ(batch, packet_batch{});
  EXPECT_EQ(batch, batch.prefix(0));
  EXPECT_EQ((batch_builder{link_type::ethernet, 100}.take()), packet_batch{});
}

TEST(PacketBatch, HoldsWhatWasAppended) {
  // Sizes and counts that make the buffer grow several times, and not at all.
  std::mt19937 random{1};
  for (const auto capacity : {1u, 5000u, 1u << 20}) {
    batch_builder builder{link_type::raw, capacity};
    for (int round = 0; round < 20; ++round) {
      std::vector<packet> expected;
      std::uint64_t captured = 0;
      const auto wanted = static_cast<std::size_t>(random() % 500);
      while (expected.size() < wanted) {
        const auto next = packet_of(
          random() % 1500, static_cast<unix_ns>(random()), random() % 256);
        if (!append(builder, next))
          break;
        expected.push_back(next);
        captured += next.data.size();
      }
      EXPECT_EQ(builder.packets(), expected.size());
      EXPECT_EQ(builder.size_bytes(), captured + 16 * expected.size());
      const auto batch = builder.take();
      EXPECT_EQ(packets_of(batch), expected);
      EXPECT_EQ(batch.packets(), expected.size());
      EXPECT_EQ(batch.captured_bytes(), captured);
      EXPECT_EQ(batch.link(), link_type::raw);
      EXPECT_EQ(batch.first_time(), expected.empty() ? 0 : expected[0].time);
      EXPECT_EQ(batch.last_time(), expected.empty() ? 0 : expected.back().time);
      EXPECT_TRUE(builder.empty());
      EXPECT_EQ(builder.size_bytes(), 0u);
    }
  }
}

TEST(PacketBatch, KeepsNanoseconds) {
  batch_builder builder{link_type::ethernet, 1000};
  const unix_ns time = 4'294'967'295'999'999'999; // The last that fits.
  ASSERT_TRUE(append(builder, packet_of(1, time)));
  const auto batch = builder.take();
  EXPECT_EQ(packets_of(batch)[0].time, time);
}

TEST(PacketBatch, MovesStampsWithinWhatASavefileCanSay) {
  constexpr unix_ns s = 1'000'000'000;
  constexpr unix_ns last = (unix_ns{1} << 32) * s - 1;
  const auto moved = [](unix_ns time, std::int64_t by) {
    auto x = record_header::of(time, 60, 90);
    x.move_time(by);
    EXPECT_EQ(x.captured_length, 60u);
    EXPECT_EQ(x.original_length, 90u);
    EXPECT_LT(x.nanoseconds, 1'000'000'000u);
    return x.time();
  };
  EXPECT_EQ(moved(5 * s + 1, 0), 5 * s + 1);
  EXPECT_EQ(moved(5 * s + 1, -2), 5 * s - 1);
  EXPECT_EQ(moved(5 * s - 1, s + 2), 6 * s + 1);
  EXPECT_EQ(moved(5, -6), 0);
  EXPECT_EQ(moved(last, 1), last);
  EXPECT_EQ(moved(last, std::numeric_limits<std::int64_t>::max()), last);
  EXPECT_EQ(moved(last, std::numeric_limits<std::int64_t>::min()), 0);
}

TEST(PacketBatch, NeverExceedsItsCapacity) {
  batch_builder builder{link_type::ethernet, 2 * 16 + 100};
  EXPECT_TRUE(append(builder, packet_of(50, 1)));
  EXPECT_FALSE(append(builder, packet_of(51, 2)));
  EXPECT_EQ(builder.packets(), 1u);
  EXPECT_TRUE(append(builder, packet_of(50, 2)));
  EXPECT_FALSE(append(builder, packet_of(0, 3)));
  EXPECT_EQ(builder.take().size_bytes(), 132u);
}

TEST(PacketBatch, TakesALargerPacketAlone) {
  batch_builder builder{link_type::ethernet, 100};
  EXPECT_TRUE(append(builder, packet_of(70'000, 1)));
  EXPECT_FALSE(append(builder, packet_of(1, 2)));
  const auto batch = builder.take();
  EXPECT_EQ(packets_of(batch)[0], packet_of(70'000, 1));
  EXPECT_TRUE(append(builder, packet_of(1, 2)));
  EXPECT_EQ(packets_of(builder.take())[0], packet_of(1, 2));
}

TEST(PacketBatch, KnowsWhetherItIsOrdered) {
  const auto is_ordered = [](std::initializer_list<unix_ns> times) {
    batch_builder builder{link_type::ethernet, 10'000};
    for (const auto x : times)
      append(builder, packet_of(1, x));
    return builder.take().ordered();
  };
  EXPECT_TRUE(is_ordered({5}));
  EXPECT_TRUE(is_ordered({5, 5, 6}));
  EXPECT_FALSE(is_ordered({5, 4}));
  EXPECT_FALSE(is_ordered({5, 7, 6, 8}));
}

TEST(PacketBatch, ForgetsDisorderWhenTaken) {
  batch_builder builder{link_type::ethernet, 10'000};
  append(builder, packet_of(1, 9));
  append(builder, packet_of(1, 8));
  EXPECT_FALSE(builder.take().ordered());
  append(builder, packet_of(1, 1));
  append(builder, packet_of(1, 2));
  const auto batch = builder.take();
  EXPECT_TRUE(batch.ordered());
  EXPECT_EQ(batch.first_time(), 1);
}

TEST(PacketBatch, PrefixIsWhatWouldHaveBeenCollected) {
  std::mt19937 random{2};
  std::vector<packet> all;
  all.reserve(40);
  for (int i = 0; i < 40; ++i)
    all.push_back(packet_of(random() % 100, random() % 30));
  const auto collect = [&](std::size_t n) {
    batch_builder builder{link_type::linux_sll, 100'000};
    for (std::size_t i = 0; i < n; ++i)
      append(builder, all[i]);
    return builder.take();
  };
  const auto whole = collect(all.size());
  for (std::uint32_t n = 0; n <= all.size() + 1; ++n) {
    const auto cut = whole.prefix(n);
    const auto expected = collect(std::min<std::size_t>(n, all.size()));
    EXPECT_EQ(cut, expected);
    EXPECT_EQ(packets_of(cut), packets_of(expected));
    EXPECT_EQ(cut.link(), link_type::linux_sll);
    EXPECT_EQ(cut.captured_bytes(), expected.captured_bytes());
    EXPECT_EQ(cut.first_time(), expected.first_time());
    EXPECT_EQ(cut.last_time(), expected.last_time());
    EXPECT_EQ(cut.ordered(), expected.ordered());
  }
}

TEST(PacketBatch, CopiesShareTheirBytes) {
  batch_builder builder{link_type::ethernet, 10'000};
  append(builder, packet_of(10, 1));
  append(builder, packet_of(10, 2));
  packet_batch cut;
  {
    const auto batch = builder.take();
    auto copy = packet_batch{};
    copy = batch;
    EXPECT_EQ(copy.data(), batch.data());
    cut = copy.prefix(1);
    EXPECT_EQ(cut.data(), batch.data());
  }
  // What follows in the builder does not touch what it gave away.
  append(builder, packet_of(500, 3));
  EXPECT_EQ(packets_of(cut), std::vector<packet>{packet_of(10, 1)});
}

TEST(PacketBatch, ComparesByContent) {
  const auto make = [](unsigned value, link_type link) {
    batch_builder builder{link, 1000};
    append(builder, packet_of(4, 1, value));
    return builder.take();
  };
  EXPECT_EQ(make(1, link_type::ethernet), make(1, link_type::ethernet));
  EXPECT_FALSE(make(1, link_type::ethernet) == make(2, link_type::ethernet));
  EXPECT_FALSE(make(1, link_type::ethernet) == make(1, link_type::raw));
  EXPECT_FALSE(make(1, link_type::ethernet)
               == make(1, link_type::ethernet).prefix(0));
}

TEST(BufferPool, HandsOutAgainWhatCameBackLast) {
  const auto pool = std::make_shared<buffer_pool>(100);
  auto one = pool->take();
  auto other = pool->take();
  EXPECT_NE(one, other);
  const auto* last = other.get();
  one.reset();
  other.reset();
  EXPECT_EQ(pool->take().get(), last);
}

TEST(BufferPool, MayGoBeforeItsBuffers) {
  auto pool = std::make_shared<buffer_pool>(100);
  const auto buffer = pool->take();
  pool.reset();
  buffer[99] = std::byte{1};
}

TEST(BatchBuilder, FillsBuffersThatNobodyHoldsAnyMore) {
  batch_builder builder{link_type::ethernet, 10'000};
  const auto fill = [&builder] {
    while (append(builder, packet_of(1000, 1)))
      ;
    return builder.take();
  };
  auto first = fill();
  const auto kept = fill();
  EXPECT_NE(first.data(), kept.data());
  const auto* freed = first.data();
  const auto packets = packets_of(kept);
  first = {};
  const auto again = fill();
  EXPECT_EQ(again.data(), freed);
  EXPECT_EQ(packets_of(kept), packets);
}

} // namespace

} // namespace edgecap::capture

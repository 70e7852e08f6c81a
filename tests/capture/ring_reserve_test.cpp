// Rings that are made before their interface is known, on real ones.

#include "capture/helper_pool.hpp"
#include "capture/ring_reserve.hpp"
#include "tests/support/live_fixture.hpp"
#include "tests/support/netns.hpp"
#include "tests/support/packets.hpp"
#include "tests/support/traffic.hpp"

#include <gtest/gtest.h>

#include <net/if.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace edgecap::capture {
namespace {

class RingReserve : public testing::Test {
protected:
  void SetUp() override {
    net.add_veth("va", "vb");
    helpers.emplace(1);
  }

  void TearDown() override {
    helpers->stop();
  }

  static ring_options on(const char* interface) {
    ring_options result;
    result.interface = interface;
    result.interface_index = ::if_nametoindex(interface);
    return result;
  }

  void make(std::size_t size) {
    reserve.emplace(*helpers, ring_options{}, size);
  }

  /// Waits until a ring is there.
  packet_ring take() {
    std::optional<packet_ring> found;
    reserve->refill();
    EXPECT_TRUE(test::eventually([&] {
      if (auto ring = reserve->take(on("vb")))
        found.emplace(std::move(*ring));
      return found.has_value();
    }));
    return std::move(found.value());
  }

  test::scoped_network_namespace net;
  std::optional<ring_reserve> reserve;
  std::optional<helper_pool> helpers; // Goes first: it fills the reserve.
};

TEST_F(RingReserve, GivesRingsThatCapture) {
  make(1);
  test::traffic_link link{"va", "vb"};
  for (std::uint64_t i = 0; i < 3; ++i) {
    auto ring = take();
    ASSERT_TRUE(ring.bind(on("vb")));
    link.post(test::udp_frame(0, 1, 100)); // It still rejects everything.
    link.settle();
    ASSERT_TRUE(ring.attach({{BPF_RET | BPF_K, 0, 0, 262144}}));
    link.post(test::udp_frame(i, 1, 100));
    link.settle();
    EXPECT_EQ(ring.take_counts().taken, 1u);
  }
}

TEST_F(RingReserve, CapturesNothingBeforeItIsBound) {
  make(1);
  auto ring = take();
  ASSERT_TRUE(ring.attach({{BPF_RET | BPF_K, 0, 0, 262144}}));
  test::traffic_link link{"va", "vb"};
  link.post(test::udp_frame(0, 1, 100));
  link.settle();
  EXPECT_EQ(ring.take_counts().taken, 0u);
}

TEST_F(RingReserve, HasNoneOfAnotherKind) {
  make(1);
  auto larger = on("vb");
  larger.ring_bytes *= 2;
  auto slower = on("vb");
  slower.wake_interval_ms *= 2;
  auto cooked = on("vb");
  cooked.link = link_type::linux_sll;
  for (const auto& other : {larger, slower, cooked})
    EXPECT_FALSE(packet_ring::interchangeable({}, other));
  auto raw = on("vb");
  raw.link = link_type::raw;
  EXPECT_TRUE(packet_ring::interchangeable({}, raw));
  take(); // There was one, and will be.
  EXPECT_FALSE(reserve->take(larger));
}

TEST_F(RingReserve, MayBeEmpty) {
  make(0);
  EXPECT_FALSE(reserve->take(on("vb")));
}

} // namespace
} // namespace edgecap::capture

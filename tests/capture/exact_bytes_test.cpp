// A packet is delivered as it was on the wire, or cut with its true length:
// the tag that the kernel takes out is back in its place, and what the kernel
// has put together from many packets is one.

#include "tests/support/live_fixture.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace edgecap::capture {
namespace {

using test::bytes;
using test::opened_source;
using test::udp_frame;
using test::wanted_port;

/// A VLAN tag: what it is, then priority and VLAN.
struct tag {
  std::uint16_t tpid = 0;
  std::uint16_t tci = 0;
};

constexpr std::uint16_t customer = 0x8100;
constexpr std::uint16_t service = 0x88a8;

/// A frame with these tags, outermost first.
bytes tagged_frame(std::uint64_t sequence, const std::vector<tag>& tags,
                   std::size_t untagged_bytes = 200) {
  constexpr std::ptrdiff_t addresses_bytes = 12;
  bytes in_front;
  for (const auto& x : tags)
    for (const unsigned half : {x.tpid, x.tci}) {
      in_front.push_back(static_cast<std::byte>(half >> 8));
      in_front.push_back(static_cast<std::byte>(half));
    }
  auto result = udp_frame(sequence, wanted_port, untagged_bytes);
  result.insert(result.begin() + addresses_bytes, in_front.begin(),
                in_front.end());
  return result;
}

bytes prefix(const bytes& whole, std::size_t size_bytes) {
  const auto kept = std::min(whole.size(), size_bytes);
  return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept)};
}

class ExactBytes : public test::sharing_fixture {
protected:
  using record_list = std::vector<test::recording_listener::record>;

  /// What sources with these snaplens capture of what `send` lets come in:
  /// all at once if they share the interface, otherwise one after another.
  std::vector<record_list> capture(const source_options& options,
                                   const std::vector<std::uint32_t>& snaplens,
                                   const std::function<void()>& send,
                                   std::size_t packets) {
    std::vector<record_list> result;
    std::vector<opened_source> open_ones;
    for (const auto snaplen : snaplens) {
      open_ones.push_back(open_with(options, snaplen));
      if (shared() && open_ones.size() < snaplens.size())
        continue;
      send();
      for (auto& x : open_ones) {
        EXPECT_TRUE(x.heard->wait_records(packets));
        EXPECT_FALSE(stop(x).error);
        result.push_back(x.heard->now().records);
      }
      open_ones.clear();
    }
    return result;
  }

  /// Fails unless whole frames, or the beginnings that the snaplens leave of
  /// them, are what is captured of them.
  void expect_exact(const source_options& options,
                    const std::vector<std::uint32_t>& snaplens,
                    const std::vector<bytes>& sent) {
    const auto send = [&] {
      for (const auto& frame : sent)
        link->send(frame);
    };
    const auto captured = capture(options, snaplens, send, sent.size());
    for (std::size_t i = 0; i < snaplens.size(); ++i) {
      ASSERT_EQ(captured[i].size(), sent.size());
      for (std::size_t k = 0; k < sent.size(); ++k) {
        EXPECT_EQ(captured[i][k].data, prefix(sent[k], snaplens[i]))
          << "frame " << k << ", snaplen " << snaplens[i];
        EXPECT_EQ(captured[i][k].original_length, sent[k].size());
      }
    }
  }

private:
  opened_source open_with(source_options options, std::uint32_t snaplen) {
    options.snaplen_bytes = snaplen;
    options.ring_bytes = 4u << 20; // More blocks than there are packets.
    return open(options);
  }
};

TEST_P(ExactBytes, AreThoseOfTaggedFramesWhereverTheyAreCut) {
  const std::vector<bytes> sent{
    tagged_frame(0, {}),
    tagged_frame(1, {{customer, 42}}),
    tagged_frame(2, {{customer, 0xffff}}),
    tagged_frame(3, {{customer, 0xe000}}), // A priority in no VLAN.
    tagged_frame(4, {{customer, 0}}),      // Not even that.
    tagged_frame(5, {{service, 7}}),
    tagged_frame(6, {{service, 7}, {customer, 42}}),
    tagged_frame(7, {{customer, 7}, {service, 42}}),
    tagged_frame(8, {{customer, 0}, {customer, 42}}),
    tagged_frame(9, {{service, 0}, {customer, 0}}),
    tagged_frame(10, {{service, 1}, {service, 2}, {customer, 3}}),
    tagged_frame(11, {{0x9100, 7}, {customer, 42}}),
    tagged_frame(12, {{customer, 42}}, 60), // As short as a frame gets.
  };
  // From within the addresses to behind the second tag; about what the kernel
  // keeps at least; about the length of a frame with one tag; everything.
  std::vector<std::uint32_t> snaplens{60, 61,  63,  64,  65,    68,
                                      69, 203, 204, 205, 262144};
  for (std::uint32_t i = 11; i <= 23; ++i)
    snaplens.push_back(i);
  expect_exact(on("vb"), snaplens, sent);
}

TEST_P(ExactBytes, AreThoseOfTaggedFramesThatAFilterFinds) {
  const std::vector<bytes> sent{
    tagged_frame(0, {}),
    tagged_frame(1, {{customer, 42}}),
    tagged_frame(2, {{service, 7}}),
    tagged_frame(3, {{service, 7}, {customer, 42}}),
    tagged_frame(4, {{customer, 0}, {customer, 42}}),
    tagged_frame(5, {{service, 1}, {service, 2}, {customer, 3}}),
    tagged_frame(6, {{0x9100, 7}, {customer, 42}}),
  };
  // Shorter than what has to be looked at to find the ports.
  expect_exact(wanted_on("vb"), {20, 60, 262144}, sent);
}

/// Sends UDP datagrams from `va` to a neighbour that does not exist, of which
/// the kernel makes packets as late as it can: on a pair of virtual interfaces
/// never.
class segmented_datagrams {
public:
  explicit segmented_datagrams(const test::scoped_network_namespace& net)
    : socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
    net.ip("addr add 192.0.2.1/24 dev va");
    net.ip("neigh add 192.0.2.7 lladdr 02:00:00:00:00:99 dev va");
    const int segment_bytes = 1400;
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_UDP, UDP_SEGMENT, &segment_bytes,
                           sizeof segment_bytes),
              0);
  }

  void send(const bytes& payload) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(wanted_port);
    to.sin_addr.s_addr = ::inet_addr("192.0.2.7");
    EXPECT_EQ(::sendto(socket_.get(), payload.data(), payload.size(), 0,
                       reinterpret_cast<const sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(payload.size()));
  }

private:
  unique_descriptor socket_;
};

TEST_P(ExactBytes, AreThoseOfPacketsLargerThanTheLinkCarries) {
  constexpr std::size_t headers_bytes = 14 + 20 + 8;
  constexpr std::size_t largest_bytes = 65535; // gso_max_size is 65536.
  const std::vector<std::uint32_t> snaplens{60,    160,   1514,  16384,
                                            65534, 65535, 65536, 262144};
  const segmented_datagrams datagrams{*net};
  std::vector<bytes> sent;
  for (const std::size_t size_bytes :
       {std::size_t{1401}, std::size_t{20000}, largest_bytes - headers_bytes}) {
    bytes payload(size_bytes);
    for (std::size_t i = 0; i < size_bytes; ++i)
      payload[i] = static_cast<std::byte>(i * 13 + i / 251);
    sent.push_back(std::move(payload));
  }
  const auto send = [&] {
    for (const auto& payload : sent)
      datagrams.send(payload);
  };
  const auto captured = capture(on("vb"), snaplens, send, sent.size());
  for (std::size_t i = 0; i < snaplens.size(); ++i) {
    const auto& records = captured[i];
    ASSERT_EQ(records.size(), sent.size());
    for (std::size_t k = 0; k < sent.size(); ++k) {
      const auto whole_bytes = headers_bytes + sent[k].size();
      const auto& data = records[k].data;
      EXPECT_EQ(records[k].original_length, whole_bytes);
      ASSERT_EQ(data.size(), std::min<std::size_t>(whole_bytes, snaplens[i]));
      const bytes payload(data.begin() + headers_bytes, data.end());
      EXPECT_TRUE(payload == prefix(sent[k], payload.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, ExactBytes, test::every_mode, test::name_of);

} // namespace
} // namespace edgecap::capture

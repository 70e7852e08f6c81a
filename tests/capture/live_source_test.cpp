#include "capture/live_source.hpp"
#include "tests/support/fairness.hpp"
#include "tests/support/live_fixture.hpp"
#include "tests/support/steady_traffic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <linux/capability.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace edgecap::capture {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::eventually;
using test::opened_source;
using test::other_port;
using test::plenty;
using test::sequence_of;
using test::udp_frame;
using test::wanted_port;
using testing::HasSubstr;

/// Packets that a test sends where it looks for gaps.
constexpr std::uint64_t many = 20000;

/// Entries of a directory such as /proc/self/fd.
std::size_t entries(const char* directory) {
  std::filesystem::directory_iterator it{directory};
  return static_cast<std::size_t>(std::distance(it, {}));
}

/// Lets a tun interface receive wanted and other packets in turn, numbered from
/// 0, as fast as it can and for as long as it lives. A tun takes them in the
/// sender's own thread: none is lost or under way afterwards.
class mixed_traffic {
public:
  explicit mixed_traffic(const test::tun_interface& tun)
    : thread_{[this, &tun] {
        for (std::uint64_t i = 0; !done_; ++i) {
          tun.receive(test::udp_packet(i, other_port, 60));
          tun.receive(test::udp_packet(i, wanted_port, 60));
          sent_ = i + 1;
        }
      }} {}

  ~mixed_traffic() {
    done_ = true;
    thread_.join();
  }

  /// Pairs that were received so far.
  std::uint64_t sent() const {
    return sent_;
  }

private:
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::thread thread_; // Last, since it uses the others.
};

/// What concerns sources before they are open, or many of them.
class LiveCapture : public test::live_fixture {};

class LiveSource : public test::sharing_fixture {};

// -- opening ------------------------------------------------------------------

TEST_F(LiveCapture, ReportsAnInterfaceThatDoesNotExist) {
  for (const auto* name : {"eth7", "any", "", "much-too-long-for-a-name"}) {
    auto x = start(on(name));
    const auto end = await_end(x);
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, capture_errc::no_such_interface);
    EXPECT_EQ(end.error->message,
              std::string{"open interface "} + name + ": No such device");
    EXPECT_FALSE(x.heard->now().link);
  }
}

TEST_F(LiveCapture, ReportsAnInterfaceThatIsDown) {
  net->ip("link set vb down");
  auto x = start(on("vb"));
  const auto end = await_end(x);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::interface_down);
  EXPECT_EQ(end.error->message, "open interface vb: Network is down");
}

TEST_F(LiveCapture, ReportsThatItIsNotPermitted) {
  // Capabilities belong to threads, and threads inherit them.
  opened_source x;
  std::thread unprivileged{[&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    ASSERT_EQ(::syscall(SYS_capset, &header, none), 0);
    live_capture powerless{live_capture::options{}};
    x.source = powerless.open(on("vb"), x.heard);
    ASSERT_TRUE(x.heard->wait_ended());
  }};
  unprivileged.join();
  const auto end = await_end(x);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::not_permitted);
  EXPECT_EQ(end.error->message, "open interface vb: Operation not permitted");
}

TEST_F(LiveCapture, ReportsThatNoDescriptorIsLeft) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  auto tight = before;
  tight.rlim_cur = 3; // The lowest free number is above that.
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  auto x = start(on("vb"));
  const auto end = await_end(x);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::io);
  EXPECT_EQ(end.error->message, "open interface vb: Too many open files");
}

// The proof for the way in which a source opens and stops: under traffic it
// captures nothing but what matches, and misses nothing between the two.
TEST_P(LiveSource, LetsNothingElseInAndMissesNothingUnderTraffic) {
  test::tun_interface tun{*net, "tun7"};
  mixed_traffic traffic{tun};
  const int rounds = shared() ? 20 : 40; // It opens three sources each time.
  for (int round = 0; round < rounds; ++round) {
    std::uint64_t sent_at_opening = 0;
    opened_source x;
    x.heard->when_opened = [&] { sent_at_opening = traffic.sent(); };
    start(x, patient(wanted_on("tun7")));
    ASSERT_TRUE(x.heard->wait_records(500));
    const auto sent_at_stop = traffic.sent();
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
    EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
    const auto records = x.heard->now().records;
    EXPECT_EQ(end.counters.packets_matched, records.size());
    ASSERT_FALSE(records.empty());
    auto expected = sequence_of(records.front().data.data(), 0);
    EXPECT_LE(expected, sent_at_opening + 1) << "one may be on its way";
    for (const auto& record : records) {
      ASSERT_EQ(test::port_of(record.data.data(), 0), wanted_port);
      ASSERT_EQ(sequence_of(record.data.data(), 0), expected++);
    }
    EXPECT_GE(expected, sent_at_stop);
  }
}

TEST_P(LiveSource, CapturesFromTheFirstBlockOnWhenTheKernelSamples) {
  auto options = patient(wanted_on("vb"));
  options.sampling_one_in = 10;
  auto x = open(options);
  send(many);
  const auto end = stop(x);
  const auto taken = x.sequences();
  // Five standard deviations of a binomial distribution around its mean.
  const auto mean = static_cast<double>(many) / 10;
  EXPECT_NEAR(static_cast<double>(taken.size()), mean,
              5 * std::sqrt(mean * 0.9));
  // That none of the first 300 is sampled happens once in 10^13 runs.
  ASSERT_FALSE(taken.empty());
  EXPECT_LT(taken.front(), 300u);
  EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
  EXPECT_EQ(end.counters.packets_matched, std::nullopt);
  EXPECT_EQ(end.counters.packets_sampled_out, std::nullopt);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
}

// -- bytes --------------------------------------------------------------------

TEST_P(LiveSource, DeliversTheBytesThatWereSent) {
  auto x = open(on("vb"));
  std::vector<bytes> sent;
  for (std::size_t size = 60; size <= 1514; size += 7) {
    sent.push_back(udp_frame(size, wanted_port, size));
    link->send(sent.back());
  }
  const auto end = stop(x);
  const auto story = x.heard->now();
  EXPECT_EQ(story.link, link_type::ethernet);
  ASSERT_EQ(story.records.size(), sent.size());
  unix_ns last = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(story.records[i].data, sent[i]);
    EXPECT_EQ(story.records[i].original_length, sent[i].size());
    EXPECT_GE(story.records[i].time, last);
    last = story.records[i].time;
  }
  EXPECT_EQ(end.counters.packets_matched, sent.size());
  EXPECT_EQ(end.counters.packets_sampled_out, 0u);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
  EXPECT_EQ(end.counters.dropped_by_interface, 0u);
  EXPECT_EQ(end.counters.dropped_by_us, 0u);
}

TEST_P(LiveSource, StampsPacketsInNanoseconds) {
  auto x = open(on("vb"));
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
  };
  const auto before = now();
  send(200);
  const auto after = now();
  stop(x);
  bool finer_than_microseconds = false;
  for (const auto& record : x.heard->now().records) {
    EXPECT_GE(record.time, before);
    EXPECT_LE(record.time, after);
    finer_than_microseconds |= record.time % 1000 != 0;
  }
  EXPECT_TRUE(finer_than_microseconds);
}

TEST_P(LiveSource, CutsToTheSnaplenAndKeepsTheOriginalLength) {
  const auto plain = udp_frame(1, wanted_port, 1000);
  const auto tagged = udp_frame(2, wanted_port, 1000, 42);
  // The kernel takes the tag out and libpcap puts it back, which must neither
  // exceed the snaplen nor depend on it.
  for (std::uint32_t snaplen : {1u, 12u, 13u, 16u, 18u, 60u, 999u, 262144u}) {
    auto options = on("vb");
    options.snaplen_bytes = snaplen;
    auto x = open(options);
    link->send(plain);
    link->send(tagged);
    stop(x);
    const auto records = x.heard->now().records;
    ASSERT_EQ(records.size(), 2u);
    for (const auto* frame : {&plain, &tagged}) {
      const auto& record = records[frame == &tagged];
      const auto kept = std::min<std::size_t>(snaplen, frame->size());
      EXPECT_EQ(record.data,
                bytes(frame->begin(),
                      frame->begin() + static_cast<std::ptrdiff_t>(kept)));
      EXPECT_EQ(record.original_length, frame->size());
    }
  }
}

TEST_P(LiveSource, HandsOverAPacketOnAQuietLink) {
  auto options = on("vb");
  options.wake_interval_ms = 5;
  auto x = open(options);
  link->send(udp_frame(7, wanted_port, 60));
  EXPECT_TRUE(x.heard->wait_records(1));
  EXPECT_EQ(x.sequences(), std::vector<std::uint64_t>{7});
}

TEST_P(LiveSource, HandsOverTheFirstPacketAtOnceAndThenBatches) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds interval{500};
  auto options = on("vb");
  options.wake_interval_ms = 5;
  options.batch_interval_ms = interval.count();
  std::vector<clock::time_point> batches;
  opened_source x;
  x.heard->when_batch = [&] { batches.push_back(clock::now()); };
  start(x, options);
  ASSERT_TRUE(x.heard->wait_opened());
  for (std::uint64_t i = 0; i < 10; ++i) {
    link->send(udp_frame(i, wanted_port, 60));
    ASSERT_TRUE(i > 0 || x.heard->wait_records(1));
  }
  ASSERT_TRUE(x.heard->wait_records(10));
  EXPECT_EQ(x.sequences().size(), 10u);
  // Nothing is said of how soon they came: the machine may be busy.
  for (std::size_t i = 1; i < batches.size(); ++i)
    EXPECT_GE(batches[i] - batches[i - 1], interval);
  stop(x);
}

TEST_P(LiveSource, KeepsBatchesSmall) {
  auto options = on("vb");
  options.batch_bytes = 4096;
  auto x = open(options);
  send(1000, 1000);
  stop(x);
  const auto story = x.heard->now();
  EXPECT_EQ(story.records.size(), 1000u);
  EXPECT_GE(story.batches, 1000u / 4);
}

// -- other kinds of interfaces ------------------------------------------------

TEST_P(LiveSource, ReadsTunInterfacesAsRawIp) {
  test::tun_interface tun{*net, "tun7"};
  auto x = open(wanted_on("tun7"));
  // As large as a packet gets, as receive offload makes them.
  const auto packet = test::udp_packet(5, wanted_port, 65000);
  tun.receive(test::udp_packet(4, other_port, 100));
  tun.receive(packet);
  stop(x);
  const auto story = x.heard->now();
  EXPECT_EQ(story.link, link_type::raw);
  ASSERT_EQ(story.records.size(), 1u);
  EXPECT_EQ(story.records[0].data, packet);
  EXPECT_EQ(story.records[0].original_length, packet.size());
}

TEST_P(LiveSource, ReadsStrangeInterfacesCooked) {
  // Of varying headers, and of a type that no filter of ours knows.
  for (const unsigned long type : {ARPHRD_PPP, ARPHRD_IEEE802154}) {
    test::tun_interface strange{*net, "strange7", type};
    auto x = open(wanted_on("strange7"));
    const auto packet = test::udp_packet(5, wanted_port, 100);
    strange.receive(test::udp_packet(4, other_port, 100));
    strange.receive(packet);
    stop(x);
    const auto story = x.heard->now();
    EXPECT_EQ(story.link, link_type::linux_sll);
    ASSERT_EQ(story.records.size(), 1u);
    const auto& data = story.records[0].data;
    constexpr auto sll_header_bytes = 16;
    ASSERT_EQ(data.size(), packet.size() + sll_header_bytes);
    EXPECT_EQ(story.records[0].original_length, data.size());
    EXPECT_EQ(static_cast<int>(data[2]) * 256 + static_cast<int>(data[3]),
              type);
    EXPECT_EQ(data[14], std::byte{0x08}) << "the protocol is IPv4";
    EXPECT_TRUE(std::equal(packet.begin(), packet.end(),
                           data.begin() + sll_header_bytes));
  }
}

TEST_P(LiveSource, ShowsEachPacketOnceOnLoopback) {
  net->ip("link set lo up");
  const auto socket_on = [](std::uint16_t port) {
    const auto result = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(result, raw, sizeof address), 0);
    EXPECT_EQ(::connect(result, raw, sizeof address), 0);
    return result;
  };
  const auto socket = socket_on(wanted_port);
  std::uint64_t sent = 0;
  const auto exchange = [&] {
    std::uint64_t echo = 0;
    ASSERT_EQ(::send(socket, &sent, sizeof sent, 0), 8);
    ASSERT_EQ(::recv(socket, &echo, sizeof echo, 0), 8);
    ++sent;
  };
  for (int round = 0; round < 10; ++round) {
    auto x = start(patient(wanted_on("lo")));
    // Traffic during the opening, of which each packet is shown twice.
    while (!x.heard->now().link)
      exchange();
    const auto first = sent;
    for (int i = 0; i < 200; ++i)
      exchange();
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
    EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
    const auto taken = x.sequences();
    ASSERT_GE(taken.size(), 200u);
    EXPECT_LE(taken.front(), first);
    EXPECT_EQ(taken.back(), sent - 1);
    EXPECT_EQ(taken.back() - taken.front() + 1, taken.size());
    EXPECT_EQ(std::set(taken.begin(), taken.end()).size(), taken.size());
  }
  ::close(socket);
}

// -- limits -------------------------------------------------------------------

TEST_P(LiveSource, EndsByItselfExactlyAtThePacketLimit) {
  for (std::uint64_t limit : {1u, 2u, 999u, 1000u}) {
    auto options = on("vb");
    options.packet_limit = limit;
    auto x = open(options);
    send(1000);
    const auto end = await_end(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(end.counters.dropped_by_us, 0u);
    EXPECT_EQ(x.sequences(), zero_to(limit));
  }
}

// The last packet of a sample ends it: those before it are a fair sample of the
// wanted packets before it. Sources that share the interface want packets of a
// port of their own, so that no two samples are of the same packets.
TEST_P(LiveSource, SamplesFairlyUpToThePacketLimit) {
  constexpr std::uint64_t samples = 1000, limit = 100;
  constexpr std::uint32_t one_in = 4;
  // Ten standard deviations more than a source needs on average.
  constexpr std::uint64_t enough = 750;
  constexpr std::uint16_t first_port = 10000;
  const std::uint16_t at_once = shared() ? 100 : 1;
  std::vector<bytes> traffic;
  for (std::uint64_t i = 0; i < enough; ++i) {
    for (std::uint16_t k = 0; k < at_once; ++k)
      traffic.push_back(
        udp_frame(i, static_cast<std::uint16_t>(first_port + k), 60));
    traffic.push_back(udp_frame(i, other_port, 60));
  }
  idle_time = std::chrono::hours{1}; // Opens the interface once.
  start_capture();
  auto options = patient(wanted_on("vb"));
  options.sampling_one_in = one_in;
  options.packet_limit = limit;
  options.wake_interval_ms = shared() ? 20 : 5; // Many wait for few packets.
  brings_neighbours = false;
  test::expect_fair([&](test::p_values& found) {
    test::fairness judge;
    double needed = 0;
    for (std::uint64_t done = 0; done < samples; done += at_once) {
      std::vector<opened_source> all;
      for (std::uint16_t i = 0; i < at_once; ++i) {
        options.filter.destination_port
          = static_cast<std::uint16_t>(first_port + i);
        all.push_back(open(options));
      }
      if (shared())
        await_sharing("vb");
      for (const auto& frame : traffic)
        link->post(frame);
      link->settle();
      for (auto& x : all) {
        EXPECT_EQ(await_end(x).counters.dropped_by_kernel, 0u);
        auto taken = x.sequences();
        ASSERT_EQ(taken.size(), limit);
        const auto last = taken.back();
        taken.pop_back();
        judge.add(taken, last);
        needed += static_cast<double>(last + 1);
      }
    }
    found = judge.judge();
    // Packets until the n-th success: negative binomial.
    constexpr double successes = samples * limit, chance = 1.0 / one_in;
    found["of the count"]
      = test::normal_p((needed - successes / chance)
                       / (std::sqrt(successes * (1 - chance)) / chance));
  });
}

TEST_P(LiveSource, EndsAtOnceIfNoPacketIsWanted) {
  auto options = on("vb");
  options.packet_limit = 0;
  auto x = start(options);
  EXPECT_FALSE(await_end(x).error);
  EXPECT_TRUE(x.heard->now().link);
}

TEST_P(LiveSource, DeliversNothingThatIsStampedTooLate) {
  auto reference = open(on("vb"));
  send(100);
  stop(reference);
  ASSERT_EQ(reference.heard->now().records.size(), 100u);
  auto options = on("vb");
  options.not_after = reference.heard->now().records.back().time;
  auto x = open(options);
  send(100);
  const auto end = stop(x);
  EXPECT_FALSE(end.error);
  EXPECT_EQ(end.counters.packets_matched, 100u);
  EXPECT_EQ(end.counters.dropped_by_us, 0u);
  EXPECT_TRUE(x.heard->now().records.empty());
}

TEST_P(LiveSource, CorrectsTheStampsOfAWrongClock) {
  constexpr std::int64_t hour_ns = 3'600'000'000'000;
  auto options = on("vb");
  // A stamp as the kernel gives it is still in time.
  options.not_after = test::unix_now() + hour_ns / 2;
  options.stamp_correction_ns = hour_ns;
  auto x = open(options);
  const auto before = test::unix_now();
  send(100);
  const auto after = test::unix_now();
  stop(x);
  const auto records = x.heard->now().records;
  ASSERT_EQ(records.size(), 100u);
  EXPECT_GE(records.front().time, before + hour_ns);
  EXPECT_LE(records.back().time, after + hour_ns);
}

// -- counters -----------------------------------------------------------------

TEST_P(LiveSource, SaysWhenItHasCounted) {
  auto busy = open(wanted_on("vb"));
  auto others = wanted_on("vb");
  others.filter.destination_port = other_port;
  auto quiet = open(others);
  for (std::uint64_t round = 0; round < 3; ++round) {
    const auto said = busy.heard->now();
    send(10);
    ASSERT_TRUE(busy.heard->wait([&said](const auto& story) {
      return story.counted > said.counted || story.batches > said.batches;
    }));
  }
  // That it can be told what the interface dropped is all that it has to say.
  EXPECT_LE(quiet.heard->now().counted, 1u);
  EXPECT_EQ(stop(busy).counters.packets_matched, 30u);
}

TEST_F(LiveCapture, SaysNothingOfCountsThatABatchHasTold) {
  auto x = open(wanted_on("vb"));
  await_ticks();
  const auto said = x.heard->now().counted;
  send(1);
  ASSERT_TRUE(
    x.heard->wait([](const auto& story) { return story.batches > 0; }));
  EXPECT_EQ(x.source->counters().packets_matched, 1u);
  await_ticks();
  EXPECT_EQ(x.heard->now().counted, said);
}

TEST_F(LiveCapture, SaysWhatItCountsWithoutABatch) {
  auto options = wanted_on("vb");
  options.initial_credit_bytes = 0;
  auto x = open(options);
  send(10);
  ASSERT_TRUE(
    eventually([&] { return x.source->counters().packets_matched == 10u; }));
  EXPECT_TRUE(
    x.heard->wait([](const auto& story) { return story.counted > 0; }));
  EXPECT_EQ(x.heard->now().batches, 0u);
}

// -- credit -------------------------------------------------------------------

// While anybody can take packets the ring is read, so that neighbours have no
// credit here. SharedInterface has what becomes of a source when they do.

TEST_P(LiveSource, KeepsPacketsInTheRingUntilThereIsCredit) {
  neighbour_credit_bytes = 0;
  auto options = on("vb");
  options.initial_credit_bytes = 0;
  auto x = open(options);
  send(1000);
  // Of those in a shared ring nobody knows whom they are for.
  const auto known = shared() ? 0u : 1000u;
  ASSERT_TRUE(
    eventually([&] { return x.source->counters().packets_matched == known; }));
  EXPECT_TRUE(x.heard->now().records.empty());
  // One at a time first: each packet costs its record.
  constexpr std::uint64_t record_bytes = sizeof(record_header) + 100;
  for (std::size_t i = 1; i <= 10; ++i) {
    x.source->grant(record_bytes);
    ASSERT_TRUE(x.heard->wait_records(i));
    EXPECT_EQ(x.heard->now().records.size(), i);
  }
  x.source->grant(plenty);
  ASSERT_TRUE(x.heard->wait_records(1000));
  const auto end = stop(x);
  EXPECT_EQ(x.sequences(), zero_to(1000));
  EXPECT_EQ(end.counters.dropped_by_us, 0u);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
}

TEST_P(LiveSource, CountsNoPacketTwiceWhileItReadsABacklog) {
  neighbour_credit_bytes = 0;
  constexpr std::uint64_t sent = 5000;
  auto options = patient(wanted_on("vb"));
  options.initial_credit_bytes = 0;
  options.batch_bytes = 4096; // Many, each of which shows the counts.
  opened_source x;
  std::vector<std::uint64_t> counted;
  x.heard->when_batch
    = [&] { counted.push_back(x.source->counters().packets_matched.value()); };
  start(x, options);
  ASSERT_TRUE(x.heard->wait_opened());
  send(sent);
  x.source->grant(plenty);
  EXPECT_EQ(stop(x).counters.packets_matched, sent);
  ASSERT_GT(counted.size(), 100u);
  EXPECT_TRUE(std::is_sorted(counted.begin(), counted.end()));
  EXPECT_LE(*std::max_element(counted.begin(), counted.end()), sent);
}

TEST_P(LiveSource, AccountsForEveryPacketWhenCreditRunsOut) {
  neighbour_credit_bytes = 0;
  auto options = on("vb");
  options.ring_bytes = 1u << 20;
  options.initial_credit_bytes = 50000;
  auto x = open(options);
  constexpr std::uint64_t sent = 5000; // Of 1000 bytes: five times the ring.
  // The first use up the credit, so that all drops come after that.
  send_range(0, 100, 1000);
  ASSERT_TRUE(x.heard->wait(
    [](const auto& story) { return story.batch_bytes >= 50000; }));
  send_range(100, sent, 1000);
  const auto known = shared() ? std::nullopt : std::optional{sent};
  ASSERT_TRUE(
    eventually([&] { return x.source->counters().packets_matched == known; }));
  EXPECT_GE(x.heard->now().batch_bytes, 50000u);
  EXPECT_LT(x.heard->now().batch_bytes, 50000u + 1000 + 16);
  x.source->grant(plenty);
  const auto end = stop(x);
  const auto taken = x.sequences();
  EXPECT_EQ(end.counters.packets_matched, known);
  EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
  EXPECT_GT(end.counters.dropped_by_us, 0u);
  EXPECT_EQ(taken.size() + end.counters.dropped_by_us, sent);
  EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
  EXPECT_EQ(std::set(taken.begin(), taken.end()).size(), taken.size());
}

TEST_P(LiveSource, GivesUpWhatNobodyGrantsCreditForAtStop) {
  neighbour_credit_bytes = 0;
  auto options = on("vb");
  options.initial_credit_bytes = 1;
  auto x = open(options);
  send(100);
  const auto end = stop(x);
  EXPECT_FALSE(end.error);
  EXPECT_EQ(x.sequences(), zero_to(1));
  EXPECT_EQ(end.counters.packets_matched,
            shared() ? std::nullopt : std::optional{100u});
  EXPECT_EQ(end.counters.dropped_by_us, 99u);
}

TEST_P(LiveSource, UsesCreditThatComesWhileDraining) {
  neighbour_credit_bytes = 0;
  auto options = on("vb");
  options.initial_credit_bytes = 1;
  auto x = open(options);
  send(100);
  ASSERT_TRUE(x.heard->wait_records(1));
  x.source->stop();
  x.source->grant(plenty);
  const auto end = await_end(x);
  EXPECT_EQ(x.sequences(), zero_to(100));
  EXPECT_EQ(end.counters.dropped_by_us, 0u);
}

// -- stopping -----------------------------------------------------------------

TEST_P(LiveSource, DeliversTheOpenBlockAtStop) {
  for (int round = 0; round < 20; ++round) {
    auto options = on("vb");
    options.wake_interval_ms = 100; // Long after `stop` was called.
    auto x = open(options);
    send(500);
    const auto end = stop(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(x.sequences(), zero_to(500));
  }
}

TEST_P(LiveSource, CanBeStoppedTwiceAndBeforeItIsOpen) {
  auto x = start(on("vb"));
  x.source->stop();
  x.source->stop();
  EXPECT_FALSE(await_end(x).error);
}

TEST_P(LiveSource, EndsWhenItsHandleIsDropped) {
  auto x = open(on("vb"));
  x.source.reset();
  EXPECT_FALSE(await_end(x).error);
  auto opening = start(on("vb"));
  opening.source.reset();
  EXPECT_FALSE(await_end(opening).error);
}

TEST_P(LiveSource, EndsWithTheCapture) {
  auto open_one = open(on("vb"));
  auto opening = start(on("vb"));
  live.reset();
  EXPECT_FALSE(await_end(open_one).error);
  EXPECT_FALSE(await_end(opening).error);
  // What is left of the handles does nothing.
  open_one.source->grant(1);
  open_one.source->stop();
  open_one.source.reset();
}

// -- interfaces that go away --------------------------------------------------

TEST_P(LiveSource, EndsWithAnErrorWhenItsInterfaceIsDeleted) {
  auto options = on("vb");
  options.wake_interval_ms = 100;
  auto x = open(options);
  send(100);
  net->ip("link delete vb");
  const auto end = await_end(x);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::no_such_interface);
  EXPECT_EQ(end.error->message, "read interface vb: No such device");
  EXPECT_EQ(x.sequences(), zero_to(100));
  EXPECT_EQ(end.counters.packets_matched, 100u);
  EXPECT_EQ(end.counters.dropped_by_interface, std::nullopt);
}

TEST_P(LiveSource, TellsADeletedInterfaceFromOneThatIsDown) {
  // The kernel sets all interfaces of a group down before it deletes the first.
  std::vector<opened_source> all;
  for (int i = 0; i < 20; ++i) {
    const auto name = "x" + std::to_string(i);
    net->ip("link add " + name + " group 7 type veth peer name y"
            + std::to_string(i));
    net->ip("link set " + name + " up");
    all.push_back(open(on(name)));
  }
  net->ip("link delete group 7");
  for (auto& x : all) {
    const auto end = await_end(x);
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, capture_errc::no_such_interface)
      << end.error->message;
  }
}

TEST_P(LiveSource, EndsWithAnErrorWhenItsInterfaceIsSetDown) {
  auto x = open(on("vb"));
  send(100);
  net->ip("link set vb down");
  const auto end = await_end(x);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::interface_down);
  EXPECT_EQ(end.error->message, "read interface vb: Network is down");
  EXPECT_EQ(x.sequences(), zero_to(100));
}

TEST_P(LiveSource, NoticesALostInterfaceWithoutCredit) {
  auto options = on("vb");
  options.initial_credit_bytes = 1;
  auto x = open(options);
  send(100);
  ASSERT_TRUE(x.heard->wait_records(1));
  net->ip("link delete vb");
  const auto end = await_end(x);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, capture_errc::no_such_interface);
  EXPECT_EQ(end.counters.dropped_by_us, 99u);
}

TEST_P(LiveSource, SurvivesThatItsInterfaceIsRenamed) {
  auto x = open(on("vb"));
  net->ip("link set vb name vc");
  send(10);
  EXPECT_FALSE(stop(x).error);
  EXPECT_EQ(x.sequences(), zero_to(10));
}

INSTANTIATE_TEST_SUITE_P(, LiveSource, test::every_mode, test::name_of);

// -- many ---------------------------------------------------------------------

TEST_F(LiveCapture, ServesHundredsAtOnceAndLeavesNothingBehind) {
  // Once before the count, for what libraries open and keep at first use.
  auto warm = open(on("vb"));
  stop(warm);
  ASSERT_TRUE(eventually([] {
    std::ifstream in{"/proc/net/packet"};
    return std::count(std::istreambuf_iterator<char>{in}, {}, '\n') == 3;
  }))
    << "the heading and the two sockets of the test's traffic";
  const auto descriptors = entries("/proc/self/fd");
  const auto threads = entries("/proc/self/task");
  constexpr std::size_t sources = 200;
  std::vector<opened_source> all;
  for (std::size_t i = 0; i < sources; ++i)
    all.push_back(start(on("vb")));
  for (auto& x : all)
    ASSERT_TRUE(x.heard->wait_opened());
  EXPECT_EQ(entries("/proc/self/task"), threads);
  send(50);
  for (auto& x : all)
    x.source->stop();
  for (auto& x : all) {
    const auto end = await_end(x);
    EXPECT_FALSE(end.error);
    EXPECT_EQ(end.counters.dropped_by_kernel, 0u);
    EXPECT_EQ(x.sequences(), zero_to(50));
  }
  all.clear();
  EXPECT_TRUE(
    eventually([&] { return entries("/proc/self/fd") == descriptors; }));
  EXPECT_EQ(entries("/proc/self/task"), threads);
  live.reset();
  // A thread that was joined may stay listed for a moment.
  EXPECT_TRUE(
    eventually([&] { return entries("/proc/self/task") == threads - 9; }))
    << "a reactor and eight helpers have ended";
}

TEST_F(LiveCapture, ListsInterfacesInIndexOrder) {
  const auto names = list_interfaces();
  ASSERT_TRUE(names) << names.error().message;
  EXPECT_THAT(*names, testing::IsSupersetOf({"lo", "va", "vb"}));
  EXPECT_TRUE(std::is_sorted(
    names->begin(), names->end(), [](const auto& x, const auto& y) {
      return ::if_nametoindex(x.c_str()) < ::if_nametoindex(y.c_str());
    }));
}

} // namespace
} // namespace edgecap::capture

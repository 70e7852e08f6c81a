#include "tests/support/live_fixture.hpp"

#include "capture/kernel_classifier.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <thread>
#include <utility>

namespace edgecap::test {

using namespace std::chrono_literals;

namespace {

/// The rings of this process on an interface, as descriptors.
std::vector<int> rings_on(const std::string& interface) {
  std::vector<int> result;
  const auto index = static_cast<int>(::if_nametoindex(interface.c_str()));
  for (const auto& entry :
       std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const auto descriptor = std::stoi(entry.path().filename());
    int version = 0;
    socklen_t size = sizeof version;
    if (::getsockopt(descriptor, SOL_PACKET, PACKET_VERSION, &version, &size)
          != 0
        || version != TPACKET_V3)
      continue;
    sockaddr_ll address{};
    size = sizeof address;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size)
          == 0
        && address.sll_ifindex == index)
      result.push_back(descriptor);
  }
  return result;
}

/// True if an eBPF program is the socket's filter: these cannot be read back.
bool is_classified(int descriptor) {
  socklen_t none = 0;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_GET_FILTER, nullptr, &none)
           != 0
         && errno == EACCES;
}

/// Why the kernel does not let us load a classifier, if so.
const std::optional<capture::capture_error>& classifier_refusal() {
  static const auto result = []() -> std::optional<capture::capture_error> {
    auto loaded = capture::kernel_classifier::create(
      capture::filter_layout::ethernet, 64);
    if (loaded)
      return std::nullopt;
    return loaded.error();
  }();
  return result;
}

} // namespace

bool eventually(const std::function<bool()>& happened) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!happened()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::yield();
  }
  return true;
}

std::vector<std::uint64_t> opened_source::sequences(std::size_t offset) const {
  std::vector<std::uint64_t> result;
  for (const auto& record : heard->now().records)
    result.push_back(sequence_of(record.data.data(), offset));
  return result;
}

void live_fixture::SetUp() {
  net.emplace();
  net->add_veth("va", "vb");
  link.emplace("va", "vb");
  start_capture();
  if (mode != sharing::classifier)
    return;
  if (const auto& why = classifier_refusal();
      why && why->code == capture::capture_errc::not_permitted)
    GTEST_SKIP() << why->message;
}

void live_fixture::TearDown() {
  live.reset();
  link.reset();
  net.reset();
}

void live_fixture::start_capture() {
  capture::live_capture::options how;
  how.idle_time = idle_time;
  how.use_classifier = mode != sharing::union_filter;
  if (mode == sharing::classifier)
    how.on_fallback = [](const auto& why) { ADD_FAILURE() << why.message; };
  live.emplace(how);
}

capture::source_options live_fixture::on(std::string interface) {
  capture::source_options result;
  result.interface = std::move(interface);
  result.snaplen_bytes = 262144;
  result.initial_credit_bytes = plenty;
  return result;
}

capture::source_options live_fixture::wanted_on(std::string interface) {
  auto result = on(std::move(interface));
  result.filter.protocol = std::uint8_t{IPPROTO_UDP};
  result.filter.destination_port = wanted_port;
  return result;
}

capture::source_options live_fixture::patient(capture::source_options options) {
  options.ring_bytes = 64u << 20;
  return options;
}

opened_source live_fixture::start(capture::source_options options) {
  opened_source result;
  start(result, std::move(options));
  return result;
}

void live_fixture::start(opened_source& what, capture::source_options options) {
  if (mode != sharing::alone && brings_neighbours)
    what.neighbours = open_neighbours(options);
  what.source = live->open(std::move(options), what.heard);
}

std::vector<opened_source>
live_fixture::open_neighbours(const capture::source_options& like) {
  capture::source_options options;
  options.interface = like.interface;
  options.ring_bytes = like.ring_bytes;
  options.wake_interval_ms = like.wake_interval_ms;
  options.initial_credit_bytes = neighbour_credit_bytes;
  auto sampled = options;
  sampled.filter.source_address = "203.0.113.1";
  sampled.sampling_one_in = 10;
  auto other = options;
  other.filter.protocol = std::uint8_t{IPPROTO_TCP};
  other.filter.destination_port = std::uint16_t{9};
  std::vector<opened_source> result(2);
  result[0].source = live->open(sampled, result[0].heard);
  result[1].source = live->open(other, result[1].heard);
  for (const auto& x : result) {
    EXPECT_TRUE(x.heard->wait_opened());
    EXPECT_FALSE(x.heard->now().end);
  }
  await_sharing(like.interface);
  return result;
}

void live_fixture::await_sharing(const std::string& interface) const {
  const auto as_asked = [&] {
    const auto rings = rings_on(interface);
    return !rings.empty()
           && std::all_of(rings.begin(), rings.end(), [this](int x) {
                return is_classified(x) == (mode == sharing::classifier);
              });
  };
  EXPECT_TRUE(eventually(as_asked));
}

opened_source live_fixture::open(capture::source_options options) {
  auto result = start(std::move(options));
  EXPECT_TRUE(result.heard->wait_opened());
  const auto end = result.heard->now().end;
  EXPECT_FALSE(end) << end->error.value_or(capture::capture_error{}).message;
  return result;
}

void live_fixture::send_range(std::uint64_t first, std::uint64_t end,
                              std::size_t size_bytes) {
  for (auto i = first; i < end; ++i)
    link->post(udp_frame(i, wanted_port, size_bytes));
  link->settle();
}

void live_fixture::await_ticks() {
  opened_source clock;
  auto options = on("va");
  options.initial_credit_bytes = 0; // No batch may tell that it has counted.
  clock.source = live->open(options, clock.heard);
  ASSERT_TRUE(clock.heard->wait_opened());
  for (int i = 0; i < 3; ++i) {
    const auto said = clock.heard->now().counted;
    link->send(udp_frame(0, other_port, 60));
    ASSERT_TRUE(clock.heard->wait(
      [said](const auto& story) { return story.counted > said; }));
  }
}

capture::source_end live_fixture::stop(opened_source& what) {
  what.source->stop();
  return await_end(what);
}

capture::source_end live_fixture::await_end(opened_source& what) {
  EXPECT_TRUE(what.heard->wait_ended());
  const auto story = what.heard->now();
  EXPECT_EQ(story.protocol_error, "");
  return story.end.value_or(capture::source_end{});
}

std::vector<std::uint64_t> live_fixture::range(std::uint64_t first,
                                               std::uint64_t end) {
  std::vector<std::uint64_t> result(end - first);
  std::iota(result.begin(), result.end(), first);
  return result;
}

void tun_fixture::SetUp() {
  sharing_fixture::SetUp();
  tun.emplace(*net, "tun7");
}

void tun_fixture::TearDown() {
  live.reset();
  tun.reset();
  sharing_fixture::TearDown();
}

std::string name_of(const testing::TestParamInfo<sharing>& mode) {
  switch (mode.param) {
  case sharing::alone:
    return "Alone";
  case sharing::classifier:
    return "SharedByClassifier";
  default:
    return "SharedByUnion";
  }
}

} // namespace edgecap::test

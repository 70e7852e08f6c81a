#include "tests/support/live_fixture.hpp"

#include <netinet/in.h>

#include <chrono>
#include <numeric>
#include <thread>
#include <utility>

namespace edgecap::test {

using namespace std::chrono_literals;

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
}

void live_fixture::TearDown() {
  live.reset();
  link.reset();
  net.reset();
}

void live_fixture::start_capture() {
  capture::live_capture::options how;
  how.idle_time = idle_time;
  how.use_classifier = use_classifier;
  live.emplace(how);
}

capture::source_options live_fixture::on(std::string interface) {
  capture::source_options result;
  result.interface = std::move(interface);
  result.snaplen_bytes = 262144;
  result.initial_credit_bytes = std::uint64_t{1} << 40;
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
  what.source = live->open(std::move(options), what.heard);
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

} // namespace edgecap::test

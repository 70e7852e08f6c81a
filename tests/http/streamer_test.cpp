// Over pairs of loopback sockets: the test is the client, the streamer sends.
#include "capture/descriptor.hpp"
#include "http/streamer.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace edgecap;
using namespace edgecap::http;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;

using capture::shared_descriptor;

shared_descriptor own(int fd) {
  return share(capture::unique_descriptor{fd});
}

/// A connected pair: what the streamer sends on one side, the other reads.
struct socket_pair {
  shared_descriptor server;
  shared_descriptor client;
};

socket_pair connected_pair() {
  const auto listening = own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  auto* generic = reinterpret_cast<sockaddr*>(&name);
  if (::bind(*listening, generic, size) != 0 || ::listen(*listening, 1) != 0
      || ::getsockname(*listening, generic, &size) != 0)
    throw std::runtime_error("listen on loopback");
  auto client = own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(*client, generic, size) != 0)
    throw std::runtime_error("connect on loopback");
  auto server = own(
    ::accept4(*listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  return {std::move(server), std::move(client)};
}

/// Reads until `bytes` came or the connection ended.
std::string read_bytes(const shared_descriptor& from, std::size_t bytes) {
  std::string result;
  std::array<char, 65536> chunk{};
  while (result.size() < bytes) {
    const auto size = ::read(*from, chunk.data(), chunk.size());
    if (size <= 0)
      break;
    result.append(chunk.data(), static_cast<std::size_t>(size));
  }
  return result;
}

/// An unnamed file with this content.
shared_descriptor file_with(const std::string& content) {
  const auto fd = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0
      || ::write(fd, content.data(), content.size())
           != static_cast<ssize_t>(content.size()))
    throw std::runtime_error("write a temporary file");
  return own(fd);
}

/// 7 does not divide the sizes of buffers and steps, so that a slice from a
/// wrong place looks different.
std::string pattern(std::size_t size) {
  std::string result(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    result[i] = static_cast<char>('a' + i % 7 + (i / 4096) % 13);
  return result;
}

/// A transfer whose end the test can wait for.
struct awaited {
  transfer job;
  std::future<bool> done;
};

awaited transfer_to(const shared_descriptor& socket) {
  auto promise = std::make_shared<std::promise<bool>>();
  awaited result{{}, promise->get_future()};
  result.job.socket = socket;
  result.job.done = [promise](bool complete) { promise->set_value(complete); };
  return result;
}

/// A live body whose pieces the test gives.
class scripted_body : public live_body {
public:
  void give(std::string bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pieces_.push_back(std::move(bytes));
    call();
  }

  void end(live_state how) {
    const std::lock_guard<std::mutex> lock(mutex_);
    end_ = how;
    call();
  }

  /// Waits until the streamer has asked to be called.
  void wait_until_idle() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return wake_ != nullptr; }))
      throw std::runtime_error("the streamer does not wait");
  }

  live_state next(body_piece& to) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pieces_.empty())
      return end_;
    const auto bytes
      = std::make_shared<const std::string>(std::move(pieces_.front()));
    pieces_.pop_front();
    to = {bytes, bytes->data(), bytes->size()};
    return live_state::piece;
  }

  void on_ready(std::function<void()> wake) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_ = std::move(wake);
    changed_.notify_all();
    if (!pieces_.empty() || end_ != live_state::waiting)
      call();
  }

  std::vector<std::pair<std::string, std::string>> trailers() const override {
    return {{"Count", "7"}};
  }

  void finished(bool complete) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_ = nullptr;
    finished_.push_back(complete);
  }

  std::vector<bool> finishes() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return finished_;
  }

private:
  void call() {
    if (const auto tell = std::exchange(wake_, nullptr))
      tell();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> pieces_;
  live_state end_ = live_state::waiting;
  std::function<void()> wake_;
  std::vector<bool> finished_;
};

bool get(std::future<bool>& done) {
  if (done.wait_for(patience) != std::future_status::ready)
    throw std::runtime_error("a transfer does not end");
  return done.get();
}

} // namespace

TEST(StreamerTest, SendsHeadAndBodyInOrder) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.head = "head";
  sent.job.body = pattern(5'000'000);
  const auto expected = "head" + sent.job.body;
  sender.add(std::move(sent.job));
  EXPECT_EQ(read_bytes(sockets.client, expected.size()), expected);
  EXPECT_TRUE(get(sent.done));
  EXPECT_EQ(sender.active(), 0u);
}

TEST(StreamerTest, GoesOnWhereAnEarlierSendStopped) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.head = "head";
  sent.job.body = "body";
  sent.job.sent = 6;
  sender.add(std::move(sent.job));
  EXPECT_TRUE(get(sent.done));
  EXPECT_EQ(read_bytes(sockets.client, 2), "dy");
}

TEST(StreamerTest, SendsTheSliceOfAFile) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  const auto content = pattern(5'000'000);
  auto sent = transfer_to(sockets.server);
  sent.job.head = "head";
  sent.job.file = {file_with(content), 1'234'567, 3'000'001};
  sender.add(std::move(sent.job));
  const auto expected = "head" + content.substr(1'234'567, 3'000'001);
  EXPECT_EQ(read_bytes(sockets.client, expected.size()), expected);
  EXPECT_TRUE(get(sent.done));
}

TEST(StreamerTest, FailsWhenTheFileWasCutShort) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.file = {file_with(pattern(1000)), 0, 2000};
  sender.add(std::move(sent.job));
  EXPECT_FALSE(get(sent.done));
}

TEST(StreamerTest, FailsWhenTheFileCannotBeRead) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.file = {own(::open("/tmp", O_RDONLY | O_CLOEXEC)), 0, 2000};
  sender.add(std::move(sent.job));
  EXPECT_FALSE(get(sent.done));
}

TEST(StreamerTest, GivesUpAClientThatDoesNotRead) {
  streamer sender(100ms);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.body = pattern(100'000'000);
  sender.add(std::move(sent.job));
  EXPECT_FALSE(get(sent.done));
  EXPECT_EQ(sender.stalled(), 1u);
  EXPECT_EQ(sender.active(), 0u);
}

TEST(StreamerTest, ServesOthersWhileManyDoNotRead) {
  streamer sender(30s);
  const auto file = file_with(pattern(20'000'000));
  std::vector<socket_pair> stuck;
  std::vector<std::future<bool>> ends;
  for (auto i = 0; i < 50; ++i) {
    stuck.push_back(connected_pair());
    auto sent = transfer_to(stuck.back().server);
    sent.job.file = {file, 0, 20'000'000};
    sender.add(std::move(sent.job));
    ends.push_back(std::move(sent.done));
  }
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.file = {file, 0, 5'000'000};
  sender.add(std::move(sent.job));
  EXPECT_EQ(read_bytes(sockets.client, 5'000'000).size(), 5'000'000u);
  EXPECT_TRUE(get(sent.done));
  sender.stop();
  for (auto& end : ends)
    EXPECT_FALSE(get(end));
}

// sendfile(2) raises SIGPIPE, and by default that ends the process.
TEST(StreamerTest, SurvivesAClientThatGoesDuringAFile) {
  ::signal(SIGPIPE, SIG_DFL);
  streamer sender(30s);
  auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.file = {file_with(pattern(20'000'000)), 0, 20'000'000};
  sender.add(std::move(sent.job));
  EXPECT_EQ(read_bytes(sockets.client, 1).empty(), false);
  sockets.client.reset();
  EXPECT_FALSE(get(sent.done));
}

TEST(StreamerTest, EndsWhatIsOpenWhenItStops) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.body = pattern(100'000'000);
  sender.add(std::move(sent.job));
  sender.stop();
  EXPECT_FALSE(get(sent.done));
  EXPECT_EQ(sender.active(), 0u);
}

TEST(StreamerTest, RefusesTransfersAfterItStopped) {
  streamer sender(30s);
  sender.stop();
  const auto sockets = connected_pair();
  auto sent = transfer_to(sockets.server);
  sent.job.body = "x";
  sender.add(std::move(sent.job));
  EXPECT_FALSE(get(sent.done));
}

// -- live bodies --------------------------------------------------------------

TEST(StreamerTest, SendsPiecesAsChunksWhenTheyCome) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  const auto body = std::make_shared<scripted_body>();
  auto sent = transfer_to(sockets.server);
  sent.job.head = "head";
  sent.job.live = body;
  sent.job.chunked = true;
  sender.add(std::move(sent.job));
  EXPECT_EQ(read_bytes(sockets.client, 4), "head");
  body->give("abc");
  EXPECT_EQ(read_bytes(sockets.client, 8), "3\r\nabc\r\n");
  body->wait_until_idle();
  const auto large = pattern(3'000'000);
  body->give(large);
  const auto expected = "2dc6c0\r\n" + large + "\r\n";
  EXPECT_EQ(read_bytes(sockets.client, expected.size()), expected);
  body->end(live_state::whole);
  const std::string last = "0\r\nCount: 7\r\n\r\n";
  EXPECT_EQ(read_bytes(sockets.client, last.size()), last);
  EXPECT_TRUE(get(sent.done));
  EXPECT_EQ(body->finishes(), std::vector<bool>{true});
  EXPECT_EQ(sender.active(), 0u);
}

TEST(StreamerTest, SendsPiecesAsTheyAreWithoutChunks) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  const auto body = std::make_shared<scripted_body>();
  auto sent = transfer_to(sockets.server);
  sent.job.head = "head";
  sent.job.live = body;
  body->give("abc");
  body->give("def");
  body->end(live_state::whole);
  sender.add(std::move(sent.job));
  EXPECT_EQ(read_bytes(sockets.client, 10), "headabcdef");
  EXPECT_TRUE(get(sent.done));
}

TEST(StreamerTest, LeavesABrokenBodyWithoutItsEnd) {
  streamer sender(30s);
  const auto sockets = connected_pair();
  const auto body = std::make_shared<scripted_body>();
  auto sent = transfer_to(sockets.server);
  sent.job.live = body;
  sent.job.chunked = true;
  body->give("abc");
  body->end(live_state::broken);
  sender.add(std::move(sent.job));
  EXPECT_FALSE(get(sent.done));
  EXPECT_EQ(read_bytes(sockets.client, 8), "3\r\nabc\r\n");
  EXPECT_EQ(body->finishes(), std::vector<bool>{false});
}

TEST(StreamerTest, NoticesAClientThatLeavesWhileNothingIsSent) {
  streamer sender(30s);
  auto sockets = connected_pair();
  const auto body = std::make_shared<scripted_body>();
  auto sent = transfer_to(sockets.server);
  sent.job.live = body;
  sender.add(std::move(sent.job));
  body->wait_until_idle();
  sockets.client.reset();
  EXPECT_FALSE(get(sent.done));
  EXPECT_EQ(body->finishes(), std::vector<bool>{false});
}

// What is not there yet is not the client's fault; what it does not read, is.
TEST(StreamerTest, GivesUpAReaderOfALiveBodyOnlyForWhatItDoesNotRead) {
  streamer sender(100ms);
  const auto sockets = connected_pair();
  const auto body = std::make_shared<scripted_body>();
  auto sent = transfer_to(sockets.server);
  sent.job.live = body;
  sender.add(std::move(sent.job));
  body->wait_until_idle();
  // Somebody else is given up meanwhile: more than the timeout has passed.
  const auto others = connected_pair();
  auto other = transfer_to(others.server);
  other.job.body = pattern(100'000'000);
  sender.add(std::move(other.job));
  EXPECT_FALSE(get(other.done));
  EXPECT_EQ(sender.active(), 1u);
  body->give(pattern(100'000'000));
  EXPECT_FALSE(get(sent.done));
  EXPECT_EQ(sender.stalled(), 2u);
}

TEST(StreamerTest, EndsLiveBodiesWhenItStops) {
  const auto body = std::make_shared<scripted_body>();
  const auto sockets = connected_pair();
  {
    streamer sender(30s);
    auto sent = transfer_to(sockets.server);
    sent.job.live = body;
    sender.add(std::move(sent.job));
    body->wait_until_idle();
  }
  EXPECT_EQ(body->finishes(), std::vector<bool>{false});
  body->give("too late"); // calls nobody
}

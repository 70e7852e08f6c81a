#include "http/streamer.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace edgecap::http {

namespace {

constexpr std::size_t max_events = 256;

/// How long a client may overstay the stall timeout at most, by the share of
/// the timeout after which all clients are looked at again.
constexpr int stall_checks = 4;

capture::unique_descriptor checked(int fd, const char* what) {
  if (fd < 0)
    throw std::system_error(errno, std::system_category(), what);
  return capture::unique_descriptor{fd};
}

/// sendfile(2) has no MSG_NOSIGNAL; a SIGPIPE goes to the thread that caused
/// it, so this thread blocks it, and with it all signals meant for others.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

} // namespace

send_progress send_text(transfer& job) {
  const auto total = job.head.size() + job.body.size();
  while (job.sent < total) {
    const auto in_head = std::min(job.sent, job.head.size());
    const auto in_body = job.sent - in_head;
    std::array<iovec, 2> parts{
      iovec{job.head.data() + in_head, job.head.size() - in_head},
      iovec{job.body.data() + in_body, job.body.size() - in_body}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const auto more = job.file.length > 0 ? MSG_MORE : 0;
    const auto sent
      = ::sendmsg(*job.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (sent >= 0)
      job.sent += static_cast<std::size_t>(sent);
    else if (errno == EAGAIN)
      return send_progress::blocked;
    else if (errno != EINTR)
      return send_progress::broken;
  }
  return send_progress::complete;
}

streamer::streamer(std::chrono::milliseconds stall_timeout)
  : stall_timeout_(stall_timeout),
    epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "create an epoll instance")),
    wake_up_(
      checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "create an eventfd")) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_up_.get(), &event) != 0)
    throw std::system_error(errno, std::system_category(), "watch an eventfd");
  thread_ = std::thread([this] { run(); });
}

streamer::~streamer() {
  stop();
}

void streamer::add(transfer job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stopped_) {
      ++active_;
      inbox_.push_back(std::move(job));
      wake();
      return;
    }
  }
  job.done(false);
}

void streamer::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    wake();
  }
  if (!thread_.joinable())
    return;
  thread_.join();
  // The thread is gone, and nothing is added any more.
  for (auto& job : std::exchange(inbox_, {})) {
    --active_;
    job.done(false);
  }
}

void streamer::wake() const {
  // Fails only if the counter is full, and then the thread wakes anyway.
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written
    = ::write(wake_up_.get(), &one, sizeof one);
}

void streamer::run() {
  pthread_setname_np(pthread_self(), "streamer");
  block_signals();
  std::array<epoll_event, max_events> events{};
  const auto interval = std::max<std::int64_t>(
    std::min<std::int64_t>(stall_timeout_.count() / stall_checks, 1000), 1);
  auto next_check = clock::now();
  for (;;) {
    const auto count = ::epoll_wait(
      epoll_.get(), events.data(), static_cast<int>(events.size()),
      open_.empty() ? -1 : static_cast<int>(interval));
    auto fresh = take_inbox();
    if (!fresh)
      break;
    for (auto i = 0; i < count; ++i) {
      auto* which
        = static_cast<entry*>(events.at(static_cast<std::size_t>(i)).data.ptr);
      if (which != nullptr)
        serve(*which);
    }
    // After the events: starting may free an entry that one of them points to.
    start(std::move(*fresh));
    if (const auto now = clock::now(); now >= next_check) {
      give_up_stalled(now);
      next_check = now + std::chrono::milliseconds(interval);
    }
  }
  while (!open_.empty())
    finish(open_.front(), false);
}

/// What was added since the last time; nothing once the streamer is stopped.
/// The wake-up is consumed before the state is looked at, so that none is lost.
std::optional<std::vector<transfer>> streamer::take_inbox() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto drained
    = ::read(wake_up_.get(), &count, sizeof count);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_)
    return std::nullopt;
  return std::exchange(inbox_, {});
}

void streamer::start(std::vector<transfer> fresh) {
  for (auto& job : fresh) {
    open_.push_back({std::move(job), clock::now()});
    auto& added = open_.back();
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = &added;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, *added.job.socket, &event)
        != 0)
      finish(added, false);
  }
}

void streamer::serve(entry& which) {
  const auto progress = pump(which);
  if (progress != send_progress::blocked)
    finish(which, progress == send_progress::complete);
}

/// Sends one step. A step that the socket took whole reports `blocked`, too:
/// epoll brings the transfer back after the others.
send_progress streamer::pump(entry& which) {
  auto& job = which.job;
  const auto sent_before = job.sent;
  const auto text = send_text(job);
  if (job.sent != sent_before)
    which.last_progress = clock::now();
  if (text != send_progress::complete || job.file.length == 0)
    return text;
  auto offset = static_cast<off_t>(job.file.offset);
  const auto sent
    = ::sendfile(*job.socket, *job.file.descriptor, &offset,
                 std::min<std::uint64_t>(job.file.length, max_step_bytes));
  if (sent < 0)
    return errno == EAGAIN || errno == EINTR ? send_progress::blocked
                                             : send_progress::broken;
  // The file is shorter than it was: the promised length cannot be kept.
  if (sent == 0)
    return send_progress::broken;
  which.last_progress = clock::now();
  job.file.offset += static_cast<std::uint64_t>(sent);
  job.file.length -= static_cast<std::uint64_t>(sent);
  return job.file.length == 0 ? send_progress::complete
                              : send_progress::blocked;
}

void streamer::finish(entry& which, bool complete) {
  // Fails only if it was not added, and then there is nothing to delete.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, *which.job.socket, nullptr);
  const auto position
    = std::find_if(open_.begin(), open_.end(),
                   [&which](const entry& e) { return &e == &which; });
  auto job = std::move(position->job);
  open_.erase(position);
  --active_;
  job.done(complete);
}

void streamer::give_up_stalled(clock::time_point now) {
  for (auto i = open_.begin(); i != open_.end();) {
    auto& candidate = *i++;
    if (now - candidate.last_progress > stall_timeout_) {
      ++stalled_;
      finish(candidate, false);
    }
  }
}

} // namespace edgecap::http

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
#include <charconv>
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

iovec text_of(std::string& text) {
  return {text.data(), text.size()};
}

/// Sends of three texts in a row, `sent` bytes of which are sent already, what
/// the socket takes at once.
send_progress send_texts(int socket, std::array<iovec, 3> texts,
                         std::size_t& sent, int flags) {
  auto skipped = sent;
  auto left = std::size_t{0};
  for (auto& text : texts) {
    const auto done = std::min(skipped, text.iov_len);
    text.iov_base = static_cast<char*>(text.iov_base) + done;
    text.iov_len -= done;
    skipped -= done;
    left += text.iov_len;
  }
  if (left == 0)
    return send_progress::complete;
  msghdr message{};
  message.msg_iov = texts.data();
  message.msg_iovlen = texts.size();
  const auto now
    = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
  if (now < 0)
    return errno == EAGAIN || errno == EINTR ? send_progress::blocked
                                             : send_progress::broken;
  sent += static_cast<std::size_t>(now);
  return static_cast<std::size_t>(now) == left ? send_progress::complete
                                               : send_progress::blocked;
}

/// The line in front of a chunk (RFC 9112, 7.1).
std::string chunk_head(std::size_t size) {
  std::array<char, 2 * sizeof size> digits{};
  const auto end
    = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
  return std::string(digits.data(), end) + "\r\n";
}

/// What ends a chunked body, with its trailers.
std::string last_chunk(const live_body& body) {
  std::string result = "0\r\n";
  for (const auto& [name, value] : body.trailers())
    result.append(name).append(": ").append(value).append("\r\n");
  return result + "\r\n";
}

} // namespace

send_progress send_text(transfer& job) {
  return send_texts(*job.socket, {text_of(job.head), text_of(job.body), {}},
                    job.sent, job.file.length > 0 ? MSG_MORE : 0);
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
    ++active_;
    if (!stopped_) {
      inbox_.push_back(std::move(job));
      wake();
      return;
    }
  }
  conclude(std::move(job), false);
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
  for (auto& job : std::exchange(inbox_, {}))
    conclude(std::move(job), false);
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
    const auto ready = take_ready();
    for (auto i = 0; i < count; ++i) {
      auto* which
        = static_cast<entry*>(events.at(static_cast<std::size_t>(i)).data.ptr);
      if (which != nullptr)
        serve(*which, events.at(static_cast<std::size_t>(i)).events);
    }
    // After the events: these may free an entry that one of them points to.
    go_on(ready);
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

/// Live bodies that have news since the last time.
std::vector<std::uint64_t> streamer::take_ready() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(ready_, {});
}

void streamer::start(std::vector<transfer> fresh) {
  for (auto& job : fresh) {
    open_.emplace_back();
    auto& added = open_.back();
    added.job = std::move(job);
    added.last_progress = clock::now();
    added.number = ++last_number_;
    if (!watch(added, EPOLLOUT, EPOLL_CTL_ADD))
      finish(added, false);
  }
}

/// Sends again to those whose live bodies were waiting.
void streamer::go_on(const std::vector<std::uint64_t>& ready) {
  for (const auto number : ready) {
    const auto which
      = std::find_if(open_.begin(), open_.end(),
                     [number](const entry& e) { return e.number == number; });
    if (which == open_.end() || !which->waiting)
      continue;
    which->waiting = false;
    which->last_progress = clock::now();
    if (!watch(*which, EPOLLOUT, EPOLL_CTL_MOD))
      finish(*which, false);
  }
}

bool streamer::watch(entry& which, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &which;
  return ::epoll_ctl(epoll_.get(), operation, *which.job.socket, &event) == 0;
}

void streamer::serve(entry& which, std::uint32_t events) {
  if (which.waiting) {
    // Nothing is sent, so that only the client can have news: it leaves.
    finish(which, false);
    return;
  }
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && which.job.live) {
    finish(which, false);
    return;
  }
  const auto progress = which.job.live ? pump_live(which) : pump(which);
  if (progress != send_progress::blocked)
    finish(which, progress == send_progress::complete);
}

/// Sends what a live body has, up to one step.
send_progress streamer::pump_live(entry& which) {
  auto& job = which.job;
  for (auto step = std::size_t{0}; step < max_step_bytes;) {
    const auto sent_before = job.sent;
    auto* data = const_cast<void*>(which.piece.data);
    const auto progress = send_texts(
      *job.socket,
      {text_of(job.head), iovec{data, which.piece.size}, text_of(which.tail)},
      job.sent, 0);
    if (job.sent != sent_before)
      which.last_progress = clock::now();
    step += job.sent - sent_before;
    if (progress != send_progress::complete || which.is_last)
      return progress;
    job.sent = 0;
    switch (load_piece(which)) {
    case live_state::piece:
      break;
    case live_state::waiting:
      return wait_for_piece(which);
    case live_state::whole:
      if (!job.chunked)
        return send_progress::complete;
      which.is_last = true;
      break;
    case live_state::broken:
      return send_progress::broken;
    }
  }
  return send_progress::blocked;
}

/// Makes the live body's next piece what is to be sent, in its frame.
live_state streamer::load_piece(entry& which) {
  auto& job = which.job;
  which.piece = {};
  job.head.clear();
  which.tail.clear();
  const auto state = job.live->next(which.piece);
  if (!job.chunked)
    return state;
  if (state == live_state::piece) {
    job.head = chunk_head(which.piece.size);
    which.tail = "\r\n";
  } else if (state == live_state::whole) {
    job.head = last_chunk(*job.live);
  }
  return state;
}

/// Lets the client's side alone be watched until the body has news.
send_progress streamer::wait_for_piece(entry& which) {
  which.waiting = true;
  if (!watch(which, EPOLLRDHUP, EPOLL_CTL_MOD))
    return send_progress::broken;
  which.job.live->on_ready([this, number = which.number] {
    const std::lock_guard<std::mutex> lock(mutex_);
    ready_.push_back(number);
    wake();
  });
  return send_progress::blocked;
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
  conclude(std::move(job), complete);
}

/// Tells those who care that a transfer that was counted is over. What it held
/// is free by then: who asks again at once finds the place of a download.
void streamer::conclude(transfer job, bool complete) {
  if (job.live)
    job.live->finished(complete);
  job.file = {};
  job.live = nullptr;
  --active_;
  job.done(complete);
}

void streamer::give_up_stalled(clock::time_point now) {
  for (auto i = open_.begin(); i != open_.end();) {
    auto& candidate = *i++;
    if (!candidate.waiting && now - candidate.last_progress > stall_timeout_) {
      ++stalled_;
      finish(candidate, false);
    }
  }
}

} // namespace edgecap::http

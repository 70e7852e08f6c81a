#include "capture/reactor.hpp"

#include "capture/named_thread.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace edgecap::capture {

namespace {

/// Events fetched with one system call.
constexpr std::size_t max_events = 64;

/// Token of the reactor's own eventfd.
constexpr std::uint64_t bell_token = 0;

std::uint32_t to_epoll(reactor::interest what) {
  return what == reactor::interest::readable ? std::uint32_t{EPOLLIN} : 0u;
}

[[noreturn]] void throw_errno(const char* attempt) {
  throw std::system_error{errno, std::generic_category(), attempt};
}

} // namespace

reactor::reactor() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0)
    throw_errno("create the capture reactor's epoll descriptor");
  try {
    bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell_ < 0)
      throw_errno("create the capture reactor's eventfd");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = bell_token;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &event) != 0)
      throw_errno("watch the capture reactor's eventfd");
    thread_ = start_thread("capture-reactor", [this] { run(); });
  } catch (...) {
    if (bell_ >= 0)
      ::close(bell_);
    ::close(epoll_);
    throw;
  }
}

reactor::~reactor() {
  stop();
  ::close(bell_);
  ::close(epoll_);
}

void reactor::wake(std::shared_ptr<client> who) {
  std::lock_guard guard{mutex_};
  if (stopping_ || who->wake_queued_)
    return;
  who->wake_queued_ = true;
  const auto first = woken_.empty();
  woken_.push_back(std::move(who));
  if (first)
    ring_bell();
}

void reactor::stop() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
    ring_bell();
  }
  if (!thread_.joinable())
    return;
  assert(thread_.get_id() != std::this_thread::get_id());
  thread_.join();
  // From here on this thread alone touches the tables.
  watched_.clear();
  timers_.clear();
  woken_.clear();
}

expected<void> reactor::watch(std::shared_ptr<client> who, int descriptor,
                              interest what) {
  assert(who->token_ == 0);
  epoll_event event{};
  event.events = to_epoll(what);
  event.data.u64 = ++last_token_;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0)
    return fail(capture_errc::io,
                std::string{"watch a packet socket: "} + std::strerror(errno));
  who->token_ = last_token_;
  who->descriptor_ = descriptor;
  watched_.emplace(last_token_, std::move(who));
  return {};
}

void reactor::change(client& who, interest what) {
  assert(who.token_ != 0);
  epoll_event event{};
  event.events = to_epoll(what);
  event.data.u64 = who.token_;
  // Fails for descriptors that are not watched alone, which is our mistake.
  [[maybe_unused]] const auto result
    = ::epoll_ctl(epoll_, EPOLL_CTL_MOD, who.descriptor_, &event);
  assert(result == 0);
}

void reactor::unwatch(client& who) {
  if (who.token_ == 0)
    return;
  [[maybe_unused]] const auto result
    = ::epoll_ctl(epoll_, EPOLL_CTL_DEL, who.descriptor_, nullptr);
  assert(result == 0);
  const auto token = std::exchange(who.token_, 0);
  who.descriptor_ = -1;
  watched_.erase(token);
}

void reactor::set_timer(const std::shared_ptr<client>& who,
                        clock::time_point when) {
  clear_timer(*who);
  who->deadline_ = when;
  timers_.emplace(std::make_pair(when, who.get()), who);
}

void reactor::clear_timer(client& who) {
  if (!who.deadline_)
    return;
  timers_.erase({*who.deadline_, &who});
  who.deadline_.reset();
}

void reactor::run() {
  std::array<epoll_event, max_events> events;
  for (;;) {
    const auto n = ::epoll_wait(epoll_, events.data(),
                                static_cast<int>(events.size()), timeout_ms());
    if (n < 0 && errno != EINTR)
      throw_errno("wait in the capture reactor"); // A mistake of ours: ends.
    for (int i = 0; i < n; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == bell_token)
        clear_bell();
      else
        dispatch(event.data.u64, event.events);
    }
    if (!run_wakes())
      return;
    run_timers();
  }
}

void reactor::dispatch(std::uint64_t token, std::uint32_t events) {
  const auto pos = watched_.find(token);
  if (pos == watched_.end())
    return;                     // Unwatched since the event was fetched.
  const auto who = pos->second; // Survives its own `unwatch`.
  who->on_ready(events);
}

/// Returns false when the thread is to end.
bool reactor::run_wakes() {
  std::vector<std::shared_ptr<client>> woken;
  {
    std::lock_guard guard{mutex_};
    if (stopping_)
      return false;
    woken.swap(woken_);
    for (const auto& who : woken)
      who->wake_queued_ = false;
  }
  for (const auto& who : woken)
    who->on_wake();
  return true;
}

void reactor::run_timers() {
  // A client that sets its timer to the past again has to wait for the next
  // round, or it would keep the others from theirs.
  const auto now = clock::now();
  std::vector<std::shared_ptr<client>> due;
  for (const auto& [key, who] : timers_) {
    if (key.first > now)
      break;
    due.push_back(who);
  }
  for (const auto& who : due) {
    // One of the others may have cleared it meanwhile.
    if (!who->deadline_ || *who->deadline_ > now)
      continue;
    clear_timer(*who);
    who->on_timer();
  }
}

int reactor::timeout_ms() const {
  if (timers_.empty())
    return -1;
  const auto left = timers_.begin()->first.first - clock::now();
  // Rounded up: to wake too early would be to wake twice.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(
    std::clamp<decltype(ms)>(ms, 0, std::numeric_limits<int>::max()));
}

void reactor::ring_bell() {
  const std::uint64_t one = 1;
  // Can fail only when the counter is full, and then it rings already.
  [[maybe_unused]] const auto result = ::write(bell_, &one, sizeof one);
}

void reactor::clear_bell() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto result = ::read(bell_, &count, sizeof count);
}

} // namespace edgecap::capture

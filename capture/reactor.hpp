#pragma once

#include "capture/capture_error.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgecap::capture {

/// One thread that waits, for all its clients at once, for descriptors,
/// for points in time and for calls from other threads. Descriptors are
/// level-triggered: a client that leaves data unread is called again, after
/// the others had their turn.
class reactor {
public:
  using clock = std::chrono::steady_clock;

  /// What the reactor serves. The callbacks run in the reactor's thread and
  /// must neither block nor throw.
  class client {
  public:
    virtual ~client() = default;

    /// Another thread called `wake`; once for any number of calls.
    virtual void on_wake() = 0;

    /// The watched descriptor has `events` (EPOLLIN, EPOLLERR, EPOLLHUP).
    virtual void on_ready(std::uint32_t events) = 0;

    /// The time that was set has come. The timer is off again.
    virtual void on_timer() = 0;

  private:
    friend class reactor;

    bool wake_queued_ = false; // Guarded by the reactor's mutex.
    std::uint64_t token_ = 0;  // 0: not watched.
    int descriptor_ = -1;
    std::optional<clock::time_point> deadline_;
  };

  /// What a watched descriptor is waited for. Errors are always reported.
  enum class interest { none, readable };

  /// Starts the thread.
  /// @throws std::system_error if the system has no thread or descriptor left.
  reactor();

  /// Calls `stop`.
  ~reactor();

  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  /// Has `who->on_wake` called soon; does nothing after `stop`. Any thread.
  /// The queue holds each client once at most.
  void wake(std::shared_ptr<client> who);

  /// Ends the thread and lets go of all clients. Idempotent; not for the
  /// reactor's own thread.
  void stop();

  // -- for the reactor's thread alone -----------------------------------------

  /// Watches `descriptor` for `who`, which must not watch another one. The
  /// descriptor has to stay open until `unwatch`.
  expected<void> watch(std::shared_ptr<client> who, int descriptor,
                       interest what);

  /// Changes what the watched descriptor of `who` is waited for.
  void change(client& who, interest what);

  /// Ends `watch`; no `on_ready` follows. Does nothing if nothing is watched.
  void unwatch(client& who);

  /// Has `who->on_timer` called at `when`, in place of an earlier setting.
  void set_timer(const std::shared_ptr<client>& who, clock::time_point when);

  /// Ends `set_timer`.
  void clear_timer(client& who);

private:
  void run();
  void dispatch(std::uint64_t token, std::uint32_t events);
  bool run_wakes();
  void run_timers();
  int timeout_ms() const;
  void ring_bell();
  void clear_bell();

  int epoll_ = -1;
  int bell_ = -1; // eventfd

  std::mutex mutex_;
  std::vector<std::shared_ptr<client>> woken_;
  bool stopping_ = false;

  // The reactor's thread alone. Tokens are never used twice, so that an event
  // that is already fetched cannot reach the next owner of a descriptor.
  std::uint64_t last_token_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<client>> watched_;
  std::map<std::pair<clock::time_point, client*>, std::shared_ptr<client>>
    timers_;

  std::thread thread_;
};

} // namespace edgecap::capture

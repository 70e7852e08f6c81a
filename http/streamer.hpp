#pragma once

#include "capture/descriptor.hpp"
#include "http/live_body.hpp"
#include "http/message.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace edgecap::http {

/// Bytes on their way to a socket: `head`, then `body`, then the slice or the
/// live body. Whoever adds a transfer writes nothing else to the socket until
/// `done` was called.
struct transfer {
  capture::shared_descriptor socket; ///< Nonblocking.
  std::string head;
  std::string body;
  std::size_t sent = 0; ///< Bytes of head and body that are sent already.
  file_slice file;      ///< Length 0 for none.
  std::shared_ptr<live_body> live;
  bool chunked = false; ///< How the live body is framed (RFC 9112, 7.1).
  /// Called once, on the streamer's thread or the one that calls `add` or
  /// `stop`, with whether all bytes reached the socket. Must not block.
  std::function<void(bool complete)> done;
};

/// Result of one attempt to send.
enum class send_progress : std::uint8_t { complete, blocked, broken };

/// Sends of head and body what the socket takes at once.
send_progress send_text(transfer& job);

/// One thread that sends what sockets did not take at once, and files by
/// sendfile(2) in bounded steps, so that a slow client costs itself alone.
/// A client that takes no byte for the stall timeout is given up, and one that
/// closes its side while a live body has nothing to send. Any thread may call
/// the member functions.
class streamer {
public:
  /// Most bytes sent to one client before the others have their turn.
  static constexpr std::size_t max_step_bytes = 1u << 20;

  /// @throws std::system_error if a descriptor or the thread cannot be had.
  explicit streamer(std::chrono::milliseconds stall_timeout);
  ~streamer();
  streamer(const streamer&) = delete;
  streamer& operator=(const streamer&) = delete;

  /// Takes a transfer over. After `stop` it is done at once, incomplete.
  void add(transfer job);

  /// Ends the thread; transfers that are open are done, incomplete. For
  /// one thread at a time.
  void stop();

  /// Transfers that are open.
  std::uint64_t active() const {
    return active_;
  }

  /// Transfers that were given up for lack of progress.
  std::uint64_t stalled() const {
    return stalled_;
  }

private:
  using clock = std::chrono::steady_clock;

  struct entry {
    transfer job;
    clock::time_point last_progress;
    std::uint64_t number = 0;
    body_piece piece;     ///< Of the live body, behind the head.
    std::string tail;     ///< Behind the piece.
    bool is_last = false; ///< Nothing follows the tail.
    bool waiting = false; ///< The live body has nothing to send.
  };

  using entries = std::list<entry>;

  void run();
  std::optional<std::vector<transfer>> take_inbox();
  std::vector<std::uint64_t> take_ready();
  void start(std::vector<transfer> fresh);
  void go_on(const std::vector<std::uint64_t>& ready);
  void serve(entry& which, std::uint32_t events);
  send_progress pump(entry& which);
  send_progress pump_live(entry& which);
  live_state load_piece(entry& which);
  send_progress wait_for_piece(entry& which);
  bool watch(entry& which, std::uint32_t events, int operation);
  void finish(entry& which, bool complete);
  void conclude(transfer job, bool complete);
  void give_up_stalled(clock::time_point now);
  void wake() const;

  std::chrono::milliseconds stall_timeout_;
  capture::unique_descriptor epoll_;
  capture::unique_descriptor wake_up_;
  std::atomic<std::uint64_t> active_{0};
  std::atomic<std::uint64_t> stalled_{0};
  std::mutex mutex_;
  std::vector<transfer> inbox_; ///< Guarded by mutex_.
  bool stopped_ = false;        ///< Guarded by mutex_.
  /// Live bodies that have news; guarded by mutex_.
  std::vector<std::uint64_t> ready_;
  std::uint64_t last_number_ = 0; ///< The thread's own.
  entries open_;                  ///< The thread's own.
  std::thread thread_;
};

} // namespace edgecap::http

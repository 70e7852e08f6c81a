#pragma once

#include "capture/descriptor.hpp"
#include "http/errors.hpp"
#include "http/message.hpp"
#include "http/request_framer.hpp"
#include "http/streamer.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace edgecap::http {

class connection;

/// What a connection needs of the frontend it belongs to. May be called on any
/// thread; only `timed_out` and `draining` while a lock of the connection is
/// held.
class connection_host {
public:
  using clock = std::chrono::steady_clock;

  virtual ~connection_host() = default;

  /// Has a request answered by exactly one `connection::send`, now or later.
  /// `began` is when its first byte came.
  virtual void serve(std::shared_ptr<connection> from, framed_request request,
                     clock::time_point began)
    = 0;

  /// A request was refused before it was served.
  virtual void refused(std::string_view method_name, int status,
                       clock::time_point began)
    = 0;

  /// A connection was ended by a timeout.
  virtual void timed_out() = 0;

  /// Sends what the socket did not take at once.
  virtual void send_later(transfer job) = 0;

  /// Whether answers are to be the last of their connections.
  virtual bool draining() const = 0;
};

/// The I/O thread of a connection, seen from others.
class io_thread {
public:
  virtual ~io_thread() = default;

  /// Has the thread call `resume` soon.
  virtual void resume_later(std::shared_ptr<connection> which) = 0;
};

/// Bounds of a connection; see front_options.
struct connection_options {
  framer_limits limits;
  std::chrono::milliseconds header_timeout{10000};
  std::chrono::milliseconds body_timeout{10000};
  std::chrono::milliseconds keep_alive_timeout{60000};
};

/// One client's connection: frames requests, has them served one at a time and
/// in order, writes the answers, and ends. Writes on a descriptor of its own,
/// so that an answer can never reach another client that got the number of a
/// closed one.
class connection : public std::enable_shared_from_this<connection> {
public:
  using clock = std::chrono::steady_clock;

  /// After its last answer a connection swallows what the client still sends,
  /// so that no reset takes the answer away; at most for so long and so much.
  static constexpr std::chrono::milliseconds linger_timeout{2000};
  static constexpr std::size_t max_swallowed_bytes = 1u << 20;

  /// Requests in a row, with no pause in the client's sending, after which the
  /// connection is closed: Pistache reads one until there is nothing left to
  /// read, and the others of the thread wait.
  static constexpr std::uint32_t max_burst = 1000;

  /// @param socket a nonblocking duplicate of the client's socket.
  connection(std::shared_ptr<connection_host> host, connection_options options,
             capture::shared_descriptor socket, std::string client_address,
             std::shared_ptr<io_thread> thread);

  // -- for the I/O thread -----------------------------------------------------

  /// Takes input.
  void receive(std::string_view bytes);

  /// Goes on with input that waited for an answer.
  void resume();

  /// The client will send no more.
  void disconnected();

  // -- for any thread -------------------------------------------------------

  /// Answers the request that is being served; `answer` must be writable.
  void send(response answer, file_slice file);

  /// Answers with a body that comes while it is sent, and closes behind it.
  void send_live(const response& head, const std::shared_ptr<live_body>& body);

  /// Answers with an error instead of waiting for a request, and closes.
  void refuse(const api_error& error);

  /// Enforces the timeouts. While draining, ends the connection if it is idle.
  void sweep(clock::time_point now);

  /// Ends the connection if no request has begun or is being served.
  void close_if_idle();

  /// Ends the connection at once.
  void abort();

  /// Whether the client has closed its side.
  bool gone() const {
    return gone_;
  }

  /// The other end of the connection: a client, or a proxy that asks for many.
  const std::string& client_address() const {
    return client_address_;
  }

private:
  using lock_type = std::unique_lock<std::mutex>;

  enum class phase : std::uint8_t {
    fresh,     ///< Nothing came yet.
    idle,      ///< Between requests.
    head,      ///< A head has begun.
    body,      ///< A head is complete.
    answering, ///< A request is being served.
    closing,   ///< The last answer is written; input is swallowed.
    closed,    ///< Both directions are shut.
  };

  bool reading() const {
    return phase_ < phase::answering;
  }

  void pump(lock_type& lock);
  void wait_for_more();
  bool sends_without_pause();
  bool input_waits() const;
  void start(transfer job, bool keep_alive);
  void answered(bool keep_alive);
  void refuse(lock_type& lock, const api_error& error);
  void swallow(std::size_t bytes);
  void begin_closing();
  void reset();
  void close();

  const std::shared_ptr<connection_host> host_;
  const connection_options options_;
  const capture::shared_descriptor socket_;
  const std::string client_address_;
  const std::shared_ptr<io_thread> thread_;
  std::atomic<bool> gone_{false};

  std::mutex mutex_; ///< Guards all that follows.
  request_framer framer_;
  phase phase_ = phase::fresh;
  clock::time_point deadline_; ///< Of the phase, unless answering or closed.
  clock::time_point began_;    ///< When the current request did.
  bool pumping_ = false;       ///< The I/O thread is in `pump`.
  bool keep_alive_ = true;     ///< Of the request that is being served.
  bool is_head_ = false;       ///< Likewise.
  bool is_http_1_0_ = false;   ///< Likewise.
  bool overflowed_ = false;    ///< More was sent ahead than may wait.
  std::uint32_t burst_ = 0;
  std::size_t swallowed_bytes_ = 0;
};

} // namespace edgecap::http

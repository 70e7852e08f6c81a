#include "tests/fuzz/campaign/player.hpp"

#include "capture/descriptor.hpp"
#include "tests/fuzz/campaign/answer.hpp"
#include "tests/fuzz/campaign/grammar.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace edgecap::fuzz {

namespace {

using clock = std::chrono::steady_clock;

/// Bytes of an answer that a report shows.
constexpr std::size_t max_shown_bytes = 2000;

[[noreturn]] void fail(const char* doing) {
  throw std::system_error(errno, std::system_category(), doing);
}

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  result.sin_addr.s_addr = htonl(127u << 24 | host);
  return result;
}

capture::unique_descriptor connect_to(std::uint16_t port,
                                      std::uint64_t client_number) {
  constexpr std::uint32_t clients = 1u << 16;
  capture::unique_descriptor result{
    ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!result)
    fail("open a socket");
  const auto one = 1;
  ::setsockopt(result.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(result.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
               sizeof one);
  const auto from = loopback(
    1u << 16 | static_cast<std::uint32_t>(client_number % clients), 0);
  if (::bind(result.get(), reinterpret_cast<const sockaddr*>(&from),
             sizeof from)
      != 0)
    fail("bind to a loopback address");
  const auto to = loopback(1, port);
  if (::connect(result.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to)
      != 0)
    fail("connect to the daemon");
  return result;
}

void replace_all(std::string& bytes, std::string_view what,
                 const std::string& with) {
  if (with.size() != what.size())
    return; // There is no such job yet.
  for (auto at = bytes.find(what); at != std::string::npos;
       at = bytes.find(what, at + with.size()))
    bytes.replace(at, what.size(), with);
}

/// One client on its connection.
class client {
public:
  client(const scenario& what, const target& server,
         std::uint64_t client_number)
    : what_(what), server_(server),
      unframed_(what.may_ask_head() ? to_head::unknown : to_head::no),
      socket_(connect_to(server.port, client_number)) {}

  outcome run() {
    for (const auto& x : what_.exchanges)
      if (!send_all(x) || !await(x))
        break;
    if (result_.fault.empty() && !streaming_)
      say_farewell();
    if (!result_.fault.empty())
      result_.bytes
        = buffer_.substr(0, std::min(buffer_.size(), max_shown_bytes));
    return std::move(result_);
  }

private:
  // -- sending ----------------------------------------------------------------

  /// Returns whether the server takes more.
  bool send_all(const exchange& x) {
    for (auto segment : x.segments) {
      replace_all(segment, ended_job, server_.ended_job);
      replace_all(segment, running_job, server_.running_job);
      if (!send(segment))
        return false;
    }
    return true;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0)
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      else if (errno == EAGAIN)
        // Reads meanwhile: neither side must wait for the other.
        wait(POLLIN | POLLOUT);
      else if (errno != EINTR)
        break; // Closed; what it said before is read all the same.
      if (!result_.fault.empty())
        return false;
    }
    return bytes.empty();
  }

  // -- receiving --------------------------------------------------------------

  /// Waits for something to happen, and reads what has come.
  void wait(short events) {
    pollfd waits{socket_.get(), events, 0};
    const auto ready
      = ::poll(&waits, 1, static_cast<int>(server_.patience.count()));
    if (ready == 0)
      result_.fault = "hangs: neither an answer nor a close";
    if (ready > 0 && (waits.revents & ~POLLOUT) != 0)
      read();
  }

  void read() {
    std::array<char, 65536> chunk{};
    const auto got
      = ::recv(socket_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got > 0)
      buffer_.append(chunk.data(), static_cast<std::size_t>(got));
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
      ended_ = true;
    // A reset may take the end of an answer away; that is no cut answer.
    was_reset_ = was_reset_ || (got < 0 && errno == ECONNRESET);
  }

  /// Waits for the answers that are due. Returns whether the connection goes
  /// on.
  bool await(const exchange& x) {
    for (const auto is_head : x.awaited)
      if (!next_final(is_head ? to_head::yes : to_head::no))
        return false;
    return true;
  }

  /// Takes the next answer that is not 100; returns whether another may come.
  bool next_final(to_head head) {
    for (;;) {
      switch (take_answer(head)) {
      case step::interim:
        break;
      case step::final:
        return true;
      case step::over:
        return false;
      case step::need_more:
        if (ended_) {
          result_.closed_unanswered = true;
          return false;
        }
        wait(POLLIN);
      }
      if (!result_.fault.empty())
        return false;
    }
  }

  enum class step { need_more, interim, final, over };

  step take_answer(to_head head) {
    if (was_reset_)
      return step::over;
    if (buffer_.empty())
      return step::need_more;
    auto next = parse_answer(buffer_, head, ended_);
    if (next.what == parsed::status::need_more)
      return step::need_more;
    if (next.what == parsed::status::broken) {
      result_.fault = "not HTTP/1.1: " + next.why;
      return step::over;
    }
    const auto& got = next.got;
    ++result_.statuses.at(static_cast<std::size_t>(got.status));
    result_.fault = fault_of(got);
    if (!result_.fault.empty())
      return step::over;
    buffer_.erase(0, next.size);
    if (got.status == 100)
      return step::interim;
    if (got.streams) {
      streaming_ = true; // It lasts as long as the job: nobody waits for it.
      return step::over;
    }
    closing_ = got.closes();
    return closing_ ? step::over : step::final;
  }

  /// Reads to the end of the connection; every answer on the way is judged.
  void read_to_end() {
    for (;;) {
      auto last = step::final;
      while (!closing_ && (last == step::final || last == step::interim))
        last = take_answer(unframed_);
      if (closing_ && !buffer_.empty() && result_.fault.empty())
        result_.fault = "sends more after Connection: close";
      if (ended_ || streaming_ || !result_.fault.empty())
        return;
      wait(POLLIN);
    }
  }

  // -- the end ----------------------------------------------------------------

  void say_farewell() {
    switch (what_.end) {
    case farewell::reset: {
      const linger at_once{1, 0};
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once,
                   sizeof at_once);
      return;
    }
    case farewell::leave:
      return;
    case farewell::half_close:
      ::shutdown(socket_.get(), SHUT_WR);
      break;
    case farewell::wait:
      break;
    }
    read_to_end();
  }

  const scenario& what_;
  const target& server_;
  const to_head unframed_;
  capture::unique_descriptor socket_;
  std::string buffer_;
  bool ended_ = false;     ///< Nothing more will come.
  bool was_reset_ = false; ///< By the server.
  bool closing_ = false;   ///< The last answer said so.
  bool streaming_ = false;
  outcome result_;
};

} // namespace

outcome play(const scenario& what, const target& server,
             std::uint64_t client_number) {
  return client{what, server, client_number}.run();
}

} // namespace edgecap::fuzz

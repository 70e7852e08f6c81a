#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace edgecap::test {

/// An answer as it came over the wire.
struct http_answer {
  int status = 0;
  std::string head; ///< Status line and headers, with the empty line.
  /// Names in lower case; repeated ones are joined by ", ".
  std::map<std::string, std::string> headers;
  std::string body;
};

/// One client connection on which tests say exactly what is sent. Each member
/// function that waits gives up after `patience` with a std::runtime_error
/// that tells what was awaited and what had come.
class http_client {
public:
  /// Connects.
  /// @param receive_buffer_bytes of the socket; 0 leaves the system's.
  explicit http_client(std::uint16_t port,
                       const std::string& address = "127.0.0.1",
                       int receive_buffer_bytes = 0);
  ~http_client();
  http_client(http_client&& other) noexcept;
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  std::chrono::milliseconds patience{20000};

  /// Sends all bytes.
  void send(std::string_view bytes);

  /// Sends each part as a TCP segment of its own.
  void send_segments(const std::vector<std::string>& parts);

  /// Sends `METHOD target HTTP/1.1` with Host, `headers` (each line with its
  /// CR LF) and, if not empty, the body with its length.
  void request(std::string_view method, std::string_view target,
               std::string_view headers = {}, std::string_view body = {});

  /// Reads one answer; one to HEAD has no body.
  http_answer read_answer(bool to_head = false);

  /// `request` and `read_answer`.
  http_answer ask(std::string_view method, std::string_view target,
                  std::string_view headers = {}, std::string_view body = {});

  /// Reads to the end of the connection, be it orderly or a reset.
  std::string read_until_close();

  /// Reads at least so many bytes.
  std::string read_some(std::size_t at_least = 1);

  /// Closes the sending side.
  void half_close();

  /// Closes with a reset.
  void reset();

  void close();

private:
  bool receive(std::chrono::steady_clock::time_point deadline,
               const char* awaited);

  int fd_ = -1;
  bool ended_ = false;
  std::string buffer_;
};

} // namespace edgecap::test

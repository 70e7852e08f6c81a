#include "tests/support/http_client.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace edgecap::test {

namespace {

using clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& doing) {
  throw std::system_error(errno, std::system_category(), doing);
}

int connect_to(std::uint16_t port, const std::string& address,
               int receive_buffer_bytes) {
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  const auto is_v6 = ::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1;
  ::inet_pton(AF_INET, address.c_str(), &v4.sin_addr);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port = htons(port);
  v4.sin_family = AF_INET;
  const auto fd
    = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    fail("open a socket");
  const auto one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
  const auto connected
    = is_v6 ? ::connect(fd, reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
            : ::connect(fd, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  if (connected != 0) {
    ::close(fd);
    fail("connect to " + address + " port " + std::to_string(port));
  }
  return fd;
}

std::map<std::string, std::string> parse_headers(std::string_view head) {
  std::map<std::string, std::string> result;
  head.remove_prefix(head.find("\r\n") + 2);
  while (head != "\r\n") {
    const auto end = head.find("\r\n");
    const auto line = head.substr(0, end);
    head.remove_prefix(end + 2);
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos)
      throw std::runtime_error("malformed header: " + std::string(line));
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    auto& value = result[name];
    value += value.empty() ? "" : ", ";
    value += line.substr(colon + 2);
  }
  return result;
}

} // namespace

http_client::http_client(std::uint16_t port, const std::string& address,
                         int receive_buffer_bytes)
  : fd_(connect_to(port, address, receive_buffer_bytes)) {}

http_client::~http_client() {
  close();
}

http_client::http_client(http_client&& other) noexcept
  : patience(other.patience), fd_(std::exchange(other.fd_, -1)),
    ended_(other.ended_), buffer_(std::move(other.buffer_)) {}

void http_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0)
      fail("send to the server");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void http_client::send_segments(const std::vector<std::string>& parts) {
  const auto deadline = clock::now() + patience;
  for (const auto& part : parts) {
    send(part);
    // Nothing unacknowledged: what comes next is another segment.
    for (auto queued = 1; queued > 0; std::this_thread::yield()) {
      if (::ioctl(fd_, SIOCOUTQ, &queued) != 0)
        fail("ask for unsent bytes");
      if (clock::now() > deadline)
        throw std::runtime_error("a segment was not acknowledged");
    }
  }
}

void http_client::request(std::string_view method, std::string_view target,
                          std::string_view headers, std::string_view body) {
  std::string text(method);
  text += ' ';
  text += target;
  text += " HTTP/1.1\r\nHost: test\r\n";
  text += headers;
  if (!body.empty())
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  text += "\r\n";
  text += body;
  send(text);
}

http_answer http_client::ask(std::string_view method, std::string_view target,
                             std::string_view headers, std::string_view body) {
  request(method, target, headers, body);
  return read_answer(method == "HEAD");
}

/// Receives something; returns whether the connection goes on.
bool http_client::receive(clock::time_point deadline, const char* awaited) {
  if (ended_)
    return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
    deadline - clock::now());
  pollfd waits{fd_, POLLIN, 0};
  const auto timeout
    = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  if (::poll(&waits, 1, timeout) == 0)
    throw std::runtime_error(std::string("timeout: awaited ") + awaited
                             + ", have: " + buffer_.substr(0, 500));
  std::array<char, 65536> chunk{};
  const auto size = ::recv(fd_, chunk.data(), chunk.size(), 0);
  if (size > 0)
    buffer_.append(chunk.data(), static_cast<std::size_t>(size));
  else
    ended_ = true;
  return !ended_;
}

http_answer http_client::read_answer(bool to_head) {
  const auto deadline = clock::now() + patience;
  auto end = buffer_.find("\r\n\r\n");
  for (; end == std::string::npos; end = buffer_.find("\r\n\r\n"))
    if (!receive(deadline, "the head of an answer"))
      throw std::runtime_error("closed instead of an answer: " + buffer_);
  http_answer result;
  result.head = buffer_.substr(0, end + 4);
  buffer_.erase(0, end + 4);
  if (result.head.rfind("HTTP/1.1 ", 0) != 0)
    throw std::runtime_error("no status line: " + result.head);
  result.status = std::stoi(result.head.substr(9, 3));
  result.headers = parse_headers(result.head);
  const auto length = result.headers.find("content-length");
  if (to_head || result.status < 200 || length == result.headers.end())
    return result;
  const auto bytes = std::stoull(length->second);
  while (buffer_.size() < bytes)
    if (!receive(deadline, "the body of an answer"))
      throw std::runtime_error("closed within a body: " + result.head);
  result.body = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return result;
}

std::string http_client::read_until_close() {
  const auto deadline = clock::now() + patience;
  while (receive(deadline, "the end of the connection")) {
  }
  return std::exchange(buffer_, {});
}

std::string http_client::read_some(std::size_t at_least) {
  const auto deadline = clock::now() + patience;
  while (buffer_.size() < at_least)
    if (!receive(deadline, "some bytes"))
      throw std::runtime_error("closed instead of bytes");
  return std::exchange(buffer_, {});
}

void http_client::half_close() {
  ::shutdown(fd_, SHUT_WR);
}

void http_client::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

void http_client::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

} // namespace edgecap::test

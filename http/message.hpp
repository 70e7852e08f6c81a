#pragma once

#include "capture/descriptor.hpp"
#include "http/live_body.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

// Requests and answers as the handlers see them: no Pistache, no sockets.
namespace edgecap::http {

enum class method : std::uint8_t { get, head, post, put, patch, del, options };

/// A complete, strictly framed request. Owned by the I/O thread for the time
/// of the handler's call; handlers copy what they keep.
struct request {
  http::method method = http::method::get;
  /// As sent, without the query.
  std::string path;
  /// Values of the `:name` segments of the route, percent-decoded.
  std::unordered_map<std::string, std::string> params;
  /// Decoded query parameters in the order sent; duplicates are kept.
  std::vector<std::pair<std::string, std::string>> query;
  /// Names in lower case; only those that `front` lets through (see
  /// front_options), each at most once.
  std::unordered_map<std::string, std::string> headers;
  std::string body;
  /// Address of the client without the port: that of the other end of the
  /// connection or, if that is a trusted proxy, the one that it names.
  std::string client_address;

  /// Value of a header, empty if absent. `name` is in lower case.
  std::string_view header(const std::string& name) const {
    const auto i = headers.find(name);
    return i == headers.end() ? std::string_view{} : i->second;
  }
};

/// An answer. `Content-Length`, `Connection` and `Date` are added when it is
/// written; a value with a control character is replaced by a 500.
struct response {
  int status = 200;
  /// Empty for an answer without a body (204, 304).
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// Part of an open file, sent as a body.
struct file_slice {
  capture::shared_descriptor descriptor;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Where an answer goes. Implemented by `front` over a socket and by tests
/// over memory. Any thread may call it; exactly one call of a `send` counts.
class reply_channel {
public:
  virtual ~reply_channel() = default;

  /// Sends an answer; what the socket does not take at once is sent later.
  virtual void send(response answer) = 0;

  /// Sends `head` with the slice as its body (`head.body` is ignored).
  virtual void send_file(response head, file_slice body) = 0;

  /// Sends `head` with a body that comes while it is sent (`head.body` is
  /// ignored), and closes the connection behind it.
  virtual void send_live(response head, std::shared_ptr<live_body> body) = 0;

  /// True once the client has closed the connection.
  virtual bool peer_gone() const = 0;
};

/// The right and the duty to answer one request. Move-only; one that is
/// destroyed unused answers 500, so that no client waits for ever.
class reply {
public:
  explicit reply(std::unique_ptr<reply_channel> channel);
  reply(reply&&) noexcept = default;
  reply& operator=(reply&&) = delete;
  ~reply();

  /// Answers. Later calls have no effect.
  void send(response answer);

  /// Answers with part of a file.
  void send_file(response head, file_slice body);

  /// Answers with a body that comes while it is sent.
  void send_live(response head, std::shared_ptr<live_body> body);

  bool peer_gone() const;

private:
  std::unique_ptr<reply_channel> channel_;
};

} // namespace edgecap::http

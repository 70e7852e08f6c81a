#pragma once

#include "http/errors.hpp"
#include "http/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace edgecap::http {

/// What a request may measure at most; see front_options.
struct framer_limits {
  std::size_t max_target_bytes = 2048;
  std::size_t max_header_bytes = 16384; ///< Request line and all headers.
  std::size_t max_headers = 100;
  std::size_t max_body_bytes = 65536;
};

/// One complete request as it was framed.
struct framed_request {
  http::method method = http::method::get;
  std::string path;  ///< As sent; starts with `/`, or is `*` for OPTIONS.
  std::string query; ///< As sent, without the `?`.
  /// Those on the allow-list, names in lower case, values trimmed.
  std::unordered_map<std::string, std::string> headers;
  /// All `X-Forwarded-For` as one list: what whoever sent this claims.
  std::string forwarded_for;
  std::string body;
  bool keep_alive = true; ///< What the client asked for.
  bool is_http_1_0 = false;
};

/// Name of a method as it stands in a request line.
std::string_view to_string(method value);

/// Cuts the bytes of one connection into requests, by RFC 9110 and 9112 in
/// their strictest reading: whatever two parsers could read in two ways is
/// refused. Pure: no sockets, no clock. Not thread-safe. Each byte is looked
/// at once, however it is segmented.
class request_framer {
public:
  enum class status : std::uint8_t { need_more, complete, failed };

  explicit request_framer(framer_limits limits);

  /// Buffers input. Returns false, and takes nothing, if that would make more
  /// than `capacity()` bytes wait. Cannot fail as long as `next` is called
  /// until it needs more after each append of at most `max_append` bytes.
  bool append(std::string_view bytes);

  /// Moves the next complete request into `result`, says that more bytes are
  /// needed, or that the input is broken; then `error()` tells how and no
  /// request can follow.
  status next(framed_request& result);

  const api_error& error() const {
    return error_;
  }

  /// Method of the unfinished or failed request, empty if not known.
  std::string_view method_name() const;

  /// Whether a request has begun.
  bool begun() const {
    return state_ != state::start || size() > 0;
  }

  /// Whether a head is complete and its body is not.
  bool in_body() const {
    return state_ == state::body;
  }

  /// True once for a request that waits with its body for `100 Continue`.
  bool take_continue();

  /// Bytes that wait.
  std::size_t size() const {
    return buffer_.size() - begin_;
  }

  std::size_t capacity() const;

  static constexpr std::size_t max_append = 16384;

private:
  enum class state : std::uint8_t { start, headers, body, failed };

  status fail(int http_status, int code, std::string message);
  status head_step();
  status find_line(std::string_view& line, bool& found);
  status on_line(std::string_view line);
  status on_request_line(std::string_view line);
  status on_target(std::string_view target);
  status on_header(std::string_view line);
  status on_framing_header(std::string_view name, std::string_view value);
  status on_content_length(std::string_view value);
  void on_transfer_encoding(std::string_view value);
  status on_connection(std::string_view value);
  status on_head_end();
  status finish(framed_request& result);
  void reset_request();

  framer_limits limits_;
  api_error error_;
  std::string buffer_;
  std::size_t begin_ = 0; ///< First byte of the current request's rest.
  std::size_t scan_ = 0;  ///< First byte that was not yet looked at.
  std::size_t head_bytes_ = 0;
  state state_ = state::start;

  // -- the request that is being framed
  framed_request request_;
  bool method_known_ = false;
  bool http_1_0_ = false;
  bool skipped_crlf_ = false;
  bool has_length_ = false;
  bool has_coding_ = false;
  bool is_chunked_ = false;  ///< As the last coding, and only there.
  bool had_chunked_ = false; ///< Anywhere in the list of codings.
  bool asked_close_ = false;
  bool asked_keep_alive_ = false;
  bool expects_continue_ = false;
  std::size_t hosts_ = 0;
  std::size_t header_count_ = 0;
  std::size_t body_bytes_ = 0;
};

} // namespace edgecap::http

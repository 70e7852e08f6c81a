#include "http/request_framer.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace edgecap::http {

namespace {

using status = request_framer::status;

constexpr std::array<std::pair<std::string_view, method>, 7> methods{{
  {"GET", method::get},
  {"HEAD", method::head},
  {"POST", method::post},
  {"PUT", method::put},
  {"PATCH", method::patch},
  {"DELETE", method::del},
  {"OPTIONS", method::options},
}};

/// Headers that handlers see. Each has one meaning only if it comes once.
constexpr std::array<std::string_view, 13> allowed_headers{
  "authorization",     "content-type",  "idempotency-key", "if-match",
  "if-modified-since", "if-none-match", "if-range",        "range",
  "traceparent",       "user-agent",    "x-auth-email",    "x-auth-key",
  "x-request-id"};

/// Room in a request line besides the target: the longest method, two spaces,
/// the version and some slack.
constexpr std::size_t request_line_overhead_bytes = 32;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty()
         && std::all_of(text.begin(), text.end(), [marks](char c) {
              return is_digit(c) || is_alpha(c)
                     || marks.find(c) != std::string_view::npos;
            });
}

/// RFC 9110, 5.5: visible, blank or obs-text.
bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// RFC 3986, 2: unreserved and sub-delims, besides the `marks`.
bool consists_of_uri(std::string_view text, std::string_view marks) {
  constexpr std::string_view always = "-._~!$&'()*+,;=";
  return std::all_of(text.begin(), text.end(), [always, marks](char c) {
    return is_digit(c) || is_alpha(c)
           || always.find(c) != std::string_view::npos
           || marks.find(c) != std::string_view::npos;
  });
}

/// `uri-host [":" port]` (RFC 9110, 7.2); the value itself is not used.
bool is_authority(std::string_view text) {
  const auto is_literal = !text.empty() && text.front() == '[';
  const auto end = is_literal ? text.find(']') : text.find(':');
  auto host = text.substr(0, end);
  auto port
    = end == std::string_view::npos ? std::string_view{} : text.substr(end);
  if (is_literal) {
    if (port.empty() || host.size() == 1)
      return false;
    host.remove_prefix(1);
    port.remove_prefix(1);
    if (!std::all_of(host.begin(), host.end(), [](char c) {
          return is_hex_digit(c) || c == ':' || c == '.';
        }))
      return false;
  } else if (!consists_of_uri(host, "%")) {
    return false;
  }
  return port.empty()
         || (port.front() == ':'
             && std::all_of(port.begin() + 1, port.end(), is_digit));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (auto& c : result)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Calls `function` with each element of a comma-separated list, in lower case.
template <class Function>
void for_each_element(std::string_view list, Function function) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    function(lower(trim(list.substr(0, comma))));
    list.remove_prefix(comma == std::string_view::npos ? list.size()
                                                       : comma + 1);
  }
}

} // namespace

std::string_view to_string(method value) {
  for (const auto& [name, known] : methods)
    if (known == value)
      return name;
  return {};
}

request_framer::request_framer(framer_limits limits) : limits_(limits) {}

std::size_t request_framer::capacity() const {
  return limits_.max_header_bytes + limits_.max_body_bytes + max_append;
}

bool request_framer::append(std::string_view bytes) {
  if (size() + bytes.size() > capacity())
    return false;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scan_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
  return true;
}

std::string_view request_framer::method_name() const {
  return method_known_ ? to_string(request_.method) : std::string_view{};
}

bool request_framer::take_continue() {
  return state_ == state::body && size() == 0
         && std::exchange(expects_continue_, false);
}

status request_framer::next(framed_request& result) {
  while (state_ == state::start || state_ == state::headers) {
    const auto step = head_step();
    if (step != status::complete)
      return step;
  }
  if (state_ == state::failed)
    return status::failed;
  if (size() < body_bytes_)
    return status::need_more;
  return finish(result);
}

// -- lines --------------------------------------------------------------------

/// Takes one line of the head; `complete` means that there was one.
status request_framer::head_step() {
  std::string_view line;
  auto found = false;
  if (find_line(line, found) == status::failed)
    return status::failed;
  if (!found)
    return status::need_more;
  const auto consumed = line.size() + 2;
  head_bytes_ += consumed;
  const auto result = on_line(line);
  begin_ += consumed;
  return result == status::failed ? result : status::complete;
}

/// Looks for the next CR LF. Bytes that no line may have are refused as soon
/// as they arrive, so that a client that ends its lines otherwise is told
/// instead of waiting for a timeout. So are bytes beyond a limit: what is
/// refused, and why, must not depend on how much of it has come so far.
status request_framer::find_line(std::string_view& line, bool& found) {
  for (; scan_ < buffer_.size(); ++scan_) {
    const auto line_bytes = scan_ - begin_ + 1;
    if (state_ == state::start
        && line_bytes > limits_.max_target_bytes + request_line_overhead_bytes)
      return fail(414, code::target_too_long, "The request target is too long");
    if (head_bytes_ + line_bytes > limits_.max_header_bytes)
      return fail(431, code::headers_too_large, "The header is too large");
    const auto c = buffer_[scan_];
    if (c == '\n') {
      if (scan_ == begin_ || buffer_[scan_ - 1] != '\r')
        return fail(400, code::bad_request, "A line ends without CR LF");
      line = std::string_view(buffer_).substr(begin_, scan_ - 1 - begin_);
      found = true;
      ++scan_;
      return status::complete;
    }
    if (scan_ > begin_ && buffer_[scan_ - 1] == '\r')
      return fail(400, code::bad_request, "A line ends without CR LF");
    if (c == '\0')
      return fail(400, code::bad_request, "The header contains a NUL byte");
  }
  return status::need_more;
}

status request_framer::on_line(std::string_view line) {
  if (state_ == state::start) {
    // RFC 9112, 2.2: an empty line before the request line is ignored; one,
    // because some old clients end a body with it.
    if (line.empty() && !std::exchange(skipped_crlf_, true))
      return status::complete;
    return on_request_line(line);
  }
  return line.empty() ? on_head_end() : on_header(line);
}

status request_framer::on_request_line(std::string_view line) {
  const auto malformed = [this] {
    return fail(400, code::bad_request, "The request line is malformed");
  };
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return malformed();
  const auto name = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!is_token(name) || version.size() != 8 || version.substr(0, 5) != "HTTP/"
      || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7]))
    return malformed();
  const auto known
    = std::find_if(methods.begin(), methods.end(),
                   [name](const auto& entry) { return entry.first == name; });
  if (known != methods.end()) {
    request_.method = known->second;
    method_known_ = true;
  }
  http_1_0_ = version == "HTTP/1.0";
  if (!http_1_0_ && version != "HTTP/1.1")
    return fail(505, code::bad_version,
                "Only HTTP/1.1 and HTTP/1.0 are spoken");
  if (!method_known_)
    return fail(501, code::unknown_method, "The method is not known");
  if (target.size() > limits_.max_target_bytes)
    return fail(414, code::target_too_long, "The request target is too long");
  state_ = state::headers;
  return on_target(target);
}

status request_framer::on_target(std::string_view target) {
  const auto bad = [this](const char* message) {
    return fail(400, code::bad_request, message);
  };
  // Brackets belong into an authority; many clients have them in queries, too.
  if (!consists_of_uri(target, "%:@/?[]"))
    return bad("The request target contains a forbidden character");
  if (target == "*" && request_.method == method::options) {
    request_.path = "*";
    return status::complete;
  }
  // RFC 9112, 3.2.2: servers accept the absolute form, too. Its authority
  // counts as little here as that of Host.
  const auto scheme = lower(target.substr(0, 8));
  if (const auto skip = scheme.rfind("http://", 0) == 0 ? 7u
                        : scheme == "https://"          ? 8u
                                                        : 0u) {
    target.remove_prefix(skip);
    const auto end = std::min(target.find_first_of("/?"), target.size());
    // RFC 9110, 4.2.1: a host must be named.
    if (end == 0 || target.front() == ':'
        || !is_authority(target.substr(0, end)))
      return bad("The authority of the request target is malformed");
    target.remove_prefix(end);
    if (target.empty() || target.front() == '?')
      request_.path = "/";
  } else if (target.empty() || target.front() != '/') {
    return bad("The request target is no absolute path");
  }
  const auto question = target.find('?');
  request_.path += target.substr(0, question);
  if (question != std::string_view::npos)
    request_.query = target.substr(question + 1);
  return status::complete;
}

// -- headers ------------------------------------------------------------------

status request_framer::on_header(std::string_view line) {
  if (++header_count_ > limits_.max_headers)
    return fail(431, code::headers_too_large, "There are too many headers");
  if (line.front() == ' ' || line.front() == '\t')
    return fail(400, code::bad_request, "A header is folded over two lines");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return fail(400, code::bad_request, "A header name is malformed");
  const auto value = trim(line.substr(colon + 1));
  if (!is_field_value(value))
    return fail(400, code::bad_request,
                "A header value contains a control character");
  auto name = lower(line.substr(0, colon));
  if (std::find(allowed_headers.begin(), allowed_headers.end(), name)
      == allowed_headers.end())
    return on_framing_header(name, value);
  const auto [known, added] = request_.headers.emplace(std::move(name), value);
  if (!added)
    return fail(400, code::bad_request,
                "The header " + known->first + " is repeated");
  return status::complete;
}

status request_framer::on_framing_header(std::string_view name,
                                         std::string_view value) {
  if (name == "content-length")
    return on_content_length(value);
  if (name == "connection")
    return on_connection(value);
  if (name == "transfer-encoding") {
    on_transfer_encoding(value);
  } else if (name == "host") {
    ++hosts_;
    if (!is_authority(value))
      return fail(400, code::bad_request, "The header host is malformed");
  } else if (name == "expect") {
    if (lower(value) != "100-continue")
      return fail(417, code::expectation_failed,
                  "The only expectation that can be met is 100-continue");
    expects_continue_ = true;
  } else if (name == "x-forwarded-for") {
    // RFC 9110, 5.3: a list may come in several headers.
    auto& list = request_.forwarded_for;
    list.append(list.empty() ? "" : ",").append(value);
  }
  return status::complete;
}

status request_framer::on_content_length(std::string_view value) {
  if (std::exchange(has_length_, true))
    return fail(400, code::bad_request,
                "The header content-length is repeated");
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit))
    return fail(400, code::bad_request,
                "The header content-length is malformed");
  for (const auto digit : value) {
    body_bytes_ = body_bytes_ * 10 + static_cast<std::size_t>(digit - '0');
    if (body_bytes_ > limits_.max_body_bytes)
      return fail(413, code::body_too_large,
                  "The body is larger than "
                    + std::to_string(limits_.max_body_bytes) + " bytes");
  }
  return status::complete;
}

/// Notes whether the body would end with its last chunk, which takes one
/// `chunked` at the end of the list.
void request_framer::on_transfer_encoding(std::string_view value) {
  has_coding_ = true;
  is_chunked_ = false;
  for_each_element(value, [this](std::string_view coding) {
    const auto chunked = coding == "chunked";
    is_chunked_ = chunked && !had_chunked_;
    had_chunked_ = had_chunked_ || chunked;
  });
}

status request_framer::on_connection(std::string_view value) {
  for_each_element(value, [this](std::string_view option) {
    if (option == "close")
      asked_close_ = true;
    else if (option == "keep-alive")
      asked_keep_alive_ = true;
  });
  return status::complete;
}

status request_framer::on_head_end() {
  if (hosts_ > 1)
    return fail(400, code::bad_request, "The header host is repeated");
  if (hosts_ == 0 && !http_1_0_)
    return fail(400, code::bad_request, "The header host is missing");
  // RFC 9112, 6.3: without a final `chunked`, nobody can tell where the body
  // ends.
  if (has_coding_ && (has_length_ || http_1_0_ || !is_chunked_))
    return fail(400, code::bad_request,
                "The header transfer-encoding is not allowed here");
  if (has_coding_)
    return fail(411, code::length_required,
                "A body needs a content-length; chunked ones are not taken");
  if (http_1_0_)
    expects_continue_ = false;
  request_.keep_alive = !asked_close_ && (!http_1_0_ || asked_keep_alive_);
  request_.is_http_1_0 = http_1_0_;
  state_ = state::body;
  return status::complete;
}

// -- requests -----------------------------------------------------------------

status request_framer::finish(framed_request& result) {
  request_.body.assign(buffer_, begin_, body_bytes_);
  begin_ += body_bytes_;
  scan_ = begin_;
  result = std::move(request_);
  reset_request();
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = scan_ = 0;
    // An idle connection does not hold the memory of its largest request.
    if (buffer_.capacity() > max_append)
      buffer_.shrink_to_fit();
  }
  return status::complete;
}

void request_framer::reset_request() {
  state_ = state::start;
  head_bytes_ = 0;
  request_ = {};
  method_known_ = http_1_0_ = skipped_crlf_ = false;
  has_length_ = has_coding_ = is_chunked_ = had_chunked_ = false;
  asked_close_ = asked_keep_alive_ = expects_continue_ = false;
  hosts_ = header_count_ = body_bytes_ = 0;
}

status request_framer::fail(int http_status, int code, std::string message) {
  error_ = api_error{http_status, code, std::move(message), {}};
  state_ = state::failed;
  return status::failed;
}

} // namespace edgecap::http

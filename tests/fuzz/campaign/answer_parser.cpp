#include "tests/fuzz/campaign/answer.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace edgecap::fuzz {

namespace {

/// Largest head of an answer.
constexpr std::size_t max_head_bytes = 16384;

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view stream_type = "application/vnd.tcpdump.pcap";
constexpr std::string_view status_line_start = "HTTP/1.1 ";

parsed broken(std::string why) {
  parsed result;
  result.what = parsed::status::broken;
  result.why = std::move(why);
  return result;
}

bool is_text(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7F;
  });
}

bool is_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
  });
}

/// Reads "HTTP/1.1 200 OK".
bool read_status_line(std::string_view line, answer& to) {
  if (line.substr(0, status_line_start.size()) != status_line_start)
    return false;
  line.remove_prefix(status_line_start.size());
  const auto [end, error]
    = std::from_chars(line.data(), line.data() + line.size(), to.status);
  return error == std::errc{} && end == line.data() + 3 && line.size() > 3
         && line[3] == ' ' && to.status >= 100 && to.status <= 599;
}

bool read_header(std::string_view line, answer& to) {
  const auto colon = line.find(": ");
  if (colon == std::string_view::npos || !is_name(line.substr(0, colon)))
    return false;
  std::string name{line.substr(0, colon)};
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  to.headers.emplace_back(std::move(name), line.substr(colon + 2));
  return true;
}

/// Reads all lines of a head; says what is wrong, if anything.
std::string read_head(std::string_view head, answer& to) {
  for (auto first = true; !head.empty(); first = false) {
    const auto line = head.substr(0, head.find(line_end));
    head.remove_prefix(line.size() + line_end.size());
    if (!is_text(line))
      return "a line of the head has control characters";
    if (!(first ? read_status_line(line, to) : read_header(line, to)))
      return "a line of the head is malformed: " + std::string{line};
  }
  return {};
}

/// Says what is wrong with the framing headers, if anything.
std::string framing_fault(const answer& x, bool may_have_body) {
  const auto lengths = x.count("content-length");
  const auto codings = x.count("transfer-encoding");
  if (x.status >= 200 && x.count("date") != 1)
    return "there is not one Date";
  if (x.status >= 200 && x.header("connection") != "close"
      && x.header("connection") != "keep-alive")
    return "Connection is neither close nor keep-alive";
  if (!may_have_body)
    return lengths + codings == 0 ? ""
                                  : "an answer without a body has a length";
  // A stream to an HTTP/1.0 client has neither, and ends with the connection.
  const auto ends_with_connection = lengths + codings == 0 && x.status == 200
                                    && x.closes()
                                    && x.header("content-type") == stream_type;
  if (lengths + codings != 1 && !ends_with_connection)
    return "there is not one Content-Length or Transfer-Encoding";
  if (codings == 1 && x.header("transfer-encoding") != "chunked")
    return "an unknown Transfer-Encoding";
  return {};
}

/// Whether the answer, to what may be a HEAD, ends with its head.
bool ends_with_head(std::string_view rest, to_head head, bool ended) {
  return head == to_head::yes
         || (head == to_head::unknown
             && (rest.empty() ? ended
                              : rest.substr(0, status_line_start.size())
                                  == status_line_start));
}

} // namespace

std::string_view answer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name)
      return value;
  return {};
}

std::size_t answer::count(std::string_view name) const {
  return static_cast<std::size_t>(
    std::count_if(headers.begin(), headers.end(),
                  [&](const auto& x) { return x.first == name; }));
}

parsed parse_answer(std::string_view bytes, to_head head, bool ended) {
  parsed result;
  const auto end = bytes.substr(0, max_head_bytes).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() >= max_head_bytes)
      return broken("the head of an answer has no end");
    return ended && !bytes.empty() ? broken("the head of an answer is cut")
                                   : result;
  }
  auto& got = result.got;
  if (auto why = read_head(bytes.substr(0, end + 2), got); !why.empty())
    return broken(why);
  const auto may_have_body
    = got.status >= 200 && got.status != 204 && got.status != 304;
  if (auto why = framing_fault(got, may_have_body); !why.empty())
    return broken(why);
  result.size = end + 4;
  result.what = parsed::status::complete;
  const auto rest = bytes.substr(result.size);
  if (!may_have_body || ends_with_head(rest, head, ended))
    return result;
  got.has_body = true;
  if (got.count("content-length") == 0) {
    got.streams = true;
    return result;
  }
  const auto text = got.header("content-length");
  std::size_t length = 0;
  const auto [stop, error]
    = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc{} || stop != text.data() + text.size())
    return broken("a malformed Content-Length");
  if (rest.size() < length) {
    result.what = parsed::status::need_more;
    return ended ? broken("the body of an answer is cut") : result;
  }
  got.body = rest.substr(0, length);
  result.size += length;
  return result;
}

} // namespace edgecap::fuzz

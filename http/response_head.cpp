#include "http/response_head.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <string_view>

namespace edgecap::http {

namespace {

constexpr std::array<std::string_view, 4> own_headers{
  "connection", "content-length", "date", "transfer-encoding"};

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7F;
  });
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) {
                      return a == b || (a >= 'A' && a <= 'Z' && a + 32 == b);
                    });
}

std::string_view reason_phrase(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 201:
    return "Created";
  case 202:
    return "Accepted";
  case 204:
    return "No Content";
  case 206:
    return "Partial Content";
  case 304:
    return "Not Modified";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 411:
    return "Length Required";
  case 412:
    return "Precondition Failed";
  case 413:
    return "Content Too Large";
  case 414:
    return "URI Too Long";
  case 415:
    return "Unsupported Media Type";
  case 416:
    return "Range Not Satisfiable";
  case 417:
    return "Expectation Failed";
  case 422:
    return "Unprocessable Content";
  case 429:
    return "Too Many Requests";
  case 431:
    return "Request Header Fields Too Large";
  case 500:
    return "Internal Server Error";
  case 501:
    return "Not Implemented";
  case 503:
    return "Service Unavailable";
  case 504:
    return "Gateway Timeout";
  case 505:
    return "HTTP Version Not Supported";
  case 507:
    return "Insufficient Storage";
  default:
    return ""; // RFC 9112, 4: may be empty.
  }
}

/// IMF-fixdate of now (RFC 9110, 5.6.7); formatted once per second and thread.
const std::string& date_now() {
  thread_local std::time_t second = -1;
  thread_local std::string text;
  const auto now = std::time(nullptr);
  if (now != second) {
    // Not strftime: names must not depend on the locale.
    constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed",
                                              "Thu", "Fri", "Sat"};
    constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr",
                                                 "May", "Jun", "Jul", "Aug",
                                                 "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    const auto two = [](int value) {
      return (value < 10 ? "0" : "") + std::to_string(value);
    };
    text = std::string(days.at(static_cast<std::size_t>(utc.tm_wday))) + ", "
           + two(utc.tm_mday) + ' '
           + months.at(static_cast<std::size_t>(utc.tm_mon)) + ' '
           + std::to_string(utc.tm_year + 1900) + ' ' + two(utc.tm_hour) + ':'
           + two(utc.tm_min) + ':' + two(utc.tm_sec) + " GMT";
    second = now;
  }
  return text;
}

/// All but what says how the body is framed.
std::string begin_head(const response& answer) {
  std::string head;
  head.reserve(256);
  head += "HTTP/1.1 ";
  head += std::to_string(answer.status);
  head += ' ';
  head += reason_phrase(answer.status);
  head += "\r\nDate: ";
  head += date_now();
  head += "\r\n";
  if (!answer.content_type.empty()) {
    head += "Content-Type: ";
    head += answer.content_type;
    head += "\r\n";
  }
  for (const auto& [name, value] : answer.headers) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
  }
  return head;
}

} // namespace

bool is_writable(const response& answer) {
  return answer.status >= 200 && answer.status <= 599
         && is_value(answer.content_type)
         && std::all_of(answer.headers.begin(), answer.headers.end(),
                        [](const auto& header) {
                          const auto& name = header.first;
                          return is_name(name) && is_value(header.second)
                                 && std::none_of(
                                   own_headers.begin(), own_headers.end(),
                                   [&name](auto own) {
                                     return equals_ignoring_case(name, own);
                                   });
                        });
}

bool has_body(int status) {
  return status != 204 && status != 304;
}

std::string response_head(const response& answer, std::uint64_t body_bytes,
                          bool keep_alive) {
  auto head = begin_head(answer);
  if (has_body(answer.status)) {
    head += "Content-Length: ";
    head += std::to_string(body_bytes);
    head += "\r\n";
  }
  head += keep_alive ? "Connection: keep-alive\r\n\r\n"
                     : "Connection: close\r\n\r\n";
  return head;
}

std::string live_response_head(const response& answer, bool chunked) {
  auto head = begin_head(answer);
  if (chunked)
    head += "Transfer-Encoding: chunked\r\n";
  head += "Connection: close\r\n\r\n";
  return head;
}

} // namespace edgecap::http

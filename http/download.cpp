#include "http/download.hpp"

#include "http/entity_tag.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace edgecap::http {

namespace {

/// Digits alone; too large a number becomes the largest.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.empty())
    return std::nullopt;
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t result = 0;
  for (const auto c : text) {
    if (c < '0' || c > '9')
      return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    result = result > (most - digit) / 10 ? most : result * 10 + digit;
  }
  return result;
}

enum class range_kind { ignored, satisfiable, unsatisfiable };

struct range_result {
  range_kind kind = range_kind::ignored;
  byte_slice slice;
};

/// The last `count` bytes.
range_result suffix_range(std::uint64_t count, std::uint64_t size) {
  if (count == 0 || size == 0)
    return {range_kind::unsatisfiable, {}};
  const auto length = std::min(count, size);
  return {range_kind::satisfiable, {size - length, length}};
}

range_result parse_range(std::string_view header, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  header = trim(header);
  if (header.size() < unit.size()
      || !std::equal(unit.begin(), unit.end(), header.begin(),
                     [](char x, char y) {
                       return x == (y >= 'A' && y <= 'Z' ? y - 'A' + 'a' : y);
                     }))
    return {};
  const auto spec = trim(header.substr(unit.size()));
  const auto dash = spec.find('-');
  if (dash == std::string_view::npos)
    return {};
  const auto last = parse_number(spec.substr(dash + 1));
  if (dash == 0)
    return last ? suffix_range(*last, size) : range_result{};
  const auto first = parse_number(spec.substr(0, dash));
  // More than one range has a comma, which is no digit.
  const auto open_ended = dash + 1 == spec.size();
  if (!first || (!last && !open_ended) || (last && *last < *first))
    return {};
  if (*first >= size)
    return {range_kind::unsatisfiable, {}};
  const auto end = last ? std::min(*last, size - 1) : size - 1;
  return {range_kind::satisfiable, {*first, end - *first + 1}};
}

std::string content_range(const byte_slice& slice, std::uint64_t size) {
  return "bytes " + std::to_string(slice.offset) + "-"
         + std::to_string(slice.offset + slice.length - 1) + "/"
         + std::to_string(size);
}

response with_validator(response head, const std::string& quoted_etag) {
  head.headers.emplace_back("ETag", quoted_etag);
  head.headers.emplace_back("Accept-Ranges", "bytes");
  head.headers.emplace_back("Cache-Control", "private, no-cache");
  return head;
}

} // namespace

download_answer answer_download(const request& asked,
                                const representation& file) {
  const auto etag = '"' + file.etag + '"';
  const auto size = file.size_bytes;
  download_answer result;
  const auto if_match = asked.header("if-match");
  if (!if_match.empty() && !lists_entity_tag(if_match, etag, false)) {
    result.error_code = code::precondition_failed;
    result.head = with_validator(
      failure_response({412, code::precondition_failed,
                        "The file is not the one that If-Match names", ""}),
      etag);
    return result;
  }
  const auto if_none_match = asked.header("if-none-match");
  if (!if_none_match.empty() && lists_entity_tag(if_none_match, etag, true)) {
    result.head.status = 304;
    result.head = with_validator(std::move(result.head), etag);
    return result;
  }
  range_result range;
  const auto if_range = asked.header("if-range");
  if (asked.method == method::get
      && (if_range.empty() || trim(if_range) == etag))
    range = parse_range(asked.header("range"), size);
  if (range.kind == range_kind::unsatisfiable) {
    result.error_code = code::range_not_satisfiable;
    result.head = with_validator(
      failure_response({416, code::range_not_satisfiable,
                        "The range lies outside of the file, which has "
                          + std::to_string(size) + " bytes",
                        ""}),
      etag);
    result.head.headers.emplace_back("Content-Range",
                                     "bytes */" + std::to_string(size));
    return result;
  }
  result.has_slice = true;
  result.slice = {0, size};
  result.head.content_type = file.content_type;
  result.head = with_validator(std::move(result.head), etag);
  result.head.headers.emplace_back(
    "Content-Disposition", "attachment; filename=\"" + file.filename + "\"");
  if (range.kind == range_kind::satisfiable) {
    result.slice = range.slice;
    result.head.status = 206;
    result.head.headers.emplace_back("Content-Range",
                                     content_range(range.slice, size));
  }
  return result;
}

} // namespace edgecap::http

#pragma once

#include "http/errors.hpp"
#include "http/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// Conditional and partial downloads (RFC 9110, 13 and 14). Pure.
namespace edgecap::http {

/// Part of a representation, in bytes.
struct byte_slice {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  friend bool operator==(const byte_slice& x, const byte_slice& y) {
    return x.offset == y.offset && x.length == y.length;
  }
};

/// What is to be downloaded.
struct representation {
  std::uint64_t size_bytes = 0;
  std::string etag; ///< Strong validator, unquoted.
  std::string content_type;
  std::string filename; ///< For Content-Disposition; no quotes.
};

/// How a download is answered.
struct download_answer {
  /// Status and headers; complete for 304, 412 and 416.
  response head;
  int error_code = 0; ///< Of 412 and 416.
  /// Whether `slice` of the representation is the body (200 and 206).
  bool has_slice = false;
  byte_slice slice;
};

/// Decides between 200, 206, 304, 412 and 416 from the method and If-Match,
/// If-None-Match, Range and If-Range. Preconditions come before ranges. A Range
/// that is malformed, has another unit or several parts, or comes with HEAD is
/// ignored, as RFC 9110 allows: the answer is then the whole file. Dates never
/// match, for downloads carry none.
download_answer answer_download(const request& asked,
                                const representation& file);

} // namespace edgecap::http

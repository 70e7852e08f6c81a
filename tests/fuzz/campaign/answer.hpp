#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgecap::fuzz {

/// One answer of the server.
struct answer {
  int status = 0;
  /// Names in lower case, in the order sent.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool has_body = false; ///< False for HEAD, 1xx, 204 and 304.
  bool streams = false;  ///< The body has no length, and was left alone.

  /// Value of a header, empty if absent.
  std::string_view header(std::string_view name) const;

  /// How often a header is there.
  std::size_t count(std::string_view name) const;

  /// Whether it is the last of its connection.
  bool closes() const {
    return header("connection") == "close";
  }
};

/// Whether an answer is to HEAD. `unknown`: it may be, and then what follows
/// its head tells.
enum class to_head { no, yes, unknown };

/// What became of the bytes at the front of a connection.
struct parsed {
  enum class status { need_more, complete, broken };

  status what = status::need_more;
  answer got;           ///< If complete.
  std::size_t size = 0; ///< Bytes that it took.
  std::string why;      ///< If broken: which rule of HTTP/1.1.
};

/// Reads one answer, by RFC 9112 and no milder.
/// @param ended whether no more bytes will come
parsed parse_answer(std::string_view bytes, to_head head, bool ended);

/// Says what is wrong with an answer by the contract of the API: a documented
/// status, and the envelope, or one of the other documented bodies. Empty if
/// nothing is.
std::string fault_of(const answer& got);

} // namespace edgecap::fuzz

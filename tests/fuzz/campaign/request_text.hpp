#pragma once

#include <string>
#include <utility>
#include <vector>

namespace edgecap::fuzz {

/// A request before it becomes bytes; nothing in it need be valid.
struct request_text {
  std::string method = "GET";
  std::string target = "/";
  std::string version = "HTTP/1.1";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string line_end = "\r\n";
};

/// The request as it goes over the wire.
inline std::string to_bytes(const request_text& x) {
  auto result = x.method + ' ' + x.target + ' ' + x.version + x.line_end;
  for (const auto& [name, value] : x.headers)
    result += name + ": " + value + x.line_end;
  return result + x.line_end + x.body;
}

} // namespace edgecap::fuzz

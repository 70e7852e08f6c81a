#pragma once

#include "http/front.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace edgecap::http {

/// Finds the route of a request in Pistache's tree of routes. Repeated and
/// trailing slashes do not count, a literal segment is preferred to `:name`,
/// and HEAD is answered wherever GET is routed. All member functions may be
/// called on any thread.
class router {
public:
  /// What a path leads to.
  struct result {
    /// Null if no route matches.
    const http::route* route = nullptr;
    /// Raw values of the `:name` segments, as they stand in the path.
    std::unordered_map<std::string, std::string> params;
    /// Comma-separated methods that the path has, if not this one: for Allow.
    std::string allowed;
  };

  /// @throws std::runtime_error if two routes are the same or a pattern is not
  /// one that Pistache takes.
  explicit router(std::vector<route> routes);
  ~router();

  /// Looks up a path as it stands in a request, with percent-escapes.
  result find(method request_method, const std::string& path) const;

private:
  class impl;
  std::unique_ptr<impl> impl_;
};

} // namespace edgecap::http

#pragma once

#include "http/client_network.hpp"
#include "http/message.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace edgecap::http {

/// Limits of the frontend; see `http` in docs/configuration.md.
struct front_options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0; ///< 0 lets the system choose.
  /// Addresses of proxies whose `X-Forwarded-For` names the client.
  std::vector<std::string> trusted_proxies;
  std::uint32_t threads = 2;
  std::uint32_t max_connections = 4096;
  /// IPv6 clients count by their /64.
  std::uint32_t max_connections_per_address = 256;
  /// Whether connections from this peer do not count for the limit per
  /// address, for they may be of many clients; those from trusted proxies
  /// never do.
  std::function<bool(const std::string& address)> is_proxy = is_loopback;
  std::uint32_t max_in_flight = 1024;
  std::uint32_t max_downloads = 256;
  std::uint32_t max_target_bytes = 2048;
  std::uint32_t max_header_bytes = 16384;
  std::uint32_t max_headers = 100;
  std::uint32_t max_body_bytes = 65536;
  std::chrono::milliseconds header_timeout{10000};
  std::chrono::milliseconds body_timeout{10000};
  std::chrono::milliseconds keep_alive_timeout{60000};
  std::chrono::milliseconds stall_timeout{30000};
};

/// Answers a request, now or later, on any thread. Must neither block nor
/// throw (an exception answers 500).
using handler = std::function<void(const request&, reply)>;

/// One line of the route table.
struct route {
  http::method method;
  /// `/client/v4/accounts/:account_id/pcaps/:pcap_id`
  std::string pattern;
  http::handler handle;
};

/// What the frontend did since it started.
struct front_stats {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0; ///< Over a limit of connections.
  std::uint64_t requests = 0;            ///< That reached routing.
  std::uint64_t requests_refused = 0;    ///< By framing or a limit.
  std::uint64_t connections_open = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t bodies_open = 0; ///< Long bodies being sent.
  std::uint64_t stalled = 0;     ///< Ended for lack of progress.
  std::uint64_t timed_out = 0;   ///< Ended by a header, body or idle timeout.
};

/// Called for each answer, on the thread that answers: for metrics and access
/// logs. `pattern` is the route's, or empty if none matched or the request was
/// refused before routing.
using observer = std::function<void(const std::string& method_name,
                                    const std::string& pattern, int status,
                                    std::chrono::nanoseconds duration)>;

/// The HTTP frontend: accepts, frames strictly, routes, answers. Pistache
/// reads and routes; it never sees an unchecked byte and never sends one.
class front {
public:
  /// @throws std::runtime_error if the address cannot be bound.
  front(front_options options, std::vector<route> routes, observer observe);
  ~front();
  front(const front&) = delete;
  front& operator=(const front&) = delete;

  /// Port that is listened on.
  std::uint16_t port() const;

  front_stats stats() const;

  /// Refuses new requests with 503 and closes idle connections, then waits
  /// until all answers are sent, at most `patience`. Returns whether they are.
  bool drain(std::chrono::milliseconds patience);

private:
  class impl;
  std::unique_ptr<impl> impl_;
};

} // namespace edgecap::http

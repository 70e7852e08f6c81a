#pragma once

#include "actors/interfaces.hpp"
#include "http/auth_throttle.hpp"
#include "http/front.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace caf {
class actor_system;
}

namespace edgecap::http {

/// One way to authenticate; see docs/configuration.md, `accounts`.
struct credential {
  std::string account_id;
  std::string name;        ///< For the audit log.
  std::string email;       ///< Empty for a bearer token.
  std::string secret_hash; ///< `sha256:<salt>:<digest>`, see http/secret.hpp.
  bool read = false;
  bool write = false;
  bool download = false;
};

/// What decides on a request. May change while the API serves.
struct api_rules {
  std::vector<credential> credentials;
  std::vector<std::string> systems; ///< Names that a request may give.
  std::uint32_t max_time_limit_s = 300;
  std::uint32_t max_packet_limit = 10000;
  bool choose_nodes = false; ///< There are nodes to choose from.
  throttle_limits auth;
};

/// What the API needs to know of the configuration.
struct api_options : api_rules {
  std::chrono::milliseconds answer_timeout{10000};
  /// Packets that may wait for the client of one stream.
  std::size_t stream_buffer_bytes = 4u << 20;
  auth_throttle::clock_function auth_clock = std::chrono::steady_clock::now;
  std::string version;
};

/// Handles that the API speaks to.
struct engine_handles {
  job_registry_actor registry;
  rate_limiter_actor limiter;
  storage_actor storage;
  fleet_actor fleet;
};

/// The whole HTTP side: front, routes and handlers.
class server {
public:
  /// @throws std::runtime_error if the address cannot be bound.
  server(caf::actor_system& system, engine_handles engine,
         const api_options& api, front_options front);
  ~server();

  std::uint16_t port() const;

  /// Decides by other rules from now on: a request that comes in after this is
  /// judged by them, one that was let in before goes on.
  void set_rules(const api_rules& rules);

  /// Counts a configuration that was read again; of one that was refused the
  /// rules were not set.
  void count_reload(bool applied);

  /// See `front::drain`.
  bool drain(std::chrono::milliseconds patience);

private:
  class impl;
  std::unique_ptr<impl> impl_;
};

} // namespace edgecap::http

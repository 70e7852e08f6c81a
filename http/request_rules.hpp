#pragma once

#include "http/auth.hpp"
#include "http/create_request.hpp"
#include "http/server.hpp"

#include <memory>

namespace edgecap::http {

/// What one request is judged by, from its beginning to its end. Immutable.
struct request_rules {
  authenticator who;
  create_limits limits;
};

using request_rules_ptr = std::shared_ptr<const request_rules>;

/// The rules for the next request. They are replaced as a whole: a request sees
/// the old ones or the new ones, and whoever holds the old ones may go on with
/// them. Usable on any thread.
class current_rules {
public:
  explicit current_rules(const api_rules& from) {
    set(from);
  }

  request_rules_ptr get() const {
    return std::atomic_load(&rules_);
  }

  void set(const api_rules& from) {
    std::atomic_store(
      &rules_, std::make_shared<const request_rules>(
                 request_rules{authenticator{from.credentials},
                               {from.systems, from.max_time_limit_s,
                                from.max_packet_limit, from.choose_nodes}}));
  }

private:
  request_rules_ptr rules_; ///< By std::atomic_load and _store only.
};

} // namespace edgecap::http

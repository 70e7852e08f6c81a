#pragma once

#include "http/auth_throttle.hpp"
#include "http/bridge.hpp"
#include "http/engine_errors.hpp"
#include "http/front.hpp"
#include "http/live_stream.hpp"
#include "http/metrics.hpp"
#include "http/page_cache.hpp"
#include "http/request_rules.hpp"
#include "http/server.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace edgecap::http {

/// The handlers of the API: authenticate, authorize, draw on the allowance,
/// ask the engine, answer. No call waits. Usable on any thread; questions that
/// are under way keep it alive.
class api : public std::enable_shared_from_this<api> {
public:
  api(caf::actor_system& system, engine_handles engine,
      const api_options& options);

  // -- what an account may do -------------------------------------------------

  void create(const request& asked, reply answer);
  void list(const request& asked, reply answer);
  void get(const request& asked, reply answer);
  void stop(const request& asked, reply answer);
  void erase(const request& asked, reply answer);
  void download(const request& asked, reply answer);
  void stream(const request& asked, reply answer);

  void nodes(const request& asked, reply answer);

  /// Buckets belong to `type: full`.
  void ownership(const request& asked, reply answer);

  // -- probes: no credentials -------------------------------------------------

  void healthz(const request& asked, reply answer);
  void readyz(const request& asked, reply answer);
  void scrape(const request& asked, reply answer);

  // -- the API's description: no credentials ----------------------------------

  void openapi(const request& asked, reply answer);

  // -- for the server ---------------------------------------------------------

  /// Counts an answer; see `observer`.
  void observe(const std::string& method_name, const std::string& pattern,
               int status, std::chrono::nanoseconds duration);

  /// See `server::set_rules`.
  void set_rules(const api_rules& rules);

  /// See `server::count_reload`.
  void count_reload(bool applied);

  /// Says where the frontend's figures come from; empty takes it back. When
  /// this returns, the former source is no longer in use.
  void set_front_stats(std::function<front_stats()> source);

private:
  struct call;
  using call_ptr = std::shared_ptr<call>;
  using step = std::function<void(const call_ptr&)>;

  void admit(const request& asked, reply answer, right needed,
             std::string action, step next);
  bool authenticate(call& x);
  std::optional<api_error> check(const call& x, right needed) const;
  void begin_capture(const call_ptr& x);
  void fail(const call_ptr& x, const failure& why) const;
  void send_file(const call_ptr& x, const savefile& file,
                 savefile_format format) const;
  void send_stream(const call_ptr& x,
                   const std::shared_ptr<live_stream>& packets);
  void stream_ended(const call_ptr& x, const stream_report& report);
  void render(reply& answer, metrics_snapshot now);

  bridge engine_;
  current_rules rules_;
  auth_throttle throttle_;
  std::string version_;
  metrics metrics_;
  std::size_t stream_buffer_bytes_;
  page_cache pages_;
  std::mutex front_mutex_; // Guards the next.
  std::function<front_stats()> front_stats_;
};

} // namespace edgecap::http

#include "http/handlers.hpp"

#include "actors/log_event.hpp"
#include "http/audit.hpp"
#include "http/download.hpp"
#include "http/idempotency_key.hpp"
#include "http/json.hpp"
#include "http/list_request.hpp"
#include "http/openapi.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace edgecap::http {

namespace {

/// For the engine to answer a probe.
constexpr std::chrono::milliseconds probe_timeout{2000};

/// When to try again what the engine or the storage cannot do now, in seconds.
constexpr auto engine_retry_after_s = "5";

api_error not_found() {
  return {404, code::no_route, "There is no such route", ""};
}

std::string param(const request& asked, const char* name) {
  const auto i = asked.params.find(name);
  return i == asked.params.end() ? std::string{} : i->second;
}

bool has_header(const response& what, std::string_view name) {
  return std::any_of(what.headers.begin(), what.headers.end(),
                     [name](const auto& x) { return x.first == name; });
}

/// Parameters of the query that mean something somewhere.
constexpr std::array<std::string_view, 6> query_parameters{
  "page", "per_page", "status", "type", "format", "validate_only"};

/// Which of two values is meant, nobody can tell.
std::optional<api_error> refuse_repeated(const request& asked) {
  for (const auto known : query_parameters) {
    const auto given
      = std::count_if(asked.query.begin(), asked.query.end(),
                      [known](const auto& x) { return x.first == known; });
    if (given > 1)
      return api_error{400, code::bad_query,
                       std::string{known} + " is given " + std::to_string(given)
                         + " times; it must be given once",
                       ""};
  }
  return std::nullopt;
}

/// Longest value of a parameter that an error repeats.
constexpr std::size_t max_shown = 32;

/// One of two words for a parameter that may be absent: false for the first, or
/// for none, true for the second.
tl::expected<bool, api_error> choice_of(const request& asked,
                                        const std::string& name,
                                        std::string_view by_default,
                                        std::string_view otherwise) {
  const auto i
    = std::find_if(asked.query.begin(), asked.query.end(),
                   [&name](const auto& x) { return x.first == name; });
  if (i == asked.query.end() || i->second == by_default)
    return false;
  if (i->second == otherwise)
    return true;
  return tl::unexpected<api_error>{
    api_error{400, code::bad_query,
              name + " is '" + i->second.substr(0, max_shown) + "'; it must be "
                + std::string{by_default} + " or " + std::string{otherwise},
              ""}};
}

tl::expected<savefile_format, api_error> format_of(const request& asked) {
  return choice_of(asked, "format", "pcap", "pcapng").map([](bool second) {
    return second ? savefile_format::pcapng : savefile_format::pcap;
  });
}

tl::expected<bool, api_error> validate_only(const request& asked) {
  return choice_of(asked, "validate_only", "false", "true");
}

} // namespace

/// One request on its way through the handlers.
struct api::call {
  request asked;
  std::optional<reply> answer;
  request_rules_ptr rules;         ///< Of the moment when it came in.
  const credential* who = nullptr; ///< One of the rules'.
  allowance_state quota;
  audit_entry entry; ///< Logged with the answer if it has an action.

  std::string account() const {
    return param(asked, "account_id");
  }

  std::string id() const {
    return param(asked, "pcap_id");
  }

  void note(int status, int error_code) {
    if (entry.action.empty())
      return;
    entry.status = status;
    entry.code = error_code;
    audit(entry);
  }

  void send(response what, int error_code = 0) {
    note(what.status, error_code);
    if (quota.limit > 0 && what.status != 429)
      add_ratelimit_headers(what, quota);
    // Shared caches know `Authorization`, but not `X-Auth-Key`. What has a
    // validator says itself how it may be kept.
    if (!has_header(what, "Cache-Control"))
      what.headers.emplace_back("Cache-Control", "no-store");
    answer->send(std::move(what));
  }

  void refuse(api_error why) {
    const auto error_code = why.code;
    send(failure_response(std::move(why)), error_code);
  }
};

api::api(caf::actor_system& system, engine_handles engine,
         const api_options& options)
  : engine_(system, std::move(engine), options.answer_timeout), rules_(options),
    throttle_(options.auth, options.auth_clock), version_(options.version),
    metrics_(options.version),
    stream_buffer_bytes_(options.stream_buffer_bytes) {}

// -- the way in ---------------------------------------------------------------

/// Finds out who asks, or answers why nobody is let in.
bool api::authenticate(call& x) {
  const auto& address = x.asked.client_address;
  // Before the credentials are looked at: the answer does not tell whether
  // they would have done.
  if (const auto wait = throttle_.wait_of(address); wait.count() > 0) {
    // The block was logged once: a line for each request would be at the
    // client's discretion.
    x.entry.action.clear();
    x.send(too_many_failures_response(wait), code::too_many_failures);
    return false;
  }
  auto who = x.rules->who.authenticate(x.asked);
  if (who) {
    x.who = *who;
    x.entry.credential = x.who->name;
    return true;
  }
  if (who.error().code == code::bad_credentials)
    if (const auto block = throttle_.failed(address); block.count() > 0)
      log_event{"auth-blocked"}
        .with("client", address)
        .with("block_ms", block.count())
        .warn();
  x.refuse(std::move(who.error()));
  return false;
}

std::optional<api_error> api::check(const call& x, right needed) const {
  // Whoever is nobody learns nothing, not even what an id looks like.
  const auto account = x.account();
  if (!is_api_id(account))
    return not_found();
  if (auto refused = authorize(*x.who, account, needed))
    return refused;
  if (x.asked.params.count("pcap_id") != 0 && !is_api_id(x.id()))
    return not_found();
  return refuse_repeated(x.asked);
}

void api::admit(const request& asked, reply answer, right needed,
                std::string action, step next) {
  auto x = std::make_shared<call>();
  x->asked = asked;
  x->rules = rules_.get();
  x->answer.emplace(std::move(answer));
  x->entry.action = std::move(action);
  x->entry.account_id = x->account();
  x->entry.client_address = asked.client_address;
  x->entry.job_id = x->id();
  if (!authenticate(*x))
    return;
  if (auto refused = check(*x, needed)) {
    x->refuse(std::move(*refused));
    return;
  }
  engine_.acquire(x->account(), [self = shared_from_this(), x,
                                 next = std::move(next)](
                                  const outcome<admission>& given) {
    if (!given) {
      self->fail(x, given.error());
      return;
    }
    x->quota = {given->limit, given->window_s, given->remaining,
                given->retry_after_ms};
    if (given->granted) {
      next(x);
      return;
    }
    x->send(rate_limited_response(
              "The limit of " + std::to_string(given->limit) + " requests per "
                + std::to_string(given->window_s) + " s is reached",
              x->quota),
            code::rate_limited);
  });
}

void api::fail(const call_ptr& x, const failure& why) const {
  if (is_internal(why))
    log_event{"http-engine-failed"}
      .with("action", x->entry.action)
      .with("job", x->entry.job_id)
      .with("error", why.text)
      .error();
  if (why.ours && why.code == errc::rate_limited) {
    const auto& used_up = why.exhausted;
    x->send(rate_limited_response(why.text, {used_up.limit, used_up.window_s, 0,
                                             used_up.retry_after_ms}),
            code::rate_limited);
    return;
  }
  auto error = to_api_error(why);
  const auto error_code = error.code;
  auto what = failure_response(std::move(error));
  if (what.status == 503)
    what.headers.emplace_back("Retry-After", engine_retry_after_s);
  x->send(std::move(what), error_code);
}

// -- captures -----------------------------------------------------------------

void api::create(const request& asked, reply answer) {
  admit(
    asked, std::move(answer), right::write, "create",
    [self = shared_from_this()](const call_ptr& x) { self->begin_capture(x); });
}

void api::begin_capture(const call_ptr& x) {
  std::vector<api_error> errors;
  const auto only_validate = validate_only(x->asked);
  if (!only_validate)
    errors.push_back(only_validate.error());
  const auto key = parse_idempotency_key(x->asked);
  if (!key)
    errors.push_back(key.error());
  auto wanted = parse_create_request(x->asked.body, x->rules->limits);
  if (!wanted)
    errors.insert(errors.end(), wanted.error().begin(), wanted.error().end());
  if (only_validate && *only_validate)
    x->entry.action.clear(); // nothing is done, so there is nothing to audit
  if (!errors.empty()) {
    x->send(failure_response(errors), errors.front().code);
    return;
  }
  wanted->spec.account_id = x->account();
  if (*only_validate) {
    x->send(validated_response(wanted->spec, wanted->messages));
    return;
  }
  x->entry.system = wanted->spec.system;
  x->entry.colo_name = wanted->spec.colo_name;
  x->entry.filter = filter_text(wanted->spec.filter);
  engine_.create(wanted->spec, *key,
                 [self = shared_from_this(), x,
                  messages = wanted->messages](const outcome<creation>& made) {
                   if (!made) {
                     self->fail(x, made.error());
                     return;
                   }
                   x->entry.job_id = made->record.id;
                   x->entry.replayed = made->replayed;
                   auto what = capture_response(made->record, messages);
                   if (made->replayed)
                     what.headers.emplace_back("Idempotency-Replayed", "true");
                   x->send(std::move(what));
                 });
}

void api::list(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::read, "",
        [self = shared_from_this()](const call_ptr& x) {
          auto query = parse_list_request(x->asked.query);
          if (!query) {
            x->send(failure_response(query.error()));
            return;
          }
          query->account_id = x->account();
          self->engine_.list(*query, [self, x, query = *query](
                                       const outcome<shared_job_page>& page) {
            if (page)
              x->send(self->pages_.response_of(*page, query));
            else
              self->fail(x, page.error());
          });
        });
}

void api::nodes(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::read, "",
        [self = shared_from_this()](const call_ptr& x) {
          self->engine_.nodes(
            [self, x](const outcome<std::vector<node_status>>& nodes) {
              if (nodes)
                x->send(nodes_response(*nodes));
              else
                self->fail(x, nodes.error());
            });
        });
}

void api::get(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::read, "",
        [self = shared_from_this()](const call_ptr& x) {
          self->engine_.get(x->account(), x->id(),
                            [self, x](const outcome<job_record>& record) {
                              if (record)
                                x->send(capture_response(*record));
                              else
                                self->fail(x, record.error());
                            });
        });
}

void api::stop(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::write, "stop",
        [self = shared_from_this()](const call_ptr& x) {
          self->engine_.stop(x->account(), x->id(),
                             [self, x](const outcome<job_record>& record) {
                               if (record)
                                 x->send(empty_response());
                               else
                                 self->fail(x, record.error());
                             });
        });
}

void api::erase(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::write, "delete",
        [self = shared_from_this()](const call_ptr& x) {
          self->engine_.erase(x->account(), x->id(),
                              [self, x](const outcome<done>& gone) {
                                if (gone)
                                  x->send(empty_response());
                                else
                                  self->fail(x, gone.error());
                              });
        });
}

void api::download(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::download, "download",
        [self = shared_from_this()](const call_ptr& x) {
          const auto format = format_of(x->asked);
          if (!format) {
            x->refuse(format.error());
            return;
          }
          self->engine_.download(
            x->account(), x->id(), *format,
            [self, x, format = *format](const outcome<savefile>& file) {
              if (file)
                self->send_file(x, *file, format);
              else
                self->fail(x, file.error());
            });
        });
}

void api::send_file(const call_ptr& x, const savefile& file,
                    savefile_format format) const {
  const auto pcapng = format == savefile_format::pcapng;
  auto what = answer_download(
    x->asked, {file.size_bytes, file.etag,
               pcapng ? "application/x-pcapng" : "application/vnd.tcpdump.pcap",
               "pcap_" + x->id() + (pcapng ? ".pcapng" : ".pcap")});
  if (!what.has_slice) {
    x->send(std::move(what.head), what.error_code);
    return;
  }
  x->entry.bytes = x->asked.method == method::head ? 0 : what.slice.length;
  x->note(what.head.status, 0);
  add_ratelimit_headers(what.head, x->quota);
  x->answer->send_file(std::move(what.head),
                       {file.descriptor, what.slice.offset, what.slice.length});
}

void api::stream(const request& asked, reply answer) {
  admit(
    asked, std::move(answer), right::download, "stream",
    [self = shared_from_this()](const call_ptr& x) {
      // Held by the stream, which the job and the streamer hold.
      std::function<void(const stream_report&)> ended;
      if (x->asked.method != method::head)
        ended = [self, x](const stream_report& report) {
          self->stream_ended(x, report);
        };
      auto packets = std::make_shared<live_stream>(self->stream_buffer_bytes_,
                                                   std::move(ended));
      self->engine_.follow(x->account(), x->id(), packets,
                           [self, x, packets](const outcome<done>& followed) {
                             if (followed) {
                               self->send_stream(x, packets);
                               return;
                             }
                             packets->abandon();
                             self->fail(x, followed.error());
                           });
    });
}

void api::send_stream(const call_ptr& x,
                      const std::shared_ptr<live_stream>& packets) {
  response head;
  head.content_type = "application/vnd.tcpdump.pcap";
  head.headers = {{"Cache-Control", "no-store"},
                  {"Content-Disposition",
                   "attachment; filename=\"pcap_" + x->id() + ".pcap\""},
                  {"Trailer", std::string{live_stream::sent_field} + ", "
                                + live_stream::dropped_field},
                  // Proxies pass packets on as they come.
                  {"X-Accel-Buffering", "no"}};
  add_ratelimit_headers(head, x->quota);
  x->note(head.status, 0);
  x->answer->send_live(std::move(head), packets);
}

void api::stream_ended(const call_ptr& x, const stream_report& report) {
  metrics_.count_stream(report.packets_sent, report.packets_dropped);
  log_event{"stream-ended"}
    .with("job", x->entry.job_id)
    .with("account", x->entry.account_id)
    .with("credential", x->entry.credential)
    .with("client", x->entry.client_address)
    .with("packets", report.packets_sent)
    .with("dropped", report.packets_dropped)
    .with("bytes", report.bytes_sent)
    .with("complete", report.complete)
    .info();
}

void api::ownership(const request& asked, reply answer) {
  admit(asked, std::move(answer), right::read, "", [](const call_ptr& x) {
    x->refuse({400, code::not_supported,
               "Buckets are not supported: only captures of type 'simple' are",
               ""});
  });
}

// -- probes -------------------------------------------------------------------

void api::healthz(const request&, reply answer) {
  answer.send(status_response("ok", version_));
}

void api::readyz(const request&, reply answer) {
  auto to = std::make_shared<reply>(std::move(answer));
  const auto refuse = [to](int error_code, std::string why) {
    auto what = failure_response({503, error_code, std::move(why), ""});
    what.headers.emplace_back("Retry-After", engine_retry_after_s);
    to->send(std::move(what));
  };
  engine_.engine_facts(probe_timeout, [self = shared_from_this(), to, refuse](
                                        const outcome<engine_stats>& engine) {
    if (!engine) {
      refuse(code::engine_timeout, "The engine does not answer");
      return;
    }
    self->engine_.storage_facts(
      probe_timeout, [self, to, refuse](const outcome<storage_stats>& disk) {
        if (disk)
          to->send(ready_response(*disk, self->version_));
        else if (disk.error().ours && !is_internal(disk.error()))
          refuse(code::storage_unavailable, disk.error().text);
        else
          refuse(code::storage_unavailable, "The storage does not answer");
      });
  });
}

void api::scrape(const request&, reply answer) {
  auto to = std::make_shared<reply>(std::move(answer));
  engine_.engine_facts(probe_timeout, [self = shared_from_this(),
                                       to](outcome<engine_stats> engine) {
    metrics_snapshot now;
    if (engine)
      now.engine = std::move(*engine);
    self->engine_.storage_facts(
      probe_timeout,
      [self, to, now](const outcome<storage_stats>& disk) mutable {
        if (disk)
          now.storage = *disk;
        self->engine_.fleet_facts(
          probe_timeout,
          [self, to, now](outcome<std::vector<node_status>> nodes) mutable {
            if (nodes)
              now.nodes = std::move(*nodes);
            self->render(*to, std::move(now));
          });
      });
  });
}

void api::render(reply& answer, metrics_snapshot now) {
  {
    std::lock_guard guard{front_mutex_};
    if (front_stats_)
      now.front = front_stats_();
  }
  response what;
  what.content_type = "text/plain; version=0.0.4; charset=utf-8";
  what.body = metrics_.render(now);
  answer.send(std::move(what));
}

void api::openapi(const request& asked, reply answer) {
  answer.send(openapi_response(asked));
}

void api::observe(const std::string& method_name, const std::string& pattern,
                  int status, std::chrono::nanoseconds duration) {
  metrics_.observe(method_name, pattern, status, duration);
}

void api::set_rules(const api_rules& rules) {
  rules_.set(rules);
  throttle_.set_limits(rules.auth);
}

void api::count_reload(bool applied) {
  metrics_.count_reload(applied);
}

void api::set_front_stats(std::function<front_stats()> source) {
  std::lock_guard guard{front_mutex_};
  front_stats_ = std::move(source);
}

} // namespace edgecap::http

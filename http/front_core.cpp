#include "http/front_core.hpp"

#include "actors/log_event.hpp"
#include "http/answer_channel.hpp"
#include "http/client_network.hpp"
#include "http/errors.hpp"
#include "http/percent.hpp"
#include "http/process_setup.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace edgecap::http {

namespace {

/// Connections over max_connections that are told so; more are just closed.
constexpr std::uint32_t max_connections_refused_kindly = 64;

/// The same for connections of one address over its own limit.
constexpr std::uint32_t max_refused_kindly_per_address = 8;

/// Bytes that the kernel holds unsent for one client. Bounds what clients that
/// do not read cost, and leaves the rest to the streamer, which ends them.
constexpr int max_unsent_bytes = 256 * 1024;

/// Descriptors that are left to the rest of the process, if there are as many;
/// if not, it gets half of them.
constexpr std::uint64_t reserved_descriptors = 512;

/// Pistache's socket and our duplicate of it.
constexpr std::uint64_t descriptors_per_connection = 2;

/// How often timeouts are looked at: a quarter of the shortest, within these.
constexpr std::chrono::milliseconds min_sweep_interval{5};
constexpr std::chrono::milliseconds max_sweep_interval{500};

/// Connections that the limit of descriptors has room for: out of descriptors,
/// Pistache's accept loop would spin.
connection_bounds affordable_connections(const front_options& options) {
  connection_bounds result{options.max_connections,
                           max_connections_refused_kindly};
  const auto besides = reserved_descriptors + options.max_downloads;
  const auto wanted
    = descriptors_per_connection * (std::uint64_t{result.served} + result.told)
      + besides;
  const auto available = raise_descriptor_limit(wanted);
  if (available >= wanted)
    return result;
  const auto left = available - std::min(besides, available / 2);
  const auto room
    = static_cast<std::uint32_t>(left / descriptors_per_connection);
  result.told = std::min(result.told, room / 4);
  result.served = std::clamp(room - result.told, 1u, result.served);
  log_event{"http-few-descriptors"}
    .with("descriptors", available)
    .with("max_connections", result.served)
    .with("configured", options.max_connections)
    .warn();
  return result;
}

std::chrono::milliseconds sweep_interval(const front_options& options) {
  const auto shortest
    = std::min({options.header_timeout, options.body_timeout,
                options.keep_alive_timeout, connection::linger_timeout});
  return std::clamp(shortest / 4, min_sweep_interval, max_sweep_interval);
}

} // namespace

front_core::front_core(front_options options, std::vector<route> routes,
                       observer observe)
  : options_(std::move(options)), bounds_(affordable_connections(options_)),
    proxies_(options_.trusted_proxies), router_(std::move(routes)),
    observe_(std::move(observe)), streamer_(options_.stall_timeout),
    sweeper_([this] { sweep_until_stopped(); }) {}

front_core::~front_core() {
  stop();
}

// -- connections --------------------------------------------------------------

std::shared_ptr<connection>
front_core::connected(capture::shared_descriptor socket,
                      std::string client_address,
                      std::shared_ptr<io_thread> thread) {
  // A peer that has vanished, or never reads, is noticed by the kernel, too.
  const auto user_timeout
    = static_cast<unsigned>(options_.stall_timeout.count());
  if (::setsockopt(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
                   sizeof user_timeout)
        != 0
      || ::setsockopt(*socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                      &max_unsent_bytes, sizeof max_unsent_bytes)
           != 0)
    return nullptr; // The client has reset the connection already.
  const connection_options bounds{
    {options_.max_target_bytes, options_.max_header_bytes, options_.max_headers,
     options_.max_body_bytes},
    options_.header_timeout,
    options_.body_timeout,
    options_.keep_alive_timeout};
  const auto speaks_for_many
    = options_.is_proxy(client_address) || proxies_.contains(client_address);
  auto network
    = speaks_for_many ? std::string{} : client_network(client_address);
  auto added = std::make_shared<connection>(
    shared_from_this(), bounds, std::move(socket), std::move(client_address),
    std::move(thread));
  switch (enter(added, std::move(network))) {
  case entrance::served:
    ++accepted_;
    return added;
  case entrance::told:
    ++refused_connections_;
    added->refuse({503, code::overloaded, "Too many connections are open", {}});
    return added;
  case entrance::closed:
    ++refused_connections_;
    return nullptr;
  }
  return nullptr;
}

/// Takes a connection in, if only to tell it that there is no room.
/// @param network what it counts for; empty if for none.
front_core::entrance front_core::enter(const std::shared_ptr<connection>& added,
                                       std::string network) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto open = connections_.size();
  if (stopped_ || open >= bounds_.served + bounds_.told)
    return entrance::closed;
  auto result = open < bounds_.served ? entrance::served : entrance::told;
  if (!network.empty()) {
    const auto most = options_.max_connections_per_address;
    auto& open_here = connections_of_[network];
    if (open_here >= most + max_refused_kindly_per_address)
      return entrance::closed;
    if (open_here >= most)
      result = entrance::told;
    ++open_here;
  }
  connections_.emplace(added, std::move(network));
  return result;
}

void front_core::disconnected(const std::shared_ptr<connection>& which) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = connections_.find(which);
  if (found == connections_.end())
    return;
  const auto counted = connections_of_.find(found->second);
  if (counted != connections_of_.end() && --counted->second == 0)
    connections_of_.erase(counted);
  connections_.erase(found);
}

std::vector<std::shared_ptr<connection>> front_core::all_connections() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<connection>> result;
  result.reserve(connections_.size());
  for (const auto& entry : connections_)
    result.push_back(entry.first);
  return result;
}

void front_core::sweep_until_stopped() {
  pthread_setname_np(pthread_self(), "http-sweeper");
  const auto interval = sweep_interval(options_);
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const auto until = clock::now() + interval;
      while (!stopped_
             && changed_.wait_until(lock, until) != std::cv_status::timeout) {
      }
      if (stopped_)
        return;
    }
    {
      const std::lock_guard<std::mutex> lock(sweep_mutex_);
      if (sweep_task_)
        sweep_task_();
    }
    const auto now = clock::now();
    for (const auto& each : all_connections())
      each->sweep(now);
  }
}

// -- requests -----------------------------------------------------------------

void front_core::serve(std::shared_ptr<connection> from, framed_request framed,
                       clock::time_point began) {
  request incoming;
  incoming.method = framed.method;
  incoming.path = std::move(framed.path);
  incoming.headers = std::move(framed.headers);
  incoming.body = std::move(framed.body);
  incoming.client_address
    = proxies_.client_address(from->client_address(), framed.forwarded_for);
  auto channel = std::make_unique<answer_channel>(
    shared_from_this(), std::move(from), framed.method, began);
  if (draining_) {
    ++refused_requests_;
    return channel->send(
      unavailable(code::shutting_down, "The service is shutting down"));
  }
  if (channel->in_flight() > options_.max_in_flight) {
    ++refused_requests_;
    return channel->send(
      unavailable(code::overloaded, "Too many requests are being served"));
  }
  ++requests_;
  route_request(incoming, framed.query, std::move(channel));
}

void front_core::route_request(request& incoming, std::string_view query,
                               std::unique_ptr<answer_channel> channel) {
  if (!percent_decode(incoming.path))
    return channel->send(failure_response(
      {400, code::bad_request, "The path has a malformed escape", {}}));
  auto found = router_.find(incoming.method, incoming.path);
  if (found.route == nullptr) {
    if (found.allowed.empty())
      return channel->send(failure_response(
        {404, code::no_route, "Could not route to " + incoming.path, {}}));
    auto answer = failure_response(
      {405,
       code::method_not_allowed,
       std::string(to_string(incoming.method)) + " is not allowed here",
       {}});
    answer.headers.emplace_back("Allow", std::move(found.allowed));
    return channel->send(std::move(answer));
  }
  channel->matched(found.route->pattern);
  for (auto& [name, value] : found.params) {
    auto decoded = percent_decode(value);
    if (!decoded)
      return channel->send(failure_response(
        {400, code::bad_request, "The path has a malformed escape", {}}));
    value = std::move(*decoded);
  }
  auto parameters = parse_query(query);
  if (!parameters)
    return channel->send(failure_response(
      {400, code::bad_query, "The query string is malformed", {}}));
  incoming.params = std::move(found.params);
  incoming.query = std::move(*parameters);
  try {
    found.route->handle(incoming, reply(std::move(channel)));
  } catch (const std::exception& error) {
    // Unwinding has destroyed the reply, which answers 500.
    log_event{"http-handler-threw"}
      .with("route", found.route->pattern)
      .with("error", error.what())
      .error();
  } catch (...) {
    log_event{"http-handler-threw"}
      .with("route", found.route->pattern)
      .with("error", "not a std::exception")
      .error();
  }
}

void front_core::refused(std::string_view method_name, int status,
                         clock::time_point began) {
  ++refused_requests_;
  observe(method_name, {}, status, began);
}

void front_core::observe(std::string_view method_name,
                         const std::string& pattern, int status,
                         clock::time_point began) const {
  if (!observe_)
    return;
  try {
    observe_(std::string(method_name), pattern, status, clock::now() - began);
  } catch (const std::exception& error) {
    log_event{"http-observer-threw"}.with("error", error.what()).error();
  }
}

void front_core::send_later(transfer job) {
  // The transfer is over, as `active` sees it, before it is done.
  job.done
    = [core = shared_from_this(), done = std::move(job.done)](bool complete) {
        done(complete);
        core->notify_drain();
      };
  streamer_.add(std::move(job));
}

/// One of max_downloads, as long as it is kept; nothing if there is none left.
std::shared_ptr<void> front_core::take_download() {
  if (++downloads_ > options_.max_downloads) {
    --downloads_;
    return nullptr;
  }
  return {this, [core = shared_from_this()](void*) { --core->downloads_; }};
}

// -- statistics and the end ---------------------------------------------------

front_stats front_core::stats() const {
  front_stats result;
  result.connections_accepted = accepted_;
  result.connections_refused = refused_connections_;
  result.requests = requests_;
  result.requests_refused = refused_requests_;
  result.in_flight = in_flight_;
  result.bodies_open = streamer_.active();
  result.stalled = streamer_.stalled();
  result.timed_out = timed_out_;
  const std::lock_guard<std::mutex> lock(mutex_);
  result.connections_open = connections_.size();
  return result;
}

void front_core::notify_drain() {
  if (!draining_)
    return;
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_.notify_all();
}

bool front_core::drain(std::chrono::milliseconds patience) {
  draining_ = true;
  for (const auto& each : all_connections())
    each->close_if_idle();
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, patience, [this] {
    return in_flight_ == 0 && streamer_.active() == 0;
  });
}

void front_core::on_sweep(std::function<void()> task) {
  const std::lock_guard<std::mutex> lock(sweep_mutex_);
  sweep_task_ = std::move(task);
}

void front_core::stop() {
  draining_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (sweeper_.joinable())
    sweeper_.join();
  streamer_.stop();
  for (const auto& each : all_connections())
    each->abort();
  const std::lock_guard<std::mutex> lock(mutex_);
  connections_.clear();
  connections_of_.clear();
}

} // namespace edgecap::http

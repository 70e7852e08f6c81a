#include "http/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <tuple>
#include <utility>
#include <vector>

namespace edgecap::http {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using labels = std::vector<std::pair<std::string, std::string>>;

/// Bounds of the latency histogram, in seconds (OpenTelemetry's).
const prometheus::Histogram::BucketBoundaries latency_bounds{
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10};

/// One family under construction.
class family {
public:
  family(std::string name, std::string help, MetricType type) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }

  template <class Number>
  family& add(Number value, const labels& names = {}) {
    ClientMetric metric;
    for (const auto& [name, text] : names)
      metric.label.push_back({name, text});
    if (family_.type == MetricType::Counter)
      metric.counter.value = static_cast<double>(value);
    else
      metric.gauge.value = static_cast<double>(value);
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  MetricFamily take() {
    return std::move(family_);
  }

private:
  MetricFamily family_;
};

family counter(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Counter};
}

family gauge(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Gauge};
}

void add_engine(std::vector<MetricFamily>& to, const engine_stats& from) {
  to.push_back(
    counter("edgecap_captures_created_total", "Captures that were accepted.")
      .add(from.jobs_created)
      .take());
  to.push_back(gauge("edgecap_captures_active", "Captures that run.")
                 .add(from.jobs_running)
                 .take());
  auto ended = counter("edgecap_captures_total",
                       "Captures that ended, by outcome and end reason.");
  for (const auto& x : from.outcomes)
    ended.add(x.jobs, {{"type", "simple"},
                       {"outcome", x.success ? "success" : "failed"},
                       {"reason", to_string(x.reason)}});
  to.push_back(ended.take());
  auto captured = counter("edgecap_packets_captured_total",
                          "Packets in savefiles, of captures that ended.");
  to.push_back(counter("edgecap_bytes_captured_total",
                       "Captured lengths of these packets, in bytes.")
                 .add(from.bytes_captured)
                 .take());
  auto dropped = counter("edgecap_packets_dropped_total",
                         "Matching packets that were lost, by cause, of "
                         "captures that ended.");
  for (const auto& x : from.interfaces) {
    const auto with = [&x](const char* reason) {
      return labels{
        {"node", x.node}, {"interface", x.interface}, {"reason", reason}};
    };
    captured.add(x.packets_captured,
                 {{"node", x.node}, {"interface", x.interface}});
    dropped.add(x.dropped_by_kernel, with("kernel"))
      .add(x.dropped_by_interface, with("interface"))
      .add(x.dropped_by_us, with("edgecap"));
  }
  to.push_back(captured.take());
  to.push_back(dropped.take());
}

/// Names of nodes are the operator's, and as many as his configuration allows.
void add_nodes(std::vector<MetricFamily>& to,
               const std::vector<node_status>& from) {
  auto up = gauge("edgecap_node_up", "Whether captures can use the node.");
  auto seen = gauge("edgecap_node_last_seen_seconds",
                    "When the node last answered, in seconds since 1970.");
  auto offset = gauge("edgecap_node_clock_offset_seconds",
                      "What the node's clock shows more than this one.");
  auto samplers
    = gauge("edgecap_node_samplers", "Samplers that run at the node.");
  for (const auto& x : from) {
    const labels name{{"node", x.name}, {"colo", x.colo}};
    up.add(x.connected ? 1 : 0, name);
    if (x.last_seen)
      seen.add(static_cast<double>(*x.last_seen) / 1e9, name);
    if (x.clock)
      offset.add(static_cast<double>(x.clock->offset_ns) / 1e9, name);
    if (x.connected && x.pulse)
      samplers.add(x.pulse->samplers, name);
  }
  for (auto* x : {&up, &seen, &offset, &samplers})
    to.push_back(x->take());
}

void add_storage(std::vector<MetricFamily>& to, const storage_stats& from) {
  to.push_back(gauge("edgecap_storage_captures", "Captures in the index.")
                 .add(from.jobs)
                 .take());
  to.push_back(
    gauge("edgecap_storage_bytes", "Size of all savefiles, in bytes.")
      .add(from.savefile_bytes)
      .take());
  to.push_back(gauge("edgecap_storage_free_bytes",
                     "Free space of the file system, in bytes.")
                 .add(from.free_bytes)
                 .take());
  to.push_back(
    counter("edgecap_storage_expired_total", "Captures that retention removed.")
      .add(from.expired_jobs)
      .take());
}

/// What is refused, and what the quota of all accounts leaves.
void add_capacity(std::vector<MetricFamily>& to, const storage_stats& from) {
  auto refused = counter("edgecap_storage_refused_total",
                         "Captures that there was no room for, by cause.");
  for (const auto& x : from.refused)
    refused.add(x.jobs, {{"cause", x.cause}});
  to.push_back(refused.take());
  to.push_back(gauge("edgecap_storage_unsealed_bytes",
                     "What captures will take that are not finished, in bytes.")
                 .add(from.unsealed_bytes)
                 .take());
  to.push_back(gauge("edgecap_storage_reserve_bytes",
                     "Space that is held for the ends of captures and for "
                     "deletes on a full disk.")
                 .add(from.reserve_bytes)
                 .take());
  to.push_back(gauge("edgecap_storage_full",
                     "Whether there is too little space for new captures.")
                 .add(from.full ? 1 : 0)
                 .take());
  if (from.quota_bytes > 0)
    to.push_back(gauge("edgecap_storage_quota_bytes",
                       "What all accounts together may keep, in bytes.")
                   .add(from.quota_bytes)
                   .take());
  if (from.quota_jobs > 0)
    to.push_back(gauge("edgecap_storage_quota_captures",
                       "Captures that all accounts together may keep.")
                   .add(from.quota_jobs)
                   .take());
}

void add_front(std::vector<MetricFamily>& to, const front_stats& from) {
  to.push_back(counter("edgecap_http_connections_total",
                       "Connections, by what became of them.")
                 .add(from.connections_accepted, {{"outcome", "accepted"}})
                 .add(from.connections_refused, {{"outcome", "refused"}})
                 .take());
  to.push_back(gauge("edgecap_http_connections_open", "Open connections.")
                 .add(from.connections_open)
                 .take());
  to.push_back(gauge("edgecap_http_requests_in_flight",
                     "Requests that are being answered.")
                 .add(from.in_flight)
                 .take());
  to.push_back(
    gauge("edgecap_http_bodies_open", "Long bodies that are being sent.")
      .add(from.bodies_open)
      .take());
  to.push_back(counter("edgecap_http_requests_refused_total",
                       "Requests refused by framing or by a limit.")
                 .add(from.requests_refused)
                 .take());
  to.push_back(counter("edgecap_http_connections_ended_total",
                       "Connections that we ended, by cause.")
                 .add(from.timed_out, {{"cause", "timeout"}})
                 .add(from.stalled, {{"cause", "stalled"}})
                 .take());
}

} // namespace

/// What one answer counts in.
struct series {
  prometheus::Counter* requests;
  prometheus::Histogram* durations;
};

class metrics::impl {
public:
  /// The same objects as `Family::Add` finds, which looks for them by the hash
  /// of maps of labels that it is given.
  series series_of(const std::string& method_name, const std::string& pattern,
                   int status) {
    const auto wanted = std::tie(pattern, method_name, status);
    {
      const std::shared_lock lock{mutex_};
      if (const auto i = series_.find(wanted); i != series_.end())
        return i->second;
    }
    const auto route = pattern.empty() ? std::string{"none"} : pattern;
    const series result{&requests.Add({{"route", route},
                                       {"method", method_name},
                                       {"code", std::to_string(status)}}),
                        &durations.Add({{"route", route}}, latency_bounds)};
    const std::unique_lock lock{mutex_};
    series_.emplace(wanted, result);
    return result;
  }

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests
    = prometheus::BuildCounter()
        .Name("edgecap_http_requests_total")
        .Help("Answered requests.")
        .Register(registry);
  prometheus::Family<prometheus::Histogram>& durations
    = prometheus::BuildHistogram()
        .Name("edgecap_http_request_duration_seconds")
        .Help("From the complete request to the answer.")
        .Register(registry);
  prometheus::Family<prometheus::Counter>& streamed
    = prometheus::BuildCounter()
        .Name("edgecap_stream_packets_total")
        .Help("Packets for live streams that have ended, by what became of "
              "them.")
        .Register(registry);
  prometheus::Counter& stream_sent = streamed.Add({{"outcome", "sent"}});
  prometheus::Counter& stream_dropped = streamed.Add({{"outcome", "dropped"}});
  prometheus::Family<prometheus::Counter>& reloads
    = prometheus::BuildCounter()
        .Name("edgecap_config_reloads_total")
        .Help("Times that the configuration was read again, by what became of "
              "it.")
        .Register(registry);
  prometheus::Counter& reloads_applied = reloads.Add({{"outcome", "applied"}});
  prometheus::Counter& reloads_refused = reloads.Add({{"outcome", "refused"}});
  prometheus::Gauge& configured
    = prometheus::BuildGauge()
        .Name("edgecap_config_last_success_timestamp_seconds")
        .Help("When the configuration in force was read.")
        .Register(registry)
        .Add({});
  prometheus::Family<prometheus::Gauge>& build
    = prometheus::BuildGauge()
        .Name("edgecap_build_info")
        .Help("Constant 1, labelled with the version.")
        .Register(registry);

private:
  /// Compares with a tuple of references, so that a look-up copies nothing.
  using key = std::tuple<std::string, std::string, int>;

  std::shared_mutex mutex_;
  std::map<key, series, std::less<>> series_; ///< Guarded by mutex_.
};

metrics::metrics(const std::string& version) : impl_(std::make_unique<impl>()) {
  impl_->build.Add({{"version", version}}).Set(1);
  impl_->configured.SetToCurrentTime();
}

metrics::~metrics() = default;

void metrics::observe(const std::string& method_name,
                      const std::string& pattern, int status,
                      std::chrono::nanoseconds duration) {
  const auto counted = impl_->series_of(method_name, pattern, status);
  counted.requests->Increment();
  counted.durations->Observe(std::chrono::duration<double>(duration).count());
}

void metrics::count_stream(std::uint64_t sent, std::uint64_t dropped) {
  impl_->stream_sent.Increment(static_cast<double>(sent));
  impl_->stream_dropped.Increment(static_cast<double>(dropped));
}

void metrics::count_reload(bool applied) {
  if (!applied) {
    impl_->reloads_refused.Increment();
    return;
  }
  impl_->reloads_applied.Increment();
  impl_->configured.SetToCurrentTime();
}

std::string metrics::render(const metrics_snapshot& now) const {
  auto families = impl_->registry.Collect();
  if (now.engine)
    add_engine(families, *now.engine);
  if (now.nodes)
    add_nodes(families, *now.nodes);
  if (now.storage) {
    add_storage(families, *now.storage);
    add_capacity(families, *now.storage);
  }
  if (now.front)
    add_front(families, *now.front);
  return prometheus::TextSerializer{}.Serialize(families);
}

} // namespace edgecap::http

#pragma once

#include "actors/job_types.hpp"
#include "actors/node_types.hpp"
#include "http/front.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::http {

/// What a scrape shows beside the requests that were counted. Empty parts are
/// left out of the text: unknown is not 0.
struct metrics_snapshot {
  std::optional<engine_stats> engine;
  std::optional<storage_stats> storage;
  std::optional<front_stats> front;
  std::optional<std::vector<node_status>> nodes;
};

/// Counts requests and renders everything as Prometheus text (exposition
/// format 0.0.4). Labels are bounded: never an id, account or address. Usable
/// on any thread.
class metrics {
public:
  explicit metrics(const std::string& version);
  ~metrics();

  /// Counts what a live stream that has ended sent, and dropped for its client
  /// being slow. Usable on any thread.
  void count_stream(std::uint64_t sent, std::uint64_t dropped);

  /// Counts a configuration that was read again, and was applied or refused.
  /// Usable on any thread.
  void count_reload(bool applied);

  /// Counts one answered request; see `observer`.
  void observe(const std::string& method_name, const std::string& pattern,
               int status, std::chrono::nanoseconds duration);

  /// The text of a scrape.
  std::string render(const metrics_snapshot& now) const;

private:
  class impl;
  std::unique_ptr<impl> impl_;
};

} // namespace edgecap::http

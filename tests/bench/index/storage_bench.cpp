// Measures the storage actor, as the daemon runs it, over an index of so many
// jobs. Prints one JSON object; README.md says what is in it.
#include "actors/storage.hpp"
#include "actors/system.hpp"
#include "tests/bench/index/rows.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace edgecap::bench {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using nlohmann::json;

/// For any answer.
constexpr auto patience = 60s;

/// For the inspection and the check of a million jobs.
constexpr auto long_patience = 900s;

double ms_since(clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(clock::now() - begin)
    .count();
}

/// What storage logs, for whoever waits for an event.
class event_sink : public spdlog::sinks::base_sink<std::mutex> {
public:
  void forget() {
    std::lock_guard guard{mutex_};
    seen_.clear();
  }

  bool has(const std::string& event) {
    std::lock_guard guard{mutex_};
    return seen_.count(event) > 0;
  }

  /// @throws std::runtime_error if it does not come.
  json wait_for(const std::string& event) {
    std::unique_lock guard{mutex_};
    if (!changed_.wait_for(guard, long_patience,
                           [&] { return seen_.count(event) > 0; }))
      throw std::runtime_error(event + " was not logged");
    return seen_.at(event);
  }

protected:
  void sink_it_(const spdlog::details::log_msg& x) override {
    const std::string text{x.payload.data(), x.payload.size()};
    auto entry = json::parse("{" + text + "}");
    const auto event = entry.at("event").get<std::string>();
    seen_[event] = std::move(entry);
    changed_.notify_all();
  }

  void flush_() override {
    // nop
  }

private:
  std::condition_variable changed_;  ///< With the mutex of the base.
  std::map<std::string, json> seen_; ///< The last of each event.
};

std::shared_ptr<event_sink> make_sink() {
  auto result = std::make_shared<event_sink>();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("bench", result));
  return result;
}

/// Latencies of one kind.
class samples {
public:
  void add(double ms) {
    all_.push_back(ms);
  }

  json summary() {
    std::sort(all_.begin(), all_.end());
    return {{"p50_ms", at(0.5)},
            {"p99_ms", at(0.99)},
            {"max_ms", at(1)},
            {"count", all_.size()}};
  }

private:
  /// The nearest rank: so many of all are not above it.
  double at(double part) const {
    const auto rank = std::ceil(static_cast<double>(all_.size()) * part);
    return all_.at(static_cast<std::size_t>(rank) - 1);
  }

  std::vector<double> all_;
};

/// One process of storage over the directory.
class bench {
public:
  bench(std::filesystem::path directory, std::uint64_t jobs,
        std::uint64_t rounds)
    : directory_(std::move(directory)), jobs_(jobs), rounds_(rounds),
      sys_(prepared(cfg_)), self_(sys_) {}

  ~bench() {
    stop();
  }

  json run() {
    json result;
    result["jobs"] = jobs_;
    result["start_warm"] = {{"ms", start()}};
    result["start_cold"] = start_cold();
    result["get_beside_inspection"] = get_beside_inspection();
    result["inspection"] = inspect();
    result["get"] = gets(rounds_);
    for (const auto& [name, query, pages] : lists())
      result["list_" + name] = list(query, pages);
    result["sweep_step"] = sweep_steps();
    result["get_beside_sweep"] = get_beside_sweep();
    stop();
    start();
    result["stop_at_once"] = {{"ms", stop()}};
    return result;
  }

private:
  static caf::actor_system_config& prepared(caf::actor_system_config& cfg) {
    prepare(cfg, 2);
    return cfg;
  }

  struct listing {
    std::string name;
    list_query query;
    std::uint64_t pages; ///< That there are.
  };

  std::vector<listing> lists() const {
    const auto query
      = [](const std::string& status = {}, const std::string& type = {}) {
          list_query result;
          result.account_id = account;
          result.per_page = 50;
          result.status = status;
          result.type = type;
          return result;
        };
    return {{"first", query(), 1},
            {"any", query(), jobs_ / 50},
            {"failed", query("failed"), jobs_ / 500},
            {"full", query("success", "full"), jobs_ / 500},
            {"pending", query("pending"), 1}};
  }

  // -- the process ------------------------------------------------------------

  /// Returns how long it takes until the first answer.
  double start() {
    events_->forget();
    storage_options options;
    options.directory = directory_;
    options.min_free_bytes = 0;
    options.max_jobs = limits_.max_jobs;
    options.wall_clock = [] {
      return std::chrono::nanoseconds{
        std::chrono::system_clock::now().time_since_epoch()}
        .count();
    };
    const auto begin = clock::now();
    storage_ = sys_.spawn<caf::detached>(storage, options);
    ask<storage_stats>(atom::stats_v);
    return ms_since(begin);
  }

  double stop() {
    if (!storage_)
      return 0;
    const auto begin = clock::now();
    self_->monitor(storage_);
    self_->send_exit(storage_, caf::exit_reason::user_shutdown);
    self_->receive([](const caf::down_msg&) {});
    storage_ = nullptr;
    return ms_since(begin);
  }

  json start_cold() {
    stop();
    ::sync();
    const auto fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    const auto cold = fd >= 0 && ::write(fd, "3\n", 2) == 2;
    if (fd >= 0)
      ::close(fd);
    return {{"ms", start()}, {"cold", cold}};
  }

  template <class T, class... Ts>
  T ask(Ts&&... xs) {
    T result;
    self_->request(storage_, patience, std::forward<Ts>(xs)...)
      .receive(
        [&](T& x) { result = std::move(x); },
        [](caf::error& err) { throw std::runtime_error(describe(err).text); });
    return result;
  }

  // -- what is measured -------------------------------------------------------

  /// A job that no sweep removes.
  std::uint64_t any_job() {
    return jobs_ / 2
           + std::uniform_int_distribution<std::uint64_t>{0, jobs_ / 2
                                                               - 1}(draws_);
  }

  double get() {
    const auto id = id_of(any_job());
    const auto begin = clock::now();
    const auto record = ask<job_record>(atom::get_v, std::string{account}, id);
    const auto result = ms_since(begin);
    if (record.id != id || record.interfaces.size() != 1)
      throw std::runtime_error("a wrong record of job " + id);
    return result;
  }

  json gets(std::uint64_t count) {
    samples all;
    for (std::uint64_t i = 0; i < count; ++i)
      all.add(get());
    return all.summary();
  }

  json get_beside_inspection() {
    samples all;
    for (std::uint64_t i = 0; i < rounds_; ++i)
      all.add(get());
    auto result = all.summary();
    result["to_the_end"] = !events_->has("storage-inspected");
    return result;
  }

  json inspect() {
    const auto begin = clock::now();
    const auto found = events_->wait_for("storage-inspected");
    const auto rest = ms_since(begin);
    if (found.at("strays") != 0 || found.at("lost") != 0
        || found.at("unknown") != 0)
      throw std::runtime_error("the inspection found " + found.dump());
    return {{"jobs", found.at("jobs")}, {"rest_ms", rest}};
  }

  json list(list_query query, std::uint64_t pages) {
    samples all;
    for (std::uint64_t i = 0; i < rounds_; ++i) {
      query.page = static_cast<std::uint32_t>(
        std::uniform_int_distribution<std::uint64_t>{1, pages}(draws_));
      // A change of nothing: no page from before is remembered.
      self_->send(storage_, atom::refund_v, std::string{"none"});
      const auto begin = clock::now();
      const auto page = ask<shared_job_page>(atom::list_v, query);
      all.add(ms_since(begin));
      check(query, *page);
    }
    return all.summary();
  }

  /// Job n is the n-th that was submitted.
  void check(const list_query& query, const job_page& page) const {
    if (!query.status.empty() || !query.type.empty()) {
      const auto wanted = query.status == "pending" ? 0 : jobs_ / 10;
      if (page.total_count != wanted
          || page.jobs.size() != std::min<std::size_t>(50, wanted))
        throw std::runtime_error("a wrong page of " + query.status);
      return;
    }
    for (std::size_t i = 0; i < page.jobs.size(); ++i)
      if (page.jobs[i].id != id_of(jobs_ - 1 - (query.page - 1) * 50u - i))
        throw std::runtime_error("a wrong page " + std::to_string(query.page));
    if (page.jobs.size() != 50)
      throw std::runtime_error("a short page");
  }

  /// Has retention keep so many jobs, from now on.
  void keep(std::uint64_t jobs) {
    limits_.max_jobs = jobs;
    ask<caf::ok_atom>(atom::limits_v, limits_);
  }

  /// Each with all that a step removes.
  json sweep_steps() {
    constexpr std::uint64_t jobs_of_a_step = 16;
    samples all;
    const auto steps = std::min(rounds_, jobs_ / 4 / jobs_of_a_step);
    for (std::uint64_t i = 0; i < steps; ++i) {
      const auto before = ask<storage_stats>(atom::stats_v).jobs;
      const auto begin = clock::now();
      keep(before - jobs_of_a_step);
      const auto after = ask<storage_stats>(atom::stats_v).jobs;
      all.add(ms_since(begin));
      if (before - after != jobs_of_a_step)
        throw std::runtime_error("a step removes another number of jobs");
    }
    return all.summary();
  }

  json get_beside_sweep() {
    const auto before = ask<storage_stats>(atom::stats_v);
    const auto victims = jobs_ / 4;
    keep(before.jobs - victims);
    samples all;
    const auto count = std::min(rounds_, victims / 32);
    for (std::uint64_t i = 0; i < count; ++i)
      all.add(get());
    auto result = all.summary();
    // No more than that.
    const auto now = ask<storage_stats>(atom::stats_v);
    keep(now.jobs);
    result["removed"] = now.expired_jobs - before.expired_jobs;
    return result;
  }

  const std::filesystem::path directory_;
  const std::uint64_t jobs_;
  const std::uint64_t rounds_;
  storage_limits limits_ = unlimited();
  std::mt19937_64 draws_{1};
  const std::shared_ptr<event_sink> events_ = make_sink();
  caf::actor_system_config cfg_;
  caf::actor_system sys_;
  caf::scoped_actor self_;
  storage_actor storage_;

  static storage_limits unlimited() {
    storage_limits result;
    result.min_free_bytes = 0;
    result.max_jobs = 1'000'000'000;
    result.max_bytes = std::uint64_t{1} << 50;
    return result;
  }
};

} // namespace

} // namespace edgecap::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_index DIRECTORY JOBS ROUNDS\n";
    return 2;
  }
  try {
    const auto jobs = std::strtoull(argv[2], nullptr, 10);
    edgecap::bench::write_jobs(argv[1], jobs);
    edgecap::bench::bench aut{argv[1], jobs,
                              std::strtoull(argv[3], nullptr, 10)};
    std::cout << aut.run().dump() << '\n';
    return 0;
  } catch (const std::exception& x) {
    std::cerr << "bench_index: " << x.what() << '\n';
    return 1;
  }
}

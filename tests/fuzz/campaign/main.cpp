// Plays scenarios against a running daemon until there are enough, or until one
// shows a fault; then the scenario is kept in a file that --replay plays again.
// tests/fuzz/run starts the daemon, and judges what becomes of it.
#include "tests/fuzz/campaign/player.hpp"
#include "tests/fuzz/campaign/supply.hpp"
#include "tests/fuzz/campaign/tally.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>

namespace {

namespace fs = std::filesystem;
using namespace edgecap::fuzz;
using clock_type = std::chrono::steady_clock;

struct options {
  std::uint16_t port = 0;
  std::uint64_t seed = 1;
  std::uint64_t requests = 0; ///< 0: as many as there is time for.
  std::uint32_t seconds = 0;  ///< 0: as long as it takes.
  std::uint32_t connections = 32;
  std::uint32_t patience_s = 30;
  std::string corpus;
  std::string failures = ".";
  std::vector<std::string> replay;
  std::optional<std::uint64_t> only;
};

/// @throws std::runtime_error
std::string read_file(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  if (!in)
    throw std::runtime_error{"cannot read " + file.string()};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::string> read_corpus(const std::string& directory) {
  std::vector<fs::path> files;
  if (!directory.empty())
    for (const auto& entry : fs::directory_iterator{directory})
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> result;
  result.reserve(files.size());
  for (const auto& file : files)
    result.push_back(read_file(file));
  return result;
}

/// Says what went wrong and keeps what it takes to see it again.
void report(const scenario& what, const outcome& became, const fs::path& kept) {
  std::ofstream out{kept, std::ios::binary};
  write_scenario(out, what);
  std::cerr << "FAULT: " << became.fault << "\nkept in: " << kept
            << "\nthe server's bytes: " << became.bytes << '\n';
}

/// Plays cases on many connections at once.
class campaign {
public:
  campaign(const options& wanted, const supply& jobs)
    : wanted_(wanted), jobs_(jobs), corpus_(read_corpus(wanted.corpus)) {}

  /// Returns whether no fault was seen.
  bool run() {
    const auto begin = clock_type::now();
    if (wanted_.seconds > 0)
      deadline_ = begin + std::chrono::seconds{wanted_.seconds};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < wanted_.connections; ++i)
      threads.emplace_back([this] { work(); });
    for (auto& each : threads)
      each.join();
    total_.print(std::cout, clock_type::now() - begin);
    return !failed_;
  }

private:
  bool goes_on() const {
    return !failed_ && clock_type::now() < deadline_
           && (wanted_.requests == 0 || requests_ < wanted_.requests);
  }

  void work() {
    tally mine;
    try {
      while (goes_on())
        play_case(next_case_++, mine);
    } catch (const std::exception& x) {
      failed_ = true;
      const std::lock_guard lock{mutex_};
      std::cerr << "FAULT: " << x.what() << '\n';
    }
    const std::lock_guard lock{mutex_};
    total_.add(mine);
  }

  void play_case(std::uint64_t number, tally& mine) {
    const auto what = make_scenario(dice{wanted_.seed, number}, corpus_);
    requests_ += what.requests;
    const auto became
      = play(what,
             {wanted_.port, std::chrono::seconds{wanted_.patience_s},
              jobs_.ended_job(), jobs_.running_job()},
             number);
    mine.add(what, became);
    if (became.fault.empty())
      return;
    failed_ = true;
    const std::lock_guard lock{mutex_};
    std::cerr << "seed " << wanted_.seed << ", case " << number << ": ";
    report(what, became,
           fs::path{wanted_.failures}
             / ("seed-" + std::to_string(wanted_.seed) + "-case-"
                + std::to_string(number)));
  }

  const options& wanted_;
  const supply& jobs_;
  const std::vector<std::string> corpus_;
  clock_type::time_point deadline_ = clock_type::time_point::max();
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> next_case_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::mutex mutex_; ///< Guards what follows, and standard error.
  tally total_;
};

/// Plays scenarios one after the other; returns whether all were in order.
bool play_each(const std::vector<std::pair<std::string, scenario>>& all,
               const options& wanted, const supply& jobs) {
  auto good = true;
  for (const auto& [name, what] : all) {
    const auto became
      = play(what,
             {wanted.port, std::chrono::seconds{wanted.patience_s},
              jobs.ended_job(), jobs.running_job()},
             0);
    std::cout << name << ": " << (became.fault.empty() ? "ok" : became.fault)
              << '\n';
    good = good && became.fault.empty();
  }
  return good;
}

std::vector<std::pair<std::string, scenario>>
scenarios_to_play(const options& wanted) {
  std::vector<std::pair<std::string, scenario>> result;
  for (const auto& file : wanted.replay) {
    std::ifstream in{file, std::ios::binary};
    result.emplace_back(file, read_scenario(in));
  }
  if (wanted.only)
    result.emplace_back("case " + std::to_string(*wanted.only),
                        make_scenario(dice{wanted.seed, *wanted.only},
                                      read_corpus(wanted.corpus)));
  return result;
}

} // namespace

int main(int count, char** arguments) {
  options wanted;
  CLI::App app{"Sends mutated requests to a running edgecapd and judges the "
               "answers. Exits with 0 if no fault was seen."};
  app.add_option("--port", wanted.port, "of the daemon on 127.0.0.1")
    ->required();
  app.add_option("--seed", wanted.seed, "another seed, other cases");
  app.add_option("--requests", wanted.requests, "ends after so many");
  app.add_option("--seconds", wanted.seconds, "ends after so long");
  app.add_option("--connections", wanted.connections, "at once")
    ->check(CLI::Range(1, 1000));
  app.add_option("--patience", wanted.patience_s,
                 "seconds after which a client that gets nothing hangs");
  app.add_option("--corpus", wanted.corpus, "directory of bytes to mutate");
  app.add_option("--failures", wanted.failures,
                 "directory for the scenario that shows a fault");
  app.add_option("--case", wanted.only, "plays this case of the seed alone");
  app.add_option("--replay", wanted.replay, "plays these files alone");
  CLI11_PARSE(app, count, arguments);
  try {
    const supply jobs{wanted.port};
    const auto chosen = scenarios_to_play(wanted);
    const auto good = chosen.empty() ? campaign{wanted, jobs}.run()
                                     : play_each(chosen, wanted, jobs);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& x) {
    std::cerr << "campaign: " << x.what() << '\n';
    return EXIT_FAILURE;
  }
}

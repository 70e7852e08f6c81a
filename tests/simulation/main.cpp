#include "tests/simulation/soak.hpp"
#include "tests/simulation/world.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// The program behind tests/simulation/run: runs seeds one after the other.
namespace {

using namespace edgecap::simulation;

/// The seed that runs, for whoever has to tell of a crash.
volatile std::uint64_t current_seed = 0;

/// A crash of the program is a violation too: the seed must be known.
extern "C" void on_crash(int signal) {
  char text[96];
  const auto n
    = std::snprintf(text, sizeof text, "crash: signal %d in seed %llu\n",
                    signal, static_cast<unsigned long long>(current_seed));
  if (n > 0 && ::write(STDOUT_FILENO, text, static_cast<std::size_t>(n)) > 0)
    std::_Exit(3);
  std::_Exit(4);
}

void print_violation(const run_options& how, const outcome& what) {
  std::printf("violation in seed %llu\n  rule: %s\n  what: %s\n  the last "
              "events:\n%s",
              static_cast<unsigned long long>(how.seed), what.rule.c_str(),
              what.text.c_str(), what.tail.c_str());
}

/// The command that runs a seed again as it was run.
std::string replay_of(const run_options& how, std::size_t planned) {
  auto result = "tests/simulation/run --replay " + std::to_string(how.seed);
  if (how.operations < planned)
    result += " --operations " + std::to_string(how.operations);
  std::string without;
  std::string only;
  for (std::size_t i = 0; i < fault_kinds; ++i) {
    const auto* name = name_of(static_cast<fault>(i));
    if (how.what.enabled(static_cast<fault>(i)))
      only += std::string{" --only "} + name;
    else
      without += std::string{" --without "} + name;
  }
  if (only.empty())
    only = " --only none";
  result += only.size() < without.size() ? only : without;
  return result;
}

/// Finds fewer operations and fewer faults that break the same rule.
run_options minimised(run_options how, const outcome& found) {
  const auto breaks
    = [&](const run_options& x) { return run_seed(x).rule == found.rule; };
  auto low = std::size_t{0};
  auto high = std::min(how.operations, found.operations);
  while (low < high) {
    auto fewer = how;
    fewer.operations = (low + high) / 2;
    if (breaks(fewer))
      high = fewer.operations;
    else
      low = fewer.operations + 1;
  }
  auto shorter = how;
  shorter.operations = high;
  if (breaks(shorter))
    how = shorter;
  for (std::size_t i = 0; i < fault_kinds; ++i) {
    auto without = how;
    without.what.disable(static_cast<fault>(i));
    if (how.what.enabled(static_cast<fault>(i)) && breaks(without))
      how = without;
  }
  return how;
}

int replay(run_options how) {
  how.print = true;
  current_seed = how.seed;
  const auto what = run_seed(how);
  if (!what.good())
    std::printf("broken: %s\n  %s\n", what.rule.c_str(), what.text.c_str());
  std::printf("trace %016llx of %llu events, %.0f simulated s\n",
              static_cast<unsigned long long>(what.hash),
              static_cast<unsigned long long>(what.events),
              static_cast<double>(what.simulated.count()) / 1e9);
  return what.good() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  for (const auto signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
    std::signal(signal, on_crash);
  CLI::App app{"Runs seeds of the simulation."};
  std::uint64_t start = 1;
  std::uint64_t seeds = 100;
  std::uint64_t stride = 1;
  double seconds = 1e9;
  std::uint64_t replayed = 0;
  std::vector<std::string> without;
  std::vector<std::string> only;
  bool hashes = false;
  bool no_minimise = false;
  bool logs = false;
  std::uint32_t soak_days = 0;
  run_options how;
  app.add_option("--start", start, "First seed");
  app.add_option("--seeds", seeds, "How many");
  app.add_option("--stride", stride, "From one seed to the next");
  app.add_option("--seconds", seconds, "Begin no seed after so long");
  const auto* replay_option
    = app.add_option("--replay", replayed, "Print the trace of one seed");
  app.add_option("--soak", soak_days, "Run steady jobs for so many days");
  app.add_option("--operations", how.operations, "Operations of the plan");
  app.add_option("--without", without, "A kind of fault that does not strike");
  app.add_option("--only", only, "The kinds of faults that strike, or none");
  app.add_flag("--hashes", hashes, "Print the hash of each trace");
  app.add_flag("--no-minimise", no_minimise, "Report a broken rule at once");
  app.add_flag("--logs", logs, "Print what the engine logs");
  CLI11_PARSE(app, argc, argv);
  for (const auto& name : without)
    if (!how.what.disable(name)) {
      std::fprintf(stderr, "there is no fault %s\n", name.c_str());
      return 2;
    }
  for (const auto& name : only)
    if (!how.what.only(name)) {
      std::fprintf(stderr, "there is no fault %s\n", name.c_str());
      return 2;
    }
  if (!logs)
    spdlog::set_level(spdlog::level::off);
  if (soak_days > 0)
    return soak(soak_days) ? 0 : 1;
  if (replay_option->count() > 0) {
    how.seed = replayed;
    return replay(how);
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now()
                                         - begin)
      .count();
  };
  faults hits;
  std::uint64_t done = 0;
  std::uint64_t events = 0;
  std::uint64_t jobs = 0;
  std::size_t mailbox = 0;
  double simulated_s = 0;
  for (; done < seeds && elapsed() < seconds; ++done) {
    how.seed = start + done * stride;
    current_seed = how.seed;
    const auto what = run_seed(how);
    if (hashes)
      std::printf("hash %llu %016llx\n",
                  static_cast<unsigned long long>(how.seed),
                  static_cast<unsigned long long>(what.hash));
    hits.add(what.hits);
    events += what.events;
    jobs += what.jobs;
    mailbox = std::max(mailbox, what.largest_mailbox);
    simulated_s += static_cast<double>(what.simulated.count()) / 1e9;
    if (!what.good()) {
      print_violation(how, what);
      const auto least = no_minimise ? how : minimised(how, what);
      std::printf("  after %llu seeds\n  replay: %s\n  least: %s\n",
                  static_cast<unsigned long long>(done) + 1,
                  replay_of(how, what.operations).c_str(),
                  replay_of(least, what.operations).c_str());
      return 1;
    }
  }
  std::printf("seeds %llu seconds %.3f events %llu jobs %llu simulated_s %.0f "
              "mailbox %zu\n",
              static_cast<unsigned long long>(done), elapsed(),
              static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(jobs), simulated_s, mailbox);
  for (std::size_t i = 0; i < fault_kinds; ++i)
    std::printf(
      "fault %s %llu\n", name_of(static_cast<fault>(i)),
      static_cast<unsigned long long>(hits.hits(static_cast<fault>(i))));
  return 0;
}

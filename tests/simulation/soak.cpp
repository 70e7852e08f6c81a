#include "tests/simulation/soak.hpp"

#include "tests/simulation/engine_setup.hpp"
#include "tests/simulation/life.hpp"
#include "tests/simulation/real_directory.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace edgecap::simulation {

using namespace std::chrono_literals;

namespace {

/// What is measured at the end of a day.
struct footprint {
  std::uint64_t resident_kib = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t files = 0;
  std::uint64_t rows = 0;
  std::uint64_t actors = 0;
};

/// From this day on nothing may grow: by then there are as many jobs as are
/// ever kept, and every cache is full.
constexpr std::uint32_t warm_day = 2;

// By how much, at most. Jobs come and go, so that their number at midnight is
// not always the same.
constexpr std::uint64_t max_resident_growth_kib = 8 << 10;
constexpr std::uint64_t max_descriptor_growth = 4;
constexpr std::uint64_t max_file_growth = 40;
constexpr std::uint64_t max_row_growth = 10;
constexpr std::uint64_t max_actor_growth = 10;

constexpr std::chrono::hours day{24};
constexpr auto job_interval = 60s;

constexpr const char* accounts[] = {
  "023e105f4ecef8ad9ca31a8372d0c353",
  "11111111111111111111111111111111",
};

std::uint64_t resident_kib() {
  std::ifstream file{"/proc/self/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

std::uint64_t descriptors() {
  const auto all = std::filesystem::directory_iterator{"/proc/self/fd"};
  return static_cast<std::uint64_t>(
    std::distance(begin(all), std::filesystem::end(all)));
}

/// One process and what is asked of it.
/// None of the actors waits.
bool nobody(const caf::abstract_actor*) {
  return false;
}

class soaking {
public:
  soaking()
    : network_({{"eth0", "eth1"}, false, 2000, 8}, 1, time_, none_, log_) {
    how_.collects = 1;
    how_.max_age = 1h;
    how_.progress_interval = 1s;
    for (std::size_t i = 0; i < fault_kinds; ++i)
      none_.disable(static_cast<fault>(i));
    auto options = make_engine_options(how_, time_, network_, ids_);
    options.storage.directory = directory_.path();
    options.storage.key_lifetime = 1h;
    options.on_loss
      = [this](const std::string&, const std::string&) { ++failures_; };
    life_ = std::make_unique<life>(std::move(options), time_.now(), log_);
    ask_for_jobs();
  }

  /// Lets time pass until then.
  void run_until(instant end) {
    while (time_.now() < end) {
      time_.run_due();
      if (life_->deliver_one(draws_, 0, nobody))
        continue;
      auto to = end;
      if (const auto next = time_.next())
        to = std::min(to, *next);
      if (const auto next = life_->next_timer())
        to = std::min(to, std::max(*next, time_.now()));
      time_.advance(to);
      life_->advance(to);
    }
    network_.forget_gone();
  }

  footprint measure() {
    footprint result;
    result.resident_kib = resident_kib();
    result.descriptors = descriptors();
    const auto& parts = life::state_of<storage_state>(life_->storage).parts;
    result.files = directory_.files();
    if (const auto totals = parts.index->totals())
      result.rows = totals->jobs;
    result.actors = life_->system().registry().running();
    return result;
  }

  std::uint64_t jobs() const {
    return ids_;
  }

  std::uint64_t failures() const {
    return failures_;
  }

private:
  void ask_for_jobs() {
    for (const auto* account : accounts)
      ask_for_job(account);
    time_.in(job_interval, [this] { ask_for_jobs(); });
  }

  void ask_for_job(const std::string& account) {
    job_spec spec;
    spec.account_id = account;
    spec.system = system_name;
    spec.packet_limit = 100;
    spec.time_limit_s = 20;
    const auto key = "key-" + std::to_string(ids_);
    life_->system().spawn([=](caf::event_based_actor* self) {
      install_default_handlers(self);
      self->request(life_->registry, 10s, atom::create_v, spec, key)
        .then([this, account](
                const creation& made) { look_later(account, made.record.id); },
              [this](caf::error&) { ++failures_; });
    });
  }

  /// After its end, the job must have succeeded.
  void look_later(const std::string& account, const std::string& id) {
    time_.in(50s, [this, account, id] {
      life_->system().spawn([=](caf::event_based_actor* self) {
        install_default_handlers(self);
        self
          ->request(life_->registry, 10s, atom::download_v, account, id,
                    savefile_format::pcap)
          .then(
            [](const savefile&) {
              // It stands; its bytes are judged by the seeds.
            },
            [this](caf::error&) { ++failures_; });
      });
    });
  }

  setup how_;
  timeline time_;
  trace log_{false};
  faults none_;
  random_stream draws_{1, schedule_stream};
  network network_;
  real_directory directory_;
  std::uint64_t ids_ = 0;
  std::uint64_t failures_ = 0;
  std::unique_ptr<life> life_;
};

bool within(const char* what, std::uint64_t first, std::uint64_t now,
            std::uint64_t growth) {
  if (now <= first + growth)
    return true;
  std::printf("%s grew from %llu to %llu\n", what,
              static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(now));
  return false;
}

bool within(const footprint& first, const footprint& now) {
  return within("memory (KiB)", first.resident_kib, now.resident_kib,
                max_resident_growth_kib)
         && within("descriptors", first.descriptors, now.descriptors,
                   max_descriptor_growth)
         && within("files", first.files, now.files, max_file_growth)
         && within("rows", first.rows, now.rows, max_row_growth)
         && within("actors", first.actors, now.actors, max_actor_growth);
}

} // namespace

bool soak(std::uint32_t days) {
  soaking process;
  footprint warm;
  for (std::uint32_t i = 1; i <= days; ++i) {
    process.run_until(i * std::chrono::duration_cast<instant>(day));
    const auto now = process.measure();
    std::printf(
      "day %2u: %llu jobs, %llu failures, %llu KiB, %llu descriptors, "
      "%llu files, %llu rows, %llu actors\n",
      i, static_cast<unsigned long long>(process.jobs()),
      static_cast<unsigned long long>(process.failures()),
      static_cast<unsigned long long>(now.resident_kib),
      static_cast<unsigned long long>(now.descriptors),
      static_cast<unsigned long long>(now.files),
      static_cast<unsigned long long>(now.rows),
      static_cast<unsigned long long>(now.actors));
    std::fflush(stdout);
    if (process.failures() > 0)
      return false;
    if (i == warm_day)
      warm = now;
    if (i > warm_day && !within(warm, now))
      return false;
  }
  return true;
}

} // namespace edgecap::simulation

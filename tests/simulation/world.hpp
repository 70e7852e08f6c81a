#pragma once

#include "tests/simulation/edges.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/life.hpp"
#include "tests/simulation/model.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/plan.hpp"
#include "tests/simulation/random_stream.hpp"
#include "tests/simulation/timeline.hpp"
#include "tests/simulation/trace.hpp"
#include "tests/simulation/watcher.hpp"
#include "tests/support/simulated_disk.hpp"

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::simulation {

/// How a seed is run.
struct run_options {
  std::uint64_t seed = 0;
  faults what; ///< With those switched off that are not to strike.
  /// So many operations of the plan, at most.
  std::size_t operations = SIZE_MAX;
  bool print = false; ///< Print the whole trace.
};

/// What came of it.
struct outcome {
  std::string rule; ///< That was broken; empty if none.
  std::string text; ///< What broke it.
  std::string tail; ///< What happened last.
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  std::size_t operations = 0; ///< Of the plan.
  instant simulated{0};
  std::size_t largest_mailbox = 0;
  std::uint64_t jobs = 0; ///< That clients know of.
  faults hits;

  bool good() const {
    return rule.empty();
  }
};

/// Runs one seed from an empty disk to the end of its last process.
outcome run_seed(const run_options& options);

/// Everything that a run consists of.
class world {
public:
  explicit world(const run_options& options);

  outcome run();

private:
  // -- running ----------------------------------------------------------------

  void note_files();
  void start_process();
  void end_process();
  void step();
  void pass_time(bool idle);
  void look_at_running();
  bool broken() const {
    return !outcome_.good();
  }

  // -- what goes wrong --------------------------------------------------------

  void plan_faults();
  void plan_fault(fault what, std::uint64_t one_in, std::function<void()> then);
  void plan_crash(fault what, std::uint64_t steps);
  void set_disk_faults();
  void notice_disk_errors();
  void lose_savefile();
  void count_disk_faults();
  void pause_storage(fault what, instant duration);
  void fill_disk(std::uint64_t room_bytes, instant duration);
  void make_room();
  void kill_job();
  void kill_sampler();
  void kill_root(fault what);
  void lose(const std::string& root);
  void stop_process();
  std::optional<store_error> storage_fault(storage_step step,
                                           const std::string& id);

  // -- what clients do --------------------------------------------------------

  void perform(const operation& x);
  void stop_at_once(const operation& creation, const std::string& id);
  std::string choose_job(const operation& x) const;
  void take_download(request& x, const savefile& file);
  template <class Result, class Handle, class OnValue, class... Ts>
  void ask(const request_ptr& x, const Handle& whom, OnValue on_value,
           Ts... xs);
  void send(const request_ptr& x);

  // -- the end ----------------------------------------------------------------

  bool quiet() const;
  std::string what_is_left() const;
  void come_to_rest();
  void look_at_all();
  void check_engine_at_rest();
  void check_disk_at_rest(const std::vector<job_record>& everything);
  void check_open_files();
  void restart_in_order();

  engine_options options_of_process();
  void violate(const char* rule, const std::string& text);
  void note(const char* what, std::uint64_t value = 0,
            const std::string& text = {});

  run_options options_;
  setup setup_;
  std::vector<operation> plan_;
  outcome outcome_;
  faults faults_;
  trace trace_;
  timeline time_;
  random_stream schedule_;
  random_stream chaos_;
  random_stream storage_draws_;
  network network_;
  model model_;
  test::simulated_disk disk_;
  edges edges_;
  std::unique_ptr<life> life_;
  std::uint32_t life_number_ = 0;
  std::uint64_t ids_ = 0;
  std::size_t operations_left_ = 0;
  std::size_t requests_open_ = 0;
  instant storage_back_{0};
  bool disk_full_ = false;
  std::uint64_t disk_bytes_ = 0; ///< While it is full.
  std::uint64_t times_full_ = 0;
  std::list<capture::shared_descriptor> downloads_; ///< That go on.
  bool dying_ = false; ///< What is said from now on, nobody hears.
  bool calm_ = false;
  bool last_look_ = false; ///< All of this process was calm.
  bool host_dies_ = false;
  bool call_takes_host_ = false; ///< When the disk crashes in a call.
  std::optional<std::uint64_t> steps_to_crash_;
  /// Of storage, soon after a process has started.
  std::optional<std::uint64_t> steps_to_pause_;
  std::uint64_t disk_errors_ = 0; ///< That the model knows of.
  std::vector<std::shared_ptr<watcher>> watchers_;
};

} // namespace edgecap::simulation

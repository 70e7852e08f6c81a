#include "actors/storage.hpp"
#include "capture/posix_file_system.hpp"
#include "capture/savefile.hpp"
#include "tests/support/engine_fixture.hpp"
#include "tests/support/temp_directory.hpp"

#include <chrono>

// The engine over the real storage actor and real files, still on simulated
// time; a second engine on the same directory stands for the next process.
namespace edgecap::test {

using namespace std::chrono_literals;

class EngineOnDisk : public engine_fixture {
protected:
  storage_actor spawn_storage() override {
    storage_options options;
    options.directory = directory.path();
    options.min_free_bytes = 0;
    options.wall_clock = [this] { return now(); };
    return spawn(edgecap::storage, options);
  }

  /// Ends every actor without a word, as a crash does, and starts again.
  void crash_and_restart() {
    for (const auto& root : {caf::actor_cast<caf::actor>(registry),
                             caf::actor_cast<caf::actor>(local),
                             caf::actor_cast<caf::actor>(limiter),
                             caf::actor_cast<caf::actor>(storage)}) {
      self->send_exit(root, caf::exit_reason::kill);
      run();
    }
    start_engine();
  }

  /// What a download gets.
  capture::run_summary downloaded(const std::string& id) {
    const auto file
      = ask<savefile>(registry, atom::download_v, std::string{account}, id,
                      savefile_format::pcap);
    EXPECT_TRUE(file) << failure_of(file).text;
    if (!file)
      return {};
    capture::posix_file_system files{capture::symbolic_links::followed};
    const auto path = "/proc/self/fd/" + std::to_string(*file->descriptor);
    const auto summary = capture::scan_run(files, path);
    EXPECT_TRUE(summary) << summary.error().message;
    EXPECT_FALSE(summary->torn);
    EXPECT_EQ(summary->whole_bytes, file->size_bytes);
    return *summary;
  }

  temp_directory directory;
};

TEST_F(EngineOnDisk, HoldsExactlyWhatTheInterfacesSayTheyCaptured) {
  const auto job = create(spec(100));
  // Interleaved in time, across the limit.
  host.on("eth0").deliver_packets(60, 1'000);
  host.on("eth1").deliver_packets(60, 500);
  run();
  const auto record = get(job.id);
  ASSERT_EQ(record.phase, job_phase::succeeded) << record.error_message;
  EXPECT_EQ(record.interfaces[0].packets_captured
              + record.interfaces[1].packets_captured,
            100u);
  const auto file = downloaded(job.id);
  EXPECT_EQ(file.packets, 100u);
  EXPECT_TRUE(file.ordered);
  EXPECT_EQ(file.captured_bytes, record.bytes_captured);
}

TEST_F(EngineOnDisk, KeepsWhatWasCapturedBeforeACrash) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  crash_and_restart();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::shutdown);
  EXPECT_FALSE(record.error_message.empty());
  EXPECT_EQ(record.packets_captured, 7u);
  ASSERT_EQ(record.interfaces.size(), 2u);
  EXPECT_EQ(record.interfaces[1].interface, "eth1");
  EXPECT_EQ(record.interfaces[1].packets_captured, 7u);
  EXPECT_EQ(downloaded(job.id).packets, 7u);
}

TEST_F(EngineOnDisk, EndsAnAcknowledgedJobThatCapturedNothingBeforeACrash) {
  const auto job = create(spec(100));
  crash_and_restart();
  EXPECT_EQ(get(job.id).phase, job_phase::failed);
  EXPECT_EQ(get(job.id).reason, end_reason::shutdown);
}

TEST_F(EngineOnDisk, ShowsTheSameRecordAfterARestart) {
  const auto job = create(spec(5));
  host.on("eth0").deliver_packets(5);
  run();
  const auto before = get(job.id);
  crash_and_restart();
  const auto after = get(job.id);
  EXPECT_EQ(caf::deep_to_string(before), caf::deep_to_string(after));
  EXPECT_EQ(downloaded(job.id).packets, 5u);
}

TEST_F(EngineOnDisk, RunsManyJobsAtOnce) {
  constexpr std::uint32_t jobs = 50;
  std::vector<std::string> ids;
  for (std::uint32_t i = 0; i < jobs; ++i) {
    ids.push_back(create(spec(1000)).id);
    host.on("eth0").deliver_packets(i + 1);
  }
  ASSERT_TRUE(ask<caf::ok_atom>(registry, atom::shutdown_v));
  for (std::uint32_t i = 0; i < jobs; ++i)
    EXPECT_EQ(downloaded(ids[i]).packets, i + 1);
  EXPECT_EQ(host.alive(), 0u);
}

} // namespace edgecap::test

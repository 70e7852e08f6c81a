#include "tests/support/engine_on_disk.hpp"

namespace edgecap::test {

using namespace std::chrono_literals;

class EngineOnDisk : public engine_on_disk {};

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

TEST_F(EngineOnDisk, KeepsWhatItHasWhenTheDiskIsFull) {
  tiny_disk small{8u << 20};
  if (!small.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  storage_opts.directory = small.path() / "captures";
  storage_opts.reserve_bytes = 2u << 20;
  const auto job = create(spec(10000));
  host.on("eth0").deliver_packets(1000);
  host.on("eth1").deliver_packets(1000);
  run();
  small.fill(0);
  advance(capacity::look_interval);
  host.on("eth1").deliver_packets(1000);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded) << record.error_message;
  EXPECT_EQ(record.reason, end_reason::storage_full);
  EXPECT_EQ(record.packets_captured, 2000u);
  EXPECT_EQ(record.interfaces[1].packets_captured, 1000u);
  EXPECT_EQ(downloaded(job.id).packets, 2000u);
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::storage_full);
  small.empty();
  advance(capacity::look_interval);
  EXPECT_EQ(create(spec()).phase, job_phase::pending);
  ASSERT_TRUE(ask<caf::ok_atom>(registry, atom::shutdown_v));
  for (const auto& root : {caf::actor_cast<caf::actor>(registry),
                           caf::actor_cast<caf::actor>(storage)}) {
    self->send_exit(root, caf::exit_reason::kill);
    run();
  }
}

TEST_F(EngineOnDisk, EndsAJobThatReachesItsQuota) {
  storage_opts.pcapng = false;
  storage_opts.each_account.bytes = 15 * 76; // packets of 60 bytes
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(10);
  run();
  host.on("eth1").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded) << record.error_message;
  EXPECT_EQ(record.reason, end_reason::quota);
  EXPECT_EQ(record.error_message,
            "store packets: the quota of 1140 bytes for the account is "
            "reached: 760 bytes are used, 760 of them by captures that are not "
            "finished; delete captures to make room");
  EXPECT_EQ(downloaded(job.id).packets, 10u);
  storage_opts.each_account.bytes = 0;
  ASSERT_TRUE(ask<caf::ok_atom>(
    storage, atom::limits_v, static_cast<const storage_limits&>(storage_opts)));
  EXPECT_EQ(create(spec()).phase, job_phase::pending);
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

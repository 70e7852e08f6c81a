#include "tests/support/engine_on_disk.hpp"

namespace edgecap::test {

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

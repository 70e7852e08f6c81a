#include "tests/support/engine_on_disk.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>

// What a crash interrupts, and how it goes on. The second process is a second
// engine on the same directory; time passes between the two where a test says
// so.
namespace edgecap::test {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class EngineResumes : public engine_on_disk {
protected:
  /// Lets `down` pass between the end of the process and the next start.
  void restart_after(caf::timespan down) {
    crash();
    advance_only(down);
    start_engine();
  }

  /// Has both interfaces keep their last packets back, so that a job which ends
  /// stays between its end and its seal.
  void drain_slowly() {
    host.on("eth0").hold_on_stop();
    host.on("eth1").hold_on_stop();
  }
};

// -- what goes on -------------------------------------------------------------

TEST_F(EngineResumes, CapturesOnWhereACrashInterruptedIt) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  const auto last_packet = get(job.id).started;
  restart_after(3s);
  const auto resumed = get(job.id);
  EXPECT_EQ(resumed.phase, job_phase::capturing);
  EXPECT_EQ(resumed.packets_captured, 7u);
  EXPECT_EQ(resumed.started, job.started ? job.started : last_packet);
  EXPECT_EQ(resumed.error_message, "");
  host.on("eth0").deliver_packets(3, 100'000);
  run();
  ASSERT_TRUE(stop(job.id));
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::stopped);
  EXPECT_EQ(record.error_message, "");
  EXPECT_EQ(record.packets_captured, 10u);
  const auto file = downloaded(job.id);
  EXPECT_EQ(file.packets, 10u);
  EXPECT_EQ(file.captured_bytes, record.bytes_captured);
  EXPECT_TRUE(file.ordered);
}

TEST_F(EngineResumes, WaitsForNoNodeWhoseNameIsNotKnown) {
  const auto job = create(spec(100, 60));
  // A run whose name the crash has taken.
  ASSERT_TRUE(ask<caf::ok_atom>(storage, atom::append_v, job.id,
                                std::uint32_t{2}, make_batch(3)));
  crash();
  for (const auto* name : {"eth0", "eth1"})
    host.refuse(name, {capture::capture_errc::interface_down, "is down"});
  start_engine();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::interface_lost);
  EXPECT_THAT(record.error_message, HasSubstr("no interface is left"));
  EXPECT_THAT(record.error_message, Not(HasSubstr("node  was lost")));
  EXPECT_EQ(record.packets_captured, 3u);
}

TEST_F(EngineResumes, TellsTheInterfacesOfEachLifeApart) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  host.on("eth1").counters.packets_matched = 7;
  run();
  crash_and_restart();
  host.on("eth1").counters.packets_matched = 2;
  host.on("eth1").deliver_packets(2);
  run();
  ASSERT_TRUE(stop(job.id));
  const auto record = get(job.id);
  ASSERT_THAT(record.interfaces, SizeIs(4));
  for (int run_number : {0, 1}) {
    const auto& interrupted
      = record.interfaces[static_cast<std::size_t>(run_number)];
    EXPECT_EQ(interrupted.phase, sampler_phase::failed);
    EXPECT_EQ(interrupted.error, "interrupted: the process ended unexpectedly");
    EXPECT_FALSE(interrupted.packets_matched);
    EXPECT_FALSE(interrupted.dropped_by_kernel);
  }
  EXPECT_EQ(record.interfaces[1].packets_captured, 7u);
  EXPECT_EQ(record.interfaces[2].interface, "eth0");
  EXPECT_EQ(record.interfaces[3].interface, "eth1");
  EXPECT_EQ(record.interfaces[3].phase, sampler_phase::ended);
  EXPECT_EQ(record.interfaces[3].packets_captured, 2u);
  EXPECT_EQ(record.interfaces[3].packets_matched, 2u);
}

TEST_F(EngineResumes, StatesTheGap) {
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(1, now() + 500);
  advance(2s);
  const auto captured_until = *get(job.id).started + 500;
  crash();
  advance_only(5s);
  host.leave_closed("eth1");
  start_engine();
  const auto opened_first = now();
  ASSERT_THAT(get(job.id).interruptions, SizeIs(1));
  EXPECT_EQ(get(job.id).interruptions[0].from, captured_until);
  EXPECT_EQ(get(job.id).interruptions[0].to, opened_first);
  // It ends when the last interface is open.
  advance(1s);
  host.on("eth1").open();
  run();
  EXPECT_EQ(get(job.id).interruptions[0].to, now());
  // And stays in the record, also of the index.
  ASSERT_TRUE(stop(job.id));
  crash_and_restart();
  ASSERT_THAT(get(job.id).interruptions, SizeIs(1));
  EXPECT_EQ(get(job.id).interruptions[0].to, opened_first + 1'000'000'000);
}

TEST_F(EngineResumes, SharesThePacketLimitBetweenItsLives) {
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(7);
  run();
  crash_and_restart();
  EXPECT_EQ(host.on("eth0").options().packet_limit, 3u);
  host.on("eth1").deliver_packets(2);
  host.on("eth0").deliver_packets(5);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.packets_captured, 10u);
  EXPECT_EQ(downloaded(job.id).packets, 10u);
}

TEST_F(EngineResumes, CountsTheTimeLimitFromAcceptance) {
  const auto job = create(spec(100, 60));
  advance(20s);
  restart_after(30s);
  EXPECT_EQ(host.on("eth0").options().not_after,
            job.submitted + 60'000'000'000);
  advance(9s);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  advance(1s);
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_EQ(get(job.id).reason, end_reason::time_limit);
}

TEST_F(EngineResumes, KeepsTheTimeLimitIfTheClockWasSetBack) {
  auto set_back = 0s;
  storage_opts.wall_clock
    = [&] { return now() - std::chrono::nanoseconds{set_back}.count(); };
  registry_opts.job.wall_clock = storage_opts.wall_clock;
  const auto job = create(spec(100, 60));
  crash();
  set_back = 3600s;
  start_engine();
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  EXPECT_GE(*get(job.id).interruptions.at(0).to,
            get(job.id).interruptions.at(0).from);
  advance(60s);
  EXPECT_EQ(get(job.id).reason, end_reason::time_limit);
}

TEST_F(EngineResumes, GoesOnAsOftenAsItMay) {
  const auto job = create(spec(1000, 3600));
  for (std::size_t i = 1; i <= max_interruptions; ++i) {
    host.on("eth0").deliver_packets(1);
    run();
    restart_after(1s);
    EXPECT_EQ(get(job.id).phase, job_phase::capturing) << i;
    ASSERT_THAT(get(job.id).interruptions, SizeIs(i));
  }
  for (const auto& x : get(job.id).interruptions)
    EXPECT_EQ(*x.to - x.from, 1'000'000'000);
  crash_and_restart();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::shutdown);
  EXPECT_THAT(record.interruptions, SizeIs(max_interruptions + 1));
  EXPECT_FALSE(record.interruptions.back().to);
  EXPECT_THAT(record.error_message, HasSubstr("the process ended"));
  EXPECT_EQ(downloaded(job.id).packets, max_interruptions);
}

TEST_F(EngineResumes, GoesOnWithAJobThatHadNotBegun) {
  host.leave_closed("eth0");
  host.leave_closed("eth1");
  const auto job = create(spec(100));
  crash_and_restart();
  EXPECT_EQ(get(job.id).phase, job_phase::pending);
  crash_and_restart();
  host.on("eth0").open();
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  ASSERT_THAT(get(job.id).interruptions, SizeIs(1)) << "it never went on";
  EXPECT_EQ(get(job.id).interruptions[0].from, job.submitted);
}

TEST_F(EngineResumes, CountsWhatGoesOnAsRunning) {
  registry_opts.running_jobs = 2;
  const auto first = create(spec(10));
  create(spec(10));
  crash_and_restart();
  const auto answer = try_create(spec(10));
  EXPECT_EQ(failure_of(answer).code, errc::too_many_jobs);
  const auto stats = ask<engine_stats>(registry, atom::stats_v);
  EXPECT_EQ(stats->jobs_running, 2u);
  EXPECT_EQ(stats->jobs_created, 0u) << "by this process";
  ASSERT_TRUE(stop(first.id));
  EXPECT_TRUE(try_create(spec(10)));
}

TEST_F(EngineResumes, LeavesToAShutdownWhatItEnded) {
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(3);
  run();
  ASSERT_TRUE(ask<caf::ok_atom>(registry, atom::shutdown_v));
  crash_and_restart();
  EXPECT_EQ(get(job.id).reason, end_reason::shutdown);
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_EQ(get(job.id).error_message, "");
  EXPECT_EQ(host.alive(), 0u);
}

// -- what has ended meanwhile -------------------------------------------------

TEST_F(EngineResumes, EndsAJobWhoseTimeHasPassed) {
  const auto job = create(spec(100, 60));
  host.on("eth1").deliver_packets(7);
  run();
  restart_after(60s);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_EQ(record.error_message,
            "the process ended unexpectedly while the job was capturing; the 7 "
            "packets captured until then were kept");
  ASSERT_THAT(record.interruptions, SizeIs(1));
  EXPECT_FALSE(record.interruptions[0].to);
  EXPECT_EQ(downloaded(job.id).packets, 7u);
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(EngineResumes, FailsAJobThatMissedTheRestOfItsTimeWithoutAPacket) {
  const auto job = create(spec(100, 60));
  restart_after(60s);
  EXPECT_EQ(get(job.id).phase, job_phase::failed);
  EXPECT_EQ(get(job.id).reason, end_reason::time_limit);
}

TEST_F(EngineResumes, SucceedsWithNothingIfItCapturedToTheEnd) {
  const auto job = create(spec(100, 60));
  restart_after(20s);
  advance(60s);
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_EQ(downloaded(job.id).packets, 0u);
}

TEST_F(EngineResumes, EndsAJobThatHasAllItsPackets) {
  const auto job = create(spec(7));
  drain_slowly();
  host.on("eth1").deliver_packets(9);
  run();
  ASSERT_EQ(get(job.id).phase, job_phase::draining);
  crash_and_restart();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_THAT(record.interruptions, SizeIs(0)) << "nothing is missing";
  EXPECT_EQ(downloaded(job.id).packets, 7u);
}

TEST_F(EngineResumes, KeepsAStopThatWasAcknowledged) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  drain_slowly();
  ASSERT_TRUE(stop(job.id));
  ASSERT_EQ(get(job.id).phase, job_phase::draining);
  // What the job has said last need not know of the stop.
  crash_and_restart();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::stopped);
  EXPECT_TRUE(record.stop_requested);
  EXPECT_THAT(record.error_message, HasSubstr("ended unexpectedly"));
  EXPECT_EQ(downloaded(job.id).packets, 7u);
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(EngineResumes, KeepsAStopOverALateNoteOfTheJob) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  drain_slowly();
  const auto before = get(job.id);
  auto stopping
    = ask_later(registry, atom::stop_v, std::string{account}, job.id);
  ASSERT_TRUE(deliver_to(registry));
  ASSERT_TRUE(deliver_to(storage));
  self->send(storage, atom::progress_v, before, std::uint32_t{0});
  run();
  ASSERT_TRUE(receive_answer<job_record>(stopping));
  crash_and_restart();
  EXPECT_EQ(get(job.id).reason, end_reason::stopped);
}

TEST_F(EngineResumes, AcknowledgesNoStopThatACrashCouldUndo) {
  const auto job = create(spec(100));
  auto stopping
    = ask_later(registry, atom::stop_v, std::string{account}, job.id);
  ASSERT_TRUE(deliver_to(registry));
  EXPECT_FALSE(self->has_next_message()) << "storage has not heard of it";
  ASSERT_TRUE(deliver_to(storage));
  ASSERT_TRUE(deliver_to(registry));
  EXPECT_TRUE(receive_answer<job_record>(stopping));
}

TEST_F(EngineResumes, BringsNoRemovedJobBack) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  ASSERT_TRUE(
    ask<caf::ok_atom>(registry, atom::erase_v, std::string{account}, job.id));
  crash_and_restart();
  const auto answer
    = ask<job_record>(registry, atom::get_v, std::string{account}, job.id);
  EXPECT_EQ(failure_of(answer).code, errc::unknown_job);
  EXPECT_EQ(host.alive(), 0u);
}

// -- what cannot go on --------------------------------------------------------

TEST_F(EngineResumes, EndsWhenItsInterfacesAreGone) {
  const auto job = create(spec(100));
  host.on("eth1").deliver_packets(7);
  run();
  crash();
  for (const auto* name : {"eth0", "eth1"})
    host.refuse(name, {capture::capture_errc::no_such_interface, "no such"});
  start_engine();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::interface_lost);
  EXPECT_THAT(record.error_message,
              AllOf(HasSubstr("no interface is left"),
                    HasSubstr("capturing did not go on")));
  EXPECT_FALSE(record.interruptions.at(0).to);
  EXPECT_EQ(downloaded(job.id).packets, 7u);
}

TEST_F(EngineResumes, SaysForHowLongAFailedJobDidNotCapture) {
  const auto job = create(spec(100));
  restart_after(1500ms);
  for (const auto* name : {"eth0", "eth1"})
    host.on(name).end(capture::capture_error{
      capture::capture_errc::interface_down, "went down"});
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::failed);
  EXPECT_THAT(get(job.id).error_message,
              AllOf(HasSubstr("no interface is left"),
                    HasSubstr("the capture had been interrupted for 1500 ms")));
}

TEST_F(EngineResumes, KeepsWhatIsToBeSaidOfDamage) {
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(3);
  run();
  crash();
  std::fstream file{directory.path() / "jobs" / job.id / "run-0.pcap",
                    std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(24 + 76);
  file.write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
  file.close();
  start_engine();
  EXPECT_EQ(get(job.id).packets_captured, 1u);
  for (const auto* name : {"eth0", "eth1"})
    host.on(name).end(capture::capture_error{
      capture::capture_errc::interface_down, "went down"});
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_THAT(get(job.id).error_message,
              AllOf(HasSubstr("eth0: its run is damaged at byte 100: the 152 "
                              "bytes from there on are lost"),
                    HasSubstr("no interface is left")));
  EXPECT_EQ(downloaded(job.id).packets, 1u);
}

// -- the allowance ------------------------------------------------------------

TEST_F(EngineResumes, RemembersTheAccountsMinute) {
  limiter_opts.collect = {1, 60};
  create(spec(1));
  host.on("eth0").deliver_packets(1);
  advance(10s);
  restart_after(20s);
  const auto refused = try_create(spec(1));
  EXPECT_EQ(failure_of(refused).code, errc::rate_limited);
  EXPECT_EQ(failure_of(refused).exhausted.retry_after_ms, 30000u);
  auto theirs = spec(1);
  theirs.account_id = other_account;
  EXPECT_TRUE(try_create(theirs));
  advance(30s);
  EXPECT_TRUE(try_create(spec(1)));
}

TEST_F(EngineResumes, GivesNoMinuteBackForARemovedJob) {
  limiter_opts.collect = {1, 60};
  const auto job = create(spec(1));
  ASSERT_TRUE(
    ask<caf::ok_atom>(registry, atom::erase_v, std::string{account}, job.id));
  crash_and_restart();
  EXPECT_EQ(failure_of(try_create(spec(1))).code, errc::rate_limited);
}

TEST_F(EngineResumes, GivesTheMinuteBackForAJobThatWasNotStored) {
  limiter_opts.collect = {1, 60};
  auto broken = true;
  storage_opts.faults
    = [&](storage_step step, const std::string&) -> std::optional<store_error> {
    if (step != storage_step::insert || !broken)
      return std::nullopt;
    return store_error{store_errc::unavailable, "no"};
  };
  EXPECT_FALSE(try_create(spec(1)));
  broken = false;
  crash_and_restart();
  EXPECT_TRUE(try_create(spec(1)));
}

TEST_F(EngineResumes, RemembersTheYoungestIfTheLimitWasLowered) {
  limiter_opts.collect = {3, 60};
  for (int i = 0; i < 3; ++i) {
    create(spec(1));
    advance(10s);
  }
  crash();
  limiter_opts.collect = {2, 60};
  start_engine();
  const auto refused = try_create(spec(1));
  EXPECT_EQ(failure_of(refused).exhausted.retry_after_ms, 40000u)
    << "those of 10 s and of 20 s ago";
}

} // namespace edgecap::test

#include "tests/support/engine_fixture.hpp"

// The engine as a whole, on simulated time: the tests are sequences of what
// interfaces, clients, disks and clocks do, and of what a client then sees.
namespace edgecap::test {

using namespace std::chrono_literals;
using capture::capture_errc;
using capture::capture_error;

class Engine : public engine_fixture {
protected:
  /// Sum over the interfaces, which must equal what the savefile holds.
  static std::uint64_t captured(const job_record& record) {
    std::uint64_t sum = 0;
    for (const auto& report : record.interfaces)
      sum += report.packets_captured;
    return sum;
  }

  /// Asks for a job; delivers nothing.
  auto create_later(const job_spec& wanted) {
    return ask_later(registry, atom::create_v, wanted, std::string{});
  }

  template <class Pending>
  caf::expected<job_record> receive_record(Pending& pending) {
    auto made = receive_answer<creation>(pending);
    if (!made)
      return made.error();
    return std::move(made->record);
  }

  job_actor job_of(const std::string& id) {
    return state_of<job_registry_state>(registry).running.at(id).handle;
  }

  void expect_whole(const job_record& record, std::uint64_t packets) {
    EXPECT_EQ(record.packets_captured, packets);
    EXPECT_EQ(captured(record), packets);
    EXPECT_EQ(disk->packets(record.id), packets);
  }
};

// -- the whole sequence
// --------------------------------------------------------

TEST_F(Engine, RunsAJobInThisSequenceOfMessages) {
  using capture::packet_batch;
  using capture::source_end;
  using specs = std::vector<sampler_spec>;
  node_opts.systems["lab"] = {{"eth0", 1, 160, false}};
  host.leave_closed("eth0");
  start_engine();
  // A client asks; the job is admitted, made durable, and acknowledged.
  auto client = create_later(spec(2));
  expect<atom::create, job_spec, std::string>(self, registry);
  expect<atom::acquire, std::string, allowance>(registry, limiter);
  expect<admission>(limiter, registry);
  EXPECT_FALSE(self->has_next_message()) << "not durable yet";
  expect<atom::insert, job_record, std::string>(registry, storage);
  EXPECT_FALSE(self->has_next_message()) << "not known to be durable";
  expect<caf::ok_atom>(storage, registry);
  const auto record = receive_record(client);
  ASSERT_TRUE(record);
  // The job asks which nodes there are, which interfaces they have, and for a
  // sampler on each.
  const auto job = job_of(record->id);
  deliver_to(job); // its start, and the first message to itself
  expect<atom::watch, node_watcher_actor>(job, fleet);
  expect<std::vector<node_offer>>(fleet, job);
  expect<atom::survey, std::string>(job, local);
  expect<specs>(local, job);
  expect<atom::progress, job_record>(job, registry);
  expect<atom::progress, job_record, std::uint32_t>(job, storage);
  expect<atom::sample, sampler_spec, batch_sink_actor>(job, local);
  const auto answer = expect<sampler_actor>(local, job);
  ASSERT_TRUE(answer);
  const auto sampler = std::get<0>(*answer);
  // Packets flow, within credit.
  deliver_to(sampler); // its start
  host.on("eth0").open();
  expect<atom::opened, capture::link_type>(any, sampler);
  expect<atom::opened, std::uint32_t, capture::link_type>(sampler, job);
  expect<atom::progress, job_record>(job, registry);
  expect<atom::progress, job_record, std::uint32_t>(job, storage);
  host.on("eth0").deliver_packets(3);
  expect<atom::batch, packet_batch>(any, sampler);
  expect<atom::batch, std::uint32_t, packet_batch>(sampler, job);
  const auto append
    = expect<atom::append, std::string, std::uint32_t, packet_batch>(job,
                                                                     storage);
  ASSERT_TRUE(append);
  EXPECT_EQ(std::get<3>(*append).packets(), 2u) << "cut at the limit";
  // The limit is reached: the sampler drains while storage writes.
  expect<atom::stop>(job, sampler);
  expect<atom::progress, job_record>(job, registry);
  expect<caf::ok_atom>(storage, job);
  expect<atom::ended, source_end>(any, sampler);
  expect<atom::ended, std::uint32_t, interface_report>(sampler, job);
  EXPECT_TRUE(dead(sampler));
  expect<caf::down_msg>(any, local);
  // Everything is written: the savefile is sealed, the end is reported.
  expect<atom::progress, job_record>(job, registry);
  const auto seal = expect<atom::seal, job_record>(job, storage);
  ASSERT_TRUE(seal);
  EXPECT_EQ(std::get<1>(*seal).reason, end_reason::packet_limit);
  EXPECT_EQ(std::get<1>(*seal).interfaces.at(0).packets_captured, 2u);
  expect<caf::down_msg>(any, job); // the sampler's, which said goodbye before
  expect<job_record>(storage, job);
  EXPECT_TRUE(dead(job));
  expect<atom::finished, job_record, bool>(job, registry);
  expect<caf::down_msg>(any, registry); // an end, not a death
  expect<caf::down_msg>(any, fleet);    // it need not hear of nodes any more
  EXPECT_TRUE(idle());
  EXPECT_EQ(get(record->id).phase, job_phase::succeeded);
}

// -- limits -------------------------------------------------------------------

TEST_F(Engine, CutsTheBatchThatCrossesThePacketLimit) {
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(70);
  run();
  host.on("eth0").deliver_packets(70);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  expect_whole(record, 100);
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(Engine, EndsAtTheEdgeOfABatch) {
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(100);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  expect_whole(record, 100);
}

TEST_F(Engine, SharesThePacketLimitBetweenSamplers) {
  const auto job = create(spec(100));
  // Both batches are under way before the job sees either.
  host.on("eth0").deliver_packets(60);
  host.on("eth1").deliver_packets(60);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  expect_whole(record, 100);
  EXPECT_EQ(record.interfaces[0].packets_captured, 60u);
  EXPECT_EQ(record.interfaces[1].packets_captured, 40u);
}

TEST_F(Engine, EndsWhenTheTimeLimitHasPassed) {
  const auto job = create(spec(100, 60));
  host.on("eth0").deliver_packets(7);
  advance(59s + 900ms);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  advance(100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  expect_whole(record, 7);
  EXPECT_GE(*record.finished - record.submitted, unix_ns{60'000'000'000});
}

TEST_F(Engine, CountsTheTimeLimitFromAcceptance) {
  start_engine();
  auto pending = create_later(spec(100, 10));
  // The insert is slow: storage sees it three seconds after acceptance.
  expect<atom::create, job_spec, std::string>(self, registry);
  advance_only(3s);
  run();
  const auto job = receive_record(pending);
  ASSERT_TRUE(job);
  advance(6s + 900ms);
  EXPECT_EQ(get(job->id).phase, job_phase::capturing);
  advance(200ms);
  EXPECT_EQ(get(job->id).reason, end_reason::time_limit);
}

TEST_F(Engine, SucceedsWithAnEmptyFileWhenNothingMatched) {
  const auto job = create(spec(100, 5));
  advance(5s);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  expect_whole(record, 0);
}

TEST_F(Engine, TellsTheSourcesWhatTheJobWants) {
  auto wanted = spec(42, 9);
  wanted.filter.source_port = 53;
  const auto job = create(wanted);
  const auto& options = host.on("eth1").options();
  EXPECT_EQ(options.interface, "eth1");
  EXPECT_EQ(options.filter, wanted.filter);
  EXPECT_EQ(options.packet_limit, 42u);
  EXPECT_EQ(options.not_after, job.submitted + unix_ns{9'000'000'000});
}

// -- stop ---------------------------------------------------------------------

TEST_F(Engine, KeepsWhatWasCapturedWhenStopped) {
  const auto job = create(spec());
  host.on("eth0").deliver_packets(5);
  run();
  ASSERT_TRUE(stop(job.id));
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::stopped);
  EXPECT_TRUE(record.stop_requested);
  expect_whole(record, 5);
}

TEST_F(Engine, SaysThatAStopIsNotDurable) {
  const auto job = create(spec());
  host.on("eth0").deliver_packets(5);
  run();
  disk->fail_stop = true;
  EXPECT_EQ(failure_of(stop(job.id)).code, errc::storage_unavailable);
  // It was stopped all the same, so that asking again says yes.
  EXPECT_EQ(get(job.id).reason, end_reason::stopped);
  EXPECT_TRUE(stop(job.id));
}

TEST_F(Engine, StopsATerminalJobAgainWithoutEffect) {
  const auto job = create(spec(1));
  host.on("eth0").deliver_packets(1);
  run();
  ASSERT_TRUE(stop(job.id));
  ASSERT_TRUE(stop(job.id));
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
}

TEST_F(Engine, TakesWhatSamplersDrainAfterAStop) {
  const auto job = create(spec());
  host.on("eth0").hold_on_stop();
  ASSERT_TRUE(stop(job.id));
  EXPECT_EQ(get(job.id).phase, job_phase::draining);
  host.on("eth0").deliver_packets(3);
  run();
  ASSERT_TRUE(stop(job.id)); // once more while it drains
  EXPECT_EQ(get(job.id).phase, job_phase::draining);
  host.on("eth0").end();
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::stopped);
  expect_whole(record, 3);
}

TEST_F(Engine, WaitsForASamplerThatDoesNotDrainOnlyUntilItsTimeout) {
  const auto job = create(spec());
  host.on("eth0").hold_on_stop();
  host.on("eth1").deliver_packets(2);
  ASSERT_TRUE(stop(job.id));
  advance(registry_opts.job.drain_timeout - 100ms);
  EXPECT_EQ(get(job.id).phase, job_phase::draining);
  advance(200ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.interfaces[0].phase, sampler_phase::failed);
  EXPECT_EQ(record.interfaces[0].error, "did not drain in time");
  expect_whole(record, 2);
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(Engine, StopsAJobBeforeItsSamplersExist) {
  start_engine();
  auto pending = create_later(spec());
  while (!self->has_next_message() && step()) {
  }
  const auto job = receive_record(pending);
  ASSERT_TRUE(job);
  ASSERT_TRUE(stop(job->id));
  const auto record = get(job->id);
  EXPECT_EQ(record.reason, end_reason::stopped);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(host.alive(), 0u);
}

// -- interfaces that fail -----------------------------------------------------

TEST_F(Engine, GoesOnWithoutASamplerThatFails) {
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(4);
  host.on("eth0").end(
    capture_error{capture_errc::interface_down, "read eth0: went down"});
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  host.on("eth1").deliver_packets(6);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.interfaces[0].phase, sampler_phase::failed);
  EXPECT_EQ(record.interfaces[0].error, "read eth0: went down");
  expect_whole(record, 10);
}

TEST_F(Engine, GoesOnWithoutAnInterfaceThatCannotBeOpened) {
  host.refuse("eth0", {capture_errc::no_such_interface,
                       "open interface eth0: No such device"});
  const auto job = create(spec(10));
  host.on("eth1").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.interfaces[0].error, "open interface eth0: No such device");
  EXPECT_FALSE(record.interfaces[0].packets_matched);
}

TEST_F(Engine, EndsWithInterfaceLostWhenNoSamplerIsLeft) {
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(4);
  const capture_error gone{capture_errc::no_such_interface, "gone"};
  host.on("eth0").end(gone);
  host.on("eth1").end(gone);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::interface_lost);
  EXPECT_EQ(record.phase, job_phase::succeeded) << "it keeps its packets";
  EXPECT_EQ(record.error_message, "no interface is left: eth1: gone");
  expect_whole(record, 4);
}

TEST_F(Engine, FailsWhenNoInterfaceCouldBeOpened) {
  host.refuse("eth0", {capture_errc::not_permitted, "not permitted"});
  host.refuse("eth1", {capture_errc::not_permitted, "not permitted"});
  const auto job = create(spec(10));
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::interface_lost);
}

TEST_F(Engine, FailsWhenTheSystemHasNoInterface) {
  node_opts.systems["lab"] = {{"wlan*", 1, 160, false}};
  const auto job = create(spec(10));
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::interface_lost);
  EXPECT_EQ(record.error_message, "system lab has no interface now");
}

TEST_F(Engine, FailsWhenNoNodeAnswers) {
  start_engine();
  self->send_exit(local, caf::exit_reason::kill);
  run();
  const auto job = create(spec(10, 60));
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::node_lost);
}

// -- backpressure -------------------------------------------------------------

TEST_F(Engine, GivesCreditBackWhenStorageHasTheBatch) {
  registry_opts.job.credit_bytes = 256u << 10;
  disk->hold_appends = true;
  create(spec(10000));
  auto& eth0 = host.on("eth0");
  const auto full = eth0.credit();
  const auto batch = make_batch(1000);
  eth0.deliver(batch);
  run();
  EXPECT_EQ(eth0.credit(), full - batch.size_bytes());
  release_appends();
  EXPECT_EQ(eth0.credit(), full);
}

TEST_F(Engine, GivesCreditBackInQuarters) {
  registry_opts.job.credit_bytes = 256u << 10;
  create(spec(10000));
  auto& eth0 = host.on("eth0");
  const auto full = eth0.credit();
  const auto batch = make_batch(400); // 30,400 bytes
  for (const auto owed : {1u, 2u, 0u, 1u}) {
    eth0.deliver(batch);
    run();
    EXPECT_EQ(eth0.credit(), full - owed * batch.size_bytes());
  }
}

TEST_F(Engine, SpendsNoMoreThanItsCreditOnASlowDisk) {
  registry_opts.job.credit_bytes = 256u << 10;
  disk->hold_appends = true;
  const auto job = create(spec(10000));
  auto& eth0 = host.on("eth0");
  for (int i = 0; i < 10; ++i)
    eth0.deliver_packets(900); // 68,400 bytes each
  run();
  EXPECT_EQ(eth0.backlog(), 7u);
  EXPECT_EQ(disk->held.size(), 3u);
  release_appends();
  EXPECT_EQ(eth0.backlog(), 0u);
  EXPECT_EQ(disk->packets(job.id), 9000u);
}

// -- storage that fails -------------------------------------------------------

TEST_F(Engine, RefusesAJobThatCannotBeMadeDurable) {
  limiter_opts.collect = {1, 60};
  disk->fail_insert = true;
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::storage_unavailable);
  // The refused request has not used up the account's minute.
  disk->fail_insert = false;
  EXPECT_TRUE(try_create(spec()));
}

TEST_F(Engine, WithdrawsAJobThatStorageConfirmedTooLate) {
  start_engine();
  disk->hold_inserts = true;
  auto pending = create_later(spec());
  advance(request_timeout + 1s, 100ms);
  const auto answer = receive_record(pending);
  EXPECT_TRUE(failure_of(answer).timeout);
  // The client was told no; the row that was written must not look alive.
  ASSERT_EQ(disk->records.size(), 1u);
  EXPECT_EQ(disk->records.begin()->second.phase, job_phase::failed);
  EXPECT_EQ(disk->refunded.size(), 1u) << "nor cost its account anything";
  EXPECT_EQ(disk->refunded.at(0), disk->records.begin()->first);
  EXPECT_EQ(ask<engine_stats>(registry, atom::stats_v)->jobs_running, 0u);
}

TEST_F(Engine, WithdrawsUntilStorageHasIt) {
  start_engine();
  disk->hold_inserts = true;
  disk->fail_fail = true;
  auto pending = create_later(spec());
  advance(request_timeout + 10s, 100ms);
  EXPECT_TRUE(failure_of(receive_record(pending)).timeout);
  ASSERT_EQ(disk->records.size(), 1u);
  EXPECT_EQ(disk->records.begin()->second.phase, job_phase::pending);
  disk->fail_fail = false;
  advance(10s, 100ms);
  EXPECT_EQ(disk->records.begin()->second.phase, job_phase::failed);
}

TEST_F(Engine, FailsWhenAnAppendFails) {
  disk->appends_until_failure = 1;
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(10);
  run();
  host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_error);
  EXPECT_EQ(record.error_message, "store packets: append: Input/output error");
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(Engine, FailsWhenTheAppendAtTheLimitFails) {
  disk->appends_until_failure = 0;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_error);
}

TEST_F(Engine, KeepsWhatFitsWhenThereIsNoRoomForMore) {
  for (const auto& [code, reason] :
       {std::pair{errc::storage_full, end_reason::storage_full},
        std::pair{errc::quota_reached, end_reason::quota}}) {
    disk->appends_until_failure = 1;
    disk->append_failure = code;
    const auto job = create(spec(100));
    host.on("eth0").deliver_packets(10);
    run();
    host.on("eth1").deliver_packets(7);
    run();
    const auto record = get(job.id);
    EXPECT_EQ(record.phase, job_phase::succeeded);
    EXPECT_EQ(record.reason, reason);
    EXPECT_EQ(record.error_message,
              "store packets: append: Input/output error");
    EXPECT_EQ(record.packets_captured, 10u);
    EXPECT_EQ(record.bytes_captured, 10u * 60);
    ASSERT_EQ(record.interfaces.size(), 2u);
    EXPECT_EQ(record.interfaces[0].packets_captured, 10u);
    EXPECT_EQ(record.interfaces[1].packets_captured, 0u);
    EXPECT_EQ(record.interfaces[1].dropped_by_us, 7u) << "what did not fit";
    EXPECT_EQ(record.interfaces[1].phase, sampler_phase::ended)
      << "it drained, for it got its credit back";
    EXPECT_EQ(host.alive(), 0u);
  }
}

TEST_F(Engine, FailsWhenThereIsNoRoomForAnything) {
  disk->appends_until_failure = 0;
  disk->append_failure = errc::storage_full;
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_full);
  EXPECT_EQ(record.packets_captured, 0u);
}

TEST_F(Engine, SaysThatThereWasNoRoomForThePacketsOfTheLimit) {
  disk->appends_until_failure = 1;
  disk->append_failure = errc::storage_full;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(4);
  run();
  host.on("eth0").deliver_packets(6);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_EQ(get(job.id).reason, end_reason::storage_full);
  EXPECT_EQ(get(job.id).packets_captured, 4u);
}

TEST_F(Engine, FailsWhenStorageNeverAnswersAnAppend) {
  disk->hold_appends = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  advance(request_timeout - 1s, 100ms);
  EXPECT_FALSE(is_terminal(get(job.id).phase));
  advance(2s, 100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_error);
  EXPECT_EQ(record.error_message,
            "store packets: storage has not answered for 10 s");
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(Engine, LeavesStorageItsTimeForEachAppend) {
  disk->hold_appends = true;
  const auto job = create(spec(100));
  for (int i = 0; i < 3; ++i) {
    host.on("eth0").deliver_packets(10);
    advance(request_timeout - 2s, 100ms);
    EXPECT_EQ(get(job.id).phase, job_phase::capturing);
    release_appends();
    disk->hold_appends = true;
  }
  host.on("eth0").deliver_packets(10);
  advance(request_timeout + 1s, 100ms);
  EXPECT_EQ(get(job.id).reason, end_reason::storage_error);
}

// Its sampler must have credit to drain, and what storage answers late must not
// count.
TEST_F(Engine, DrainsAfterStorageHasNotAnswered) {
  registry_opts.job.credit_bytes = 64u << 10;
  disk->hold_appends = true;
  const auto job = create(spec(10000));
  auto& eth0 = host.on("eth0");
  eth0.hold_on_stop();
  eth0.deliver_packets(800); // 60,800 bytes
  eth0.deliver_packets(100);
  run();
  EXPECT_EQ(eth0.backlog(), 1u);
  advance(request_timeout + 1s, 100ms);
  EXPECT_EQ(eth0.backlog(), 0u);
  EXPECT_EQ(get(job.id).phase, job_phase::draining);
  EXPECT_EQ(get(job.id).reason, end_reason::storage_error);
  release_appends();
  eth0.end();
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::failed);
  EXPECT_EQ(get(job.id).packets_captured, 900u);
  EXPECT_EQ(host.alive(), 0u);
}

// After a crash before that, the job might end otherwise.
TEST_F(Engine, TellsOfAnEndWhenItIsDurable) {
  disk->fail_seal = true;
  disk->fail_fail = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  advance(20s, 100ms);
  EXPECT_EQ(get(job.id).phase, job_phase::sealing);
  EXPECT_EQ(disk->records[job.id].phase, job_phase::pending);
  disk->fail_fail = false;
  advance(10s, 100ms);
  EXPECT_EQ(disk->records[job.id].phase, job_phase::failed);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_error);
}

// Its end became durable, but nobody heard of that before it was removed.
TEST_F(Engine, LetsGoOfAJobThatStorageHasRemoved) {
  disk->fail_seal = true;
  disk->fail_fail = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  run();
  EXPECT_EQ(ask<engine_stats>(registry, atom::stats_v)->jobs_running, 1u);
  disk->records.clear();
  disk->fail_fail_unknown = true;
  advance(10s, 100ms);
  EXPECT_EQ(ask<engine_stats>(registry, atom::stats_v)->jobs_running, 0u);
}

// The page comes before the job says that it has ended.
TEST_F(Engine, TellsNothingOlderThanAListDid) {
  disk->fail_seal = true;
  disk->fail_fail = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  run();
  ASSERT_EQ(get(job.id).phase, job_phase::sealing);
  disk->records[job.id].phase = job_phase::failed;
  list_query query;
  query.account_id = account;
  const auto page = ask<shared_job_page>(registry, atom::list_v, query);
  ASSERT_TRUE(page);
  EXPECT_EQ((*page)->jobs.front().phase, job_phase::failed);
  EXPECT_EQ(get(job.id).phase, job_phase::failed);
}

// To give up on it would lose packets that are whole.
TEST_F(Engine, WaitsForASealHoweverLongItTakes) {
  disk->hold_seals = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  advance(1h, 1min);
  EXPECT_EQ(get(job.id).phase, job_phase::sealing);
  ASSERT_EQ(disk->held_seals.size(), 1u);
  self->send(storage, atom::work_v);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
}

TEST_F(Engine, AsksAStorageThatHangsOnceForEachEnd) {
  disk->fail_seal = true;
  disk->hold_fails = true;
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(10);
  advance(1h, 1s);
  EXPECT_EQ(disk->held_fails.size(), 1u);
  // Those who want it gone wait, but not all that there may be.
  const auto erase = [&] {
    return failure_of(
      ask<caf::ok_atom>(registry, atom::erase_v, std::string{account}, job.id));
  };
  for (int n = 0; n < 16; ++n)
    EXPECT_TRUE(erase().timeout) << n;
  EXPECT_EQ(erase().code, errc::storage_unavailable);
}

// -- admission ----------------------------------------------------------------

TEST_F(Engine, AdmitsOneCollectRequestPerMinuteAndAccount) {
  limiter_opts.collect = {1, 60};
  create(spec());
  advance(20s, 1s);
  const auto refused = failure_of(try_create(spec()));
  EXPECT_EQ(refused.code, errc::rate_limited);
  EXPECT_EQ(refused.exhausted.retry_after_ms, 40000u);
  auto foreign = spec();
  foreign.account_id = other_account;
  EXPECT_TRUE(try_create(foreign));
  advance(40s, 1s);
  EXPECT_TRUE(try_create(spec()));
}

TEST_F(Engine, RefusesAnUnknownSystemWithoutSpendingTheAllowance) {
  limiter_opts.collect = {1, 60};
  auto wanted = spec();
  wanted.system = "nowhere";
  EXPECT_EQ(failure_of(try_create(wanted)).code, errc::unknown_system);
  EXPECT_TRUE(try_create(spec()));
}

TEST_F(Engine, RefusesMoreJobsThanMayRun) {
  registry_opts.running_jobs = 2;
  const auto first = create(spec());
  create(spec());
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
  ASSERT_TRUE(stop(first.id));
  EXPECT_TRUE(try_create(spec()));
}

// -- looking ------------------------------------------------------------------

TEST_F(Engine, LooksAtSamplersThatHaveSomethingNewOnly) {
  const auto& pace = registry_opts.job;
  const auto job = create(spec(100));
  auto& source = host.on("eth0");
  settle();
  settle();
  const auto asked = source.times_asked;
  EXPECT_GT(asked, 0u);
  advance(20s);
  EXPECT_EQ(source.times_asked, asked);
  // What comes then is told soon.
  source.deliver_packets(1);
  advance(pace.progress_interval);
  EXPECT_EQ(get(job.id).packets_captured, 1u);
  advance(2 * pace.old_node_interval); // It is asked once more, to be sure.
  source.counters.dropped_by_kernel = 3;
  advance(20s);
  EXPECT_FALSE(get(job.id).interfaces[0].dropped_by_kernel);
  source.tell_counters();
  advance(pace.progress_interval);
  EXPECT_EQ(get(job.id).interfaces[0].dropped_by_kernel, 3u);
}

TEST_F(Engine, ShowsProgressWhileItRuns) {
  const auto job = create(spec(100));
  host.on("eth0").counters.packets_matched = 33;
  host.on("eth0").deliver_packets(33);
  settle();
  settle();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::capturing);
  EXPECT_EQ(record.packets_captured, 33u);
  ASSERT_EQ(record.interfaces.size(), 2u);
  EXPECT_EQ(record.interfaces[0].packets_captured, 33u);
  EXPECT_EQ(record.interfaces[0].packets_matched, 33u);
  EXPECT_FALSE(record.interfaces[1].packets_matched) << "unknown is not zero";
  const auto page = ask<shared_job_page>(registry, atom::list_v,
                                         list_query{account, 1, 50, "", ""});
  ASSERT_TRUE(page);
  ASSERT_EQ((*page)->jobs.size(), 1u);
  EXPECT_EQ((*page)->jobs[0].packets_captured, 33u);
}

TEST_F(Engine, KeepsAccountsApart) {
  const auto job = create(spec());
  const std::string foreign = other_account;
  EXPECT_EQ(
    failure_of(ask<job_record>(registry, atom::get_v, foreign, job.id)).code,
    errc::unknown_job);
  EXPECT_EQ(
    failure_of(ask<job_record>(registry, atom::stop_v, foreign, job.id)).code,
    errc::unknown_job);
  EXPECT_EQ(
    failure_of(ask<caf::ok_atom>(registry, atom::erase_v, foreign, job.id))
      .code,
    errc::unknown_job);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
}

TEST_F(Engine, RefusesADownloadThatIsNotReady) {
  const auto job = create(spec());
  const auto answer
    = ask<savefile>(registry, atom::download_v, std::string{account}, job.id,
                    savefile_format::pcap);
  EXPECT_EQ(failure_of(answer).code, errc::not_ready);
}

TEST_F(Engine, RemembersAFinishedJobThatWasAskedFor) {
  const auto job = create(spec(5));
  host.on("eth0").deliver_packets(5);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  disk->records.clear();
  EXPECT_EQ(get(job.id).packets_captured, 5u) << "storage was asked again";
  EXPECT_EQ(failure_of(ask<job_record>(registry, atom::get_v,
                                       std::string{other_account}, job.id))
              .code,
            errc::unknown_job);
}

TEST_F(Engine, ForgetsAJobThatRetentionRemoves) {
  const auto job = create(spec(5));
  host.on("eth0").deliver_packets(5);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  disk->expiring = {job.id};
  caf::anon_send(storage, atom::sweep_v, std::uint64_t{0});
  run();
  EXPECT_EQ(failure_of(ask<job_record>(registry, atom::get_v,
                                       std::string{account}, job.id))
              .code,
            errc::unknown_job);
}

TEST_F(Engine, ForgetsAJobThatAClientRemoves) {
  const auto job = create(spec(5));
  host.on("eth0").deliver_packets(5);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  EXPECT_TRUE(
    ask<caf::ok_atom>(registry, atom::erase_v, std::string{account}, job.id));
  EXPECT_EQ(failure_of(ask<job_record>(registry, atom::get_v,
                                       std::string{account}, job.id))
              .code,
            errc::unknown_job);
}

TEST_F(Engine, ForgetsAJobWhoseRemovalWasNotAnsweredInTime) {
  const auto job = create(spec(5));
  host.on("eth0").deliver_packets(5);
  run();
  EXPECT_EQ(get(job.id).phase, job_phase::succeeded);
  disk->hold_erases = true;
  auto pending
    = ask_later(registry, atom::erase_v, std::string{account}, job.id);
  run();
  EXPECT_EQ(failure_of(ask<job_record>(registry, atom::get_v,
                                       std::string{account}, job.id))
              .code,
            errc::unknown_job);
  disk->held_erases.clear();
  EXPECT_FALSE(receive_answer<caf::ok_atom>(pending));
}

TEST_F(Engine, RemovesARunningJobOnceItHasEnded) {
  const auto job = create(spec());
  host.on("eth0").hold_on_stop();
  auto pending
    = ask_later(registry, atom::erase_v, std::string{account}, job.id);
  run();
  EXPECT_FALSE(receive_answer<caf::ok_atom>(pending)) << "it still drains";
  host.on("eth0").end();
  run();
  EXPECT_TRUE(receive_answer<caf::ok_atom>(pending));
  EXPECT_EQ(disk->records.count(job.id), 0u);
}

TEST_F(Engine, CountsWhatItDid) {
  const auto job = create(spec(5));
  host.on("eth0").counters.dropped_by_kernel = 3;
  host.on("eth0").deliver_packets(5);
  run();
  create(spec(5));
  const auto stats = ask<engine_stats>(registry, atom::stats_v);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->jobs_created, 2u);
  EXPECT_EQ(stats->jobs_running, 1u);
  ASSERT_EQ(stats->outcomes.size(), 1u);
  EXPECT_EQ(stats->outcomes[0].reason, end_reason::packet_limit);
  EXPECT_EQ(stats->bytes_captured, get(job.id).bytes_captured);
  EXPECT_EQ(stats->interfaces[0].packets_captured, 5u);
  EXPECT_EQ(stats->interfaces[0].dropped_by_kernel, 3u);
}

// -- death and shutdown -------------------------------------------------------

TEST_F(Engine, SealsWhatAJobLeftWhoseActorDied) {
  const auto job = create(spec());
  host.on("eth0").deliver_packets(8);
  settle();
  self->send_exit(job_of(job.id), caf::exit_reason::unhandled_exception);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::shutdown);
  EXPECT_EQ(host.alive(), 0u) << "samplers outlive their job";
}

TEST_F(Engine, SealsEveryRunningJobOnShutdown) {
  const auto first = create(spec());
  const auto second = create(spec());
  host.on("eth0").deliver_packets(2); // the second job's source
  host.on("eth1").hold_on_stop();
  auto pending = ask_later(registry, atom::shutdown_v);
  run();
  EXPECT_FALSE(receive_answer<caf::ok_atom>(pending)) << "one still drains";
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::shutting_down);
  host.on("eth1").end();
  run();
  EXPECT_TRUE(receive_answer<caf::ok_atom>(pending));
  EXPECT_EQ(disk->records[first.id].reason, end_reason::shutdown);
  EXPECT_EQ(disk->records[second.id].phase, job_phase::succeeded);
  EXPECT_EQ(disk->packets(second.id), 2u);
}

TEST_F(Engine, AnswersAShutdownWithNothingRunningAtOnce) {
  start_engine();
  EXPECT_TRUE(ask<caf::ok_atom>(registry, atom::shutdown_v));
}

} // namespace edgecap::test

#include "tests/support/engine_fixture.hpp"

#include <string>
#include <vector>

// Creates with an idempotency key, message by message: one key, one job,
// whatever the requests' timing and whatever became of the first.
namespace edgecap::test {

using namespace std::chrono_literals;

class Idempotency : public engine_fixture {
protected:
  static constexpr const char* key = "8e03978e-40d5-43e8-bc93-6894a57f9324";

  /// Asks for a job; delivers nothing.
  auto create_later(const job_spec& wanted) {
    return ask_later(registry, atom::create_v, wanted, std::string{key});
  }

  /// What a client that asks again gets to see.
  creation replay(const job_spec& wanted) {
    auto answer = create_with_key(key, wanted);
    EXPECT_TRUE(answer) << failure_of(answer).text;
    return answer ? *answer : creation{};
  }
};

TEST_F(Idempotency, LooksForTheKeyBeforeItDrawsOnTheAllowance) {
  using text = std::string;
  start_engine();
  auto first = create_later(spec());
  expect<atom::create, job_spec, text>(self, registry);
  const auto recall = expect<atom::recall, text, text>(registry, storage);
  ASSERT_TRUE(recall);
  EXPECT_EQ(std::get<1>(*recall), account);
  EXPECT_EQ(std::get<2>(*recall), key);
  expect<caf::error>(storage, registry); // nobody has it
  expect<atom::acquire, text, allowance>(registry, limiter);
  expect<admission>(limiter, registry);
  const auto insert = expect<atom::insert, job_record, text>(registry, storage);
  ASSERT_TRUE(insert);
  EXPECT_EQ(std::get<2>(*insert), key) << "durable together with the job";
  EXPECT_FALSE(self->has_next_message()) << "not known to be durable";
  expect<caf::ok_atom>(storage, registry);
  const auto made = receive_answer<creation>(first);
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->replayed);
  run();
  // Again: storage is asked, and nobody else.
  auto second = create_later(spec());
  expect<atom::create, job_spec, text>(self, registry);
  expect<atom::recall, text, text>(registry, storage);
  expect<job_record>(storage, registry);
  EXPECT_EQ(next_message(limiter), "<none>");
  const auto replayed = receive_answer<creation>(second);
  ASSERT_TRUE(replayed);
  EXPECT_TRUE(replayed->replayed);
  EXPECT_EQ(replayed->record.id, made->record.id);
}

TEST_F(Idempotency, AsksNobodyAboutRequestsWithoutAKey) {
  start_engine();
  const auto first = create(spec());
  const auto second = create(spec());
  EXPECT_NE(first.id, second.id);
  EXPECT_TRUE(disk->keys.empty());
}

TEST_F(Idempotency, ReplaysAtTheEndOfTheAllowanceAndOfTheRoom) {
  limiter_opts.collect = {1, 60};
  registry_opts.running_jobs = 1;
  const auto made = replay(spec());
  EXPECT_FALSE(made.replayed);
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
  EXPECT_EQ(replay(spec()).record.id, made.record.id);
  ASSERT_TRUE(stop(made.record.id));
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::rate_limited);
  EXPECT_EQ(replay(spec()).record.id, made.record.id);
  EXPECT_EQ(disk->records.size(), 1u);
}

TEST_F(Idempotency, ShowsTheJobAsItIsNow) {
  const auto made = replay(spec(10));
  host.on("eth0").deliver_packets(4);
  run();
  settle();
  const auto running = replay(spec(10)).record;
  EXPECT_EQ(running.phase, job_phase::capturing);
  EXPECT_EQ(running.packets_captured, 4u);
  host.on("eth0").deliver_packets(6);
  run();
  const auto ended = replay(spec(10));
  EXPECT_TRUE(ended.replayed);
  EXPECT_EQ(ended.record.id, made.record.id);
  EXPECT_EQ(ended.record.phase, job_phase::succeeded);
}

TEST_F(Idempotency, RefusesAKeyThatBelongsToAnotherRequest) {
  const auto made = replay(spec(10));
  auto others = std::vector<job_spec>(4, spec(10));
  others[0].packet_limit = 11;
  others[1].time_limit_s = 61;
  others[2].filter.protocol = 17;
  others[3].type = "full";
  for (const auto& other : others)
    EXPECT_EQ(failure_of(create_with_key(key, other)).code, errc::key_reused);
  EXPECT_EQ(disk->records.size(), 1u);
  EXPECT_EQ(replay(spec(10)).record.id, made.record.id);
}

// -- at the same time ---------------------------------------------------------

TEST_F(Idempotency, AnswersConcurrentRequestsWithOneJob) {
  limiter_opts.collect = {1, 60};
  start_engine();
  auto first = create_later(spec());
  auto second = create_later(spec());
  auto third = create_later(spec());
  run();
  const auto made = receive_answer<creation>(first);
  ASSERT_TRUE(made) << failure_of(made).text;
  EXPECT_FALSE(made->replayed);
  for (auto* later : {&second, &third}) {
    const auto same = receive_answer<creation>(*later);
    ASSERT_TRUE(same) << failure_of(same).text;
    EXPECT_TRUE(same->replayed);
    EXPECT_EQ(same->record.id, made->record.id);
  }
  EXPECT_EQ(disk->records.size(), 1u);
}

TEST_F(Idempotency, RefusesAnotherRequestWhileTheFirstIsUnderWay) {
  start_engine();
  auto first = create_later(spec(10));
  auto other = create_later(spec(11));
  run();
  EXPECT_TRUE(receive_answer<creation>(first));
  EXPECT_EQ(failure_of(receive_answer<creation>(other)).code, errc::key_reused);
}

TEST_F(Idempotency, TellsAllOfThemOfAFailureAndBeginsAnew) {
  start_engine();
  disk->fail_insert = true;
  auto first = create_later(spec());
  auto second = create_later(spec());
  run();
  for (auto* pending : {&first, &second})
    EXPECT_EQ(failure_of(receive_answer<creation>(*pending)).code,
              errc::storage_unavailable);
  disk->fail_insert = false;
  EXPECT_FALSE(replay(spec()).replayed) << "nothing had been made";
}

TEST_F(Idempotency, KeepsAccountsApart) {
  start_engine();
  auto stranger = spec();
  stranger.account_id = other_account;
  auto first = create_later(spec());
  auto second = create_later(stranger);
  run();
  const auto ours = receive_answer<creation>(first);
  const auto theirs = receive_answer<creation>(second);
  ASSERT_TRUE(ours && theirs);
  EXPECT_FALSE(theirs->replayed);
  EXPECT_NE(ours->record.id, theirs->record.id);
  EXPECT_EQ(replay(spec()).record.id, ours->record.id);
  EXPECT_EQ(replay(stranger).record.id, theirs->record.id);
}

// -- when things go wrong -----------------------------------------------------

TEST_F(Idempotency, MakesNothingIfItCannotLookForTheKey) {
  start_engine();
  disk->fail_recall = true;
  EXPECT_EQ(failure_of(create_with_key(key, spec())).code,
            errc::storage_unavailable);
  EXPECT_TRUE(disk->records.empty());
}

TEST_F(Idempotency, LeadsToTheJobOfAClientThatHasStoppedWaiting) {
  start_engine();
  disk->hold_inserts = true;
  auto first = create_later(spec());
  run();
  ASSERT_EQ(disk->records.size(), 1u) << "written, not confirmed";
  // The client's patience ends before storage's; it asks again.
  auto second = create_later(spec());
  run();
  EXPECT_FALSE(self->has_next_message()) << "waits with the first";
  disk->hold_inserts = false;
  self->send(storage, atom::work_v);
  run();
  const auto made = receive_answer<creation>(first);
  const auto same = receive_answer<creation>(second);
  ASSERT_TRUE(made && same);
  EXPECT_TRUE(same->replayed);
  EXPECT_EQ(same->record.id, made->record.id);
  EXPECT_EQ(get(made->record.id).phase, job_phase::capturing);
}

TEST_F(Idempotency, LeadsToAJobThatWasWithdrawn) {
  start_engine();
  disk->hold_inserts = true;
  auto first = create_later(spec());
  advance(request_timeout + 1s, 100ms);
  EXPECT_TRUE(failure_of(receive_answer<creation>(first)).timeout);
  disk->hold_inserts = false;
  const auto again = replay(spec());
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.record.phase, job_phase::failed);
  EXPECT_EQ(again.record.reason, end_reason::storage_error);
  EXPECT_EQ(disk->records.size(), 1u);
}

TEST_F(Idempotency, BeginsAnewAfterADelete) {
  const auto made = replay(spec());
  const auto gone = ask<caf::ok_atom>(registry, atom::erase_v,
                                      std::string{account}, made.record.id);
  ASSERT_TRUE(gone) << failure_of(gone).text;
  const auto again = replay(spec());
  EXPECT_FALSE(again.replayed);
  EXPECT_NE(again.record.id, made.record.id);
}

TEST_F(Idempotency, MakesNothingOnceTheProcessEnds) {
  start_engine();
  auto pending = create_later(spec());
  expect<atom::create, job_spec, std::string>(self, registry);
  // The order to end comes while storage looks for the key.
  EXPECT_TRUE(ask<caf::ok_atom>(registry, atom::shutdown_v));
  EXPECT_EQ(failure_of(receive_answer<creation>(pending)).code,
            errc::shutting_down);
  EXPECT_TRUE(disk->records.empty());
}

} // namespace edgecap::test

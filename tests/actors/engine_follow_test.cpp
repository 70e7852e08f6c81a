#include "tests/support/engine_fixture.hpp"
#include "tests/support/recording_follower.hpp"

#include <gmock/gmock.h>

// Those who follow a job while it runs, from the engine's front door.
namespace edgecap::test {

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

struct EngineFollow : engine_fixture {
  caf::expected<caf::ok_atom> follow(const std::string& id,
                                     const follower_ptr& whom,
                                     const char* of = account) {
    return ask<caf::ok_atom>(registry, atom::follow_v, std::string{of}, id,
                             whom);
  }

  std::shared_ptr<recording_follower> who
    = std::make_shared<recording_follower>();
};

} // namespace

TEST_F(EngineFollow, ShowsExactlyWhatTheJobCounts) {
  const auto job = create(spec(100));
  host.on("eth0").deliver_packets(10);
  run();
  ASSERT_TRUE(follow(job.id, who));
  host.on("eth1").deliver_packets(20);
  host.on("eth0").deliver_packets(90); // 70 of them fit
  run();
  EXPECT_EQ(who->link, capture::link_type::ethernet);
  EXPECT_EQ(who->packets(), 90u) << "from the moment it was asked for";
  EXPECT_THAT(who->ends, ElementsAre(true));
  EXPECT_EQ(get(job.id).packets_captured, 100u);
}

TEST_F(EngineFollow, WaitsForInterfacesThatAreStillClosed) {
  host.leave_closed("eth1");
  const auto job = create(spec());
  ASSERT_TRUE(follow(job.id, who));
  host.on("eth0").deliver_packets(3);
  run();
  EXPECT_EQ(who->begins, 0);
  host.on("eth1").open(capture::link_type::raw);
  run();
  EXPECT_EQ(who->link, capture::link_type::linux_sll2);
  EXPECT_EQ(who->packets(), 3u);
}

TEST_F(EngineFollow, CountsAnInterfaceThatFailsAsSettled) {
  host.leave_closed("eth1");
  const auto job = create(spec());
  ASSERT_TRUE(follow(job.id, who));
  host.on("eth1").end(capture::capture_error{
    capture::capture_errc::interface_down, "open eth1: is down"});
  run();
  EXPECT_EQ(who->link, capture::link_type::ethernet);
}

TEST_F(EngineFollow, ShowsWhatDrainsAfterAStop) {
  const auto job = create(spec());
  ASSERT_TRUE(follow(job.id, who));
  host.on("eth0").hold_on_stop();
  ASSERT_TRUE(stop(job.id));
  host.on("eth0").deliver_packets(5);
  run();
  EXPECT_EQ(who->packets(), 5u);
  EXPECT_THAT(who->ends, IsEmpty());
  host.on("eth0").end();
  run();
  EXPECT_THAT(who->ends, ElementsAre(true));
}

TEST_F(EngineFollow, IsRefusedWhereNothingRuns) {
  start_engine();
  const auto unknown = follow(std::string(32, '0'), who);
  EXPECT_EQ(failure_of(unknown).code, errc::unknown_job);
  const auto job = create(spec(1));
  EXPECT_EQ(failure_of(follow(job.id, who, other_account)).code,
            errc::unknown_job);
  host.on("eth0").hold_on_stop();
  ASSERT_TRUE(stop(job.id));
  EXPECT_EQ(failure_of(follow(job.id, who)).code, errc::not_running)
    << "it drains";
  host.on("eth0").end();
  run();
  const auto over = failure_of(follow(job.id, who));
  EXPECT_EQ(over.code, errc::not_running);
  EXPECT_THAT(over.text, testing::HasSubstr(job.id));
  EXPECT_EQ(who->begins, 0);
  EXPECT_THAT(who->ends, IsEmpty());
}

TEST_F(EngineFollow, LetsSoManyFollowAndNoMore) {
  registry_opts.job.max_followers = 2;
  const auto job = create(spec());
  const auto leaves = std::make_shared<recording_follower>();
  ASSERT_TRUE(follow(job.id, who));
  ASSERT_TRUE(follow(job.id, leaves));
  const auto third = std::make_shared<recording_follower>();
  EXPECT_EQ(failure_of(follow(job.id, third)).code, errc::too_many_followers);
  leaves->gone = true;
  host.on("eth0").deliver_packets(1);
  run();
  EXPECT_TRUE(follow(job.id, third)) << "a place is free again";
}

TEST_F(EngineFollow, LearnsThatTheSupervisorDied) {
  const auto job = create(spec());
  ASSERT_TRUE(follow(job.id, who));
  self->send_exit(
    state_of<job_registry_state>(registry).running.at(job.id).handle,
    caf::exit_reason::kill);
  run();
  EXPECT_THAT(who->ends, ElementsAre(false));
}

TEST_F(EngineFollow, DoesNotHoldTheCaptureUp) {
  // Storage does not answer: the follower sees packets before they are safe,
  // and the job waits for storage, not for it.
  const auto job = create(spec());
  ASSERT_TRUE(follow(job.id, who));
  disk->hold_appends = true;
  host.on("eth0").deliver_packets(4);
  run();
  EXPECT_EQ(who->packets(), 4u);
  release_appends();
  EXPECT_EQ(disk->packets(job.id), 4u);
}

} // namespace edgecap::test

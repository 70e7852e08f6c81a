#include "tests/support/engine_fixture.hpp"
#include "tests/support/recording_follower.hpp"

#include <gmock/gmock.h>

// Limits of the job registry that change while jobs run.
namespace edgecap::test {

class EngineLimits : public engine_fixture {
protected:
  caf::expected<caf::ok_atom> set_limits(std::uint32_t running_jobs,
                                         std::uint32_t max_followers) {
    return ask<caf::ok_atom>(registry, atom::limits_v,
                             registry_limits{running_jobs, max_followers});
  }

  caf::expected<caf::ok_atom> follow(const std::string& id) {
    return ask<caf::ok_atom>(
      registry, atom::follow_v, std::string{account}, id,
      follower_ptr{std::make_shared<recording_follower>()});
  }
};

TEST_F(EngineLimits, LetsMoreJobsRun) {
  registry_opts.running_jobs = 1;
  create(spec());
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
  ASSERT_TRUE(set_limits(2, 8));
  create(spec());
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
}

TEST_F(EngineLimits, LetsFewerJobsRunWithoutEndingAny) {
  const auto first = create(spec());
  const auto second = create(spec());
  ASSERT_TRUE(set_limits(1, 8));
  EXPECT_EQ(get(first.id).phase, job_phase::capturing);
  EXPECT_EQ(get(second.id).phase, job_phase::capturing);
  ASSERT_TRUE(stop(first.id));
  run();
  EXPECT_EQ(get(first.id).phase, job_phase::succeeded);
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
  ASSERT_TRUE(stop(second.id));
  run();
  create(spec());
}

TEST_F(EngineLimits, LetsMoreFollowOfTheNextJobOn) {
  registry_opts.job.max_followers = 1;
  const auto before = create(spec());
  ASSERT_TRUE(follow(before.id));
  ASSERT_TRUE(set_limits(256, 2));
  EXPECT_EQ(failure_of(follow(before.id)).code, errc::too_many_followers);
  const auto after = create(spec());
  ASSERT_TRUE(follow(after.id));
  ASSERT_TRUE(follow(after.id));
  EXPECT_EQ(failure_of(follow(after.id)).code, errc::too_many_followers);
}

TEST_F(EngineLimits, StayIfOthersAreImpossible) {
  registry_opts.running_jobs = 1;
  create(spec());
  EXPECT_EQ(failure_of(set_limits(0, 8)).text,
            "registry: no running jobs allowed");
  EXPECT_EQ(failure_of(set_limits(8, 0)).text,
            "registry: no followers allowed");
  EXPECT_EQ(failure_of(try_create(spec())).code, errc::too_many_jobs);
}

} // namespace edgecap::test

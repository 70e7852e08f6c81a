#include "config/reload.hpp"
#include "config/secret_check.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

namespace edgecap::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The configuration of the quick start, whose secrets everyone knows.
std::string demo(const std::string& sections = "") {
  return slurp("deploy/quickstart.yaml") + sections;
}

TEST(ReloadTest, TakesWhatMayChangeAndNamesTheRest) {
  const auto running = load_text(minimal).values;
  const auto result
    = plan_reload(running, load_text(minimal
                                     + "limits: {running_jobs: 3}\n"
                                       "http: {threads: 4}\n"));
  EXPECT_THAT(result.faults, IsEmpty());
  EXPECT_EQ(result.values.limits.running_jobs, 3u);
  EXPECT_EQ(result.values.http.threads, running.http.threads);
  ASSERT_EQ(result.changes.size(), 2u);
  EXPECT_EQ(result.changes[0].path, "limits.running_jobs");
  EXPECT_FALSE(result.changes[0].needs_restart);
  EXPECT_EQ(result.changes[1].path, "http.threads");
  EXPECT_TRUE(result.changes[1].needs_restart);
}

TEST(ReloadTest, NamesWhatNeedsARestartEachTime) {
  const auto running = load_text(minimal).values;
  const auto file = load_text(minimal + "http: {threads: 4}\n");
  const auto first = plan_reload(running, file);
  EXPECT_EQ(plan_reload(first.values, file).changes.size(), 1u);
}

TEST(ReloadTest, TakesNothingOfAFaultyFile) {
  const auto result
    = plan_reload(load_text(minimal).values,
                  load_text(minimal + "limits: {running_jobs: 3, foo: 1}\n"));
  ASSERT_EQ(result.faults.size(), 1u);
  EXPECT_EQ(result.faults[0].path, "limits.foo");
  EXPECT_EQ(result.faults[0].line, 8);
  EXPECT_THAT(result.changes, IsEmpty());
}

TEST(ReloadTest, JudgesWhatIsNewBesideWhatStays) {
  // The file is right: it listens on loopback. The process does not yet.
  const auto running
    = load_text(minimal + "listen: {address: 0.0.0.0, behind_proxy: true}\n");
  ASSERT_THAT(running.faults, IsEmpty());
  const auto file = load_text(demo());
  ASSERT_THAT(file.faults, IsEmpty());
  const auto result = plan_reload(running.values, file);
  ASSERT_FALSE(result.faults.empty());
  EXPECT_THAT(result.faults[0].message, HasSubstr("demo secret"));
  EXPECT_GT(result.faults[0].line, 1);
}

} // namespace
} // namespace edgecap::config

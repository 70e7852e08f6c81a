#include "actors/download_leases.hpp"

#include <gtest/gtest.h>

namespace edgecap::test {

namespace {

using namespace std::chrono_literals;

constexpr auto pause = download_leases::continuation_time;

capture::shared_descriptor make_file() {
  return std::make_shared<const int>(0);
}

} // namespace

TEST(DownloadLeases, HoldForAsLongAsADownloadLasts) {
  download_leases aut;
  download_leases::time_point now{1h};
  EXPECT_FALSE(aut.hold("a", now, 1h));
  auto first = make_file();
  auto second = make_file();
  aut.add("a", first, now);
  aut.add("a", second, now);
  now += 30min;
  EXPECT_TRUE(aut.hold("a", now, 1h));
  EXPECT_FALSE(aut.hold("b", now, 1h));
  first.reset();
  now += 2 * pause;
  EXPECT_TRUE(aut.hold("a", now, 1h));
  second.reset();
  now += pause;
  EXPECT_TRUE(aut.hold("a", now, 1h)) << "it may be continued";
  now += 1ns;
  EXPECT_FALSE(aut.hold("a", now, 1h));
  EXPECT_EQ(aut.size(), 0u);
}

TEST(DownloadLeases, HoldNobodyForEver) {
  download_leases aut;
  download_leases::time_point now{1h};
  const auto file = make_file();
  aut.add("a", file, now);
  now += 10h;
  EXPECT_TRUE(aut.hold("a", now, 1h)) << "it was not asked for before";
  now += 59min;
  EXPECT_TRUE(aut.hold("a", now, 1h));
  const auto another = make_file();
  aut.add("a", another, now); // does not begin the time anew
  now += 1min;
  EXPECT_FALSE(aut.hold("a", now, 1h));
  EXPECT_FALSE(aut.hold("a", now, 0s));
}

TEST(DownloadLeases, ForgetWhatIsOver) {
  download_leases aut;
  download_leases::time_point now{1h};
  auto file = make_file();
  aut.add("a", file, now);
  aut.add("b", make_file(), now);
  now += pause + 1s;
  aut.prune(now);
  EXPECT_EQ(aut.size(), 1u);
  aut.forget("a");
  EXPECT_FALSE(aut.hold("a", now, 1h));
}

TEST(DownloadLeases, AreLimited) {
  download_leases aut;
  download_leases::time_point now{1h};
  const auto file = make_file();
  for (std::size_t i = 0; i < download_leases::max_jobs; ++i)
    aut.add(std::to_string(i), file, now);
  aut.add("one more", file, now);
  EXPECT_FALSE(aut.hold("one more", now, 1h));
  EXPECT_TRUE(aut.hold("0", now, 1h));
  aut.add("0", make_file(), now);
  EXPECT_EQ(aut.size(), download_leases::max_jobs);
}

} // namespace edgecap::test

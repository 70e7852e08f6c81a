#include "actors/clock_comparison.hpp"

#include <gtest/gtest.h>

using namespace edgecap;
using namespace std::chrono_literals;

TEST(ClockComparison, KnowsNothingBeforeAnAnswer) {
  EXPECT_FALSE(clock_comparison{}.reading());
}

TEST(ClockComparison, TakesTheAnswerForOneOfTheMiddle) {
  clock_comparison aut;
  aut.add(1000, 200ns, 1600);
  ASSERT_TRUE(aut.reading());
  EXPECT_EQ(aut.reading()->offset_ns, 500);
  EXPECT_EQ(aut.reading()->error_ns, 100u);
}

TEST(ClockComparison, BelievesTheShortestRoundTrip) {
  clock_comparison aut;
  aut.add(0, 1000ns, 100);
  aut.add(0, 10ns, -2005);
  aut.add(0, 500ns, 7);
  EXPECT_EQ(aut.reading()->offset_ns, -2010);
  EXPECT_EQ(aut.reading()->error_ns, 5u);
}

TEST(ClockComparison, ForgetsWhatIsOld) {
  clock_comparison aut;
  aut.add(0, 0ns, 1'000'000);
  for (std::size_t i = 0; i < clock_comparison::remembered; ++i)
    aut.add(0, 100ns, 50);
  EXPECT_EQ(aut.reading()->offset_ns, 0) << "the clock was set since";
}

#include "actors/log_event.hpp"

#include <gtest/gtest.h>

namespace edgecap::test {

TEST(LogEvent, IsAnEventWithFields) {
  EXPECT_EQ(log_event{"job-finished"}
              .with("job", "abc")
              .with("packets", std::uint64_t{7})
              .with("late", false)
              .text(),
            R"("event":"job-finished","job":"abc","packets":7,"late":false)");
}

TEST(LogEvent, LetsNothingForgeAFieldOrALine) {
  EXPECT_EQ(log_event{"e"}.with("x", "a\",\"b\":\"c\nd\x01").text(),
            R"("event":"e","x":"a\",\"b\":\"c\nd\u0001")");
}

TEST(LogEvent, TakesTextThatIsNoUtf8) {
  EXPECT_EQ(log_event{"e"}.with("x", "\xff").text(),
            R"("event":"e","x":"\ufffd")");
}

TEST(LogEvent, CutsLongValues) {
  EXPECT_LT(log_event{"e"}.with("x", std::string(100000, 'x')).text().size(),
            2100u);
}

} // namespace edgecap::test

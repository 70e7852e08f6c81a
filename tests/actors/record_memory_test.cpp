#include "actors/record_memory.hpp"

#include <gtest/gtest.h>

#include <string>

namespace edgecap::test {

namespace {

job_record record_of(const std::string& id, std::uint64_t packets = 0) {
  job_record result;
  result.id = id;
  result.packets_captured = packets;
  return result;
}

} // namespace

TEST(RecordMemory, KnowsWhatWasAdded) {
  record_memory aut{2};
  EXPECT_EQ(aut.find("a"), nullptr);
  aut.add(record_of("a", 7));
  ASSERT_NE(aut.find("a"), nullptr);
  EXPECT_EQ(aut.find("a")->packets_captured, 7u);
}

TEST(RecordMemory, ForgetsWhatWasNotUsedForLongest) {
  record_memory aut{2};
  aut.add(record_of("a"));
  aut.add(record_of("b"));
  aut.find("a");
  aut.add(record_of("c"));
  EXPECT_NE(aut.find("a"), nullptr);
  EXPECT_EQ(aut.find("b"), nullptr);
  EXPECT_NE(aut.find("c"), nullptr);
  EXPECT_EQ(aut.size(), 2u);
}

TEST(RecordMemory, ReplacesWhatItKnew) {
  record_memory aut{2};
  aut.add(record_of("a", 7));
  aut.add(record_of("a", 8));
  EXPECT_EQ(aut.find("a")->packets_captured, 8u);
  EXPECT_EQ(aut.size(), 1u);
}

TEST(RecordMemory, ForgetsWhatIsGone) {
  record_memory aut{2};
  aut.add(record_of("a"));
  aut.add(record_of("b"));
  aut.forget("a");
  aut.forget("unknown");
  EXPECT_EQ(aut.find("a"), nullptr);
  EXPECT_NE(aut.find("b"), nullptr);
  EXPECT_EQ(aut.size(), 1u);
}

} // namespace edgecap::test

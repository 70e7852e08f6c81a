#include "actors/index_memory.hpp"

#include <gtest/gtest.h>

#include <memory>
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

TEST(RecordMemory, ForgetsWhatChanges) {
  record_memory aut{2};
  aut.add(record_of("a"));
  aut.add(record_of("b"));
  aut.forget("a");
  aut.forget("unknown");
  EXPECT_EQ(aut.find("a"), nullptr);
  EXPECT_NE(aut.find("b"), nullptr);
  EXPECT_EQ(aut.size(), 1u);
}

TEST(PageMemory, TellsQueriesApartAndForgetsAll) {
  page_memory aut{2};
  list_query one;
  one.account_id = "a";
  auto other = one;
  other.page = 2;
  const auto page = std::make_shared<const job_page>();
  aut.add(one, page);
  EXPECT_EQ(aut.find(one), page);
  EXPECT_EQ(aut.find(other), nullptr);
  aut.forget();
  EXPECT_EQ(aut.find(one), nullptr);
}

TEST(PageMemory, HoldsNoMoreThanItsCapacity) {
  page_memory aut{2};
  list_query query;
  const auto page = std::make_shared<const job_page>();
  for (std::uint32_t i = 1; i <= 3; ++i) {
    query.page = i;
    aut.add(query, page);
  }
  EXPECT_NE(aut.find(query), nullptr);
  query.page = 1;
  EXPECT_EQ(aut.find(query), nullptr);
}

} // namespace edgecap::test

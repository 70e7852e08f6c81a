#include "actors/page_memory.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace edgecap::test {

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

TEST(PageMemory, RemembersNoPageOfThousandsOfInterfaces) {
  page_memory aut{2};
  job_page page;
  page.jobs.resize(2);
  page.jobs[0].interfaces.resize(page_memory::max_interfaces);
  aut.add({}, std::make_shared<const job_page>(page));
  EXPECT_NE(aut.find({}), nullptr);
  aut.forget();
  page.jobs[1].interfaces.resize(1);
  aut.add({}, std::make_shared<const job_page>(page));
  EXPECT_EQ(aut.find({}), nullptr);
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

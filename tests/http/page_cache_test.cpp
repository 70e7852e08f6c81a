#include "http/page_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace edgecap::http {

namespace {

using ::testing::HasSubstr;

shared_job_page make_page(std::string id) {
  job_page page;
  page.jobs.emplace_back().id = std::move(id);
  page.total_count = 1;
  return std::make_shared<const job_page>(std::move(page));
}

TEST(PageCache, AnswersEachPageWithItsOwnText) {
  page_cache cache;
  const auto one = make_page("one");
  const auto two = make_page("two");
  for (auto i = 0; i < 2; ++i) {
    EXPECT_THAT(cache.response_of(one, {}).body, HasSubstr(R"("id":"one")"));
    EXPECT_THAT(cache.response_of(two, {}).body, HasSubstr(R"("id":"two")"));
  }
  EXPECT_EQ(cache.response_of(one, {}).content_type, "application/json");
}

TEST(PageCache, RendersAPageOnce) {
  page_cache cache;
  auto page = std::make_shared<job_page>();
  cache.response_of(page, {});
  // Nobody does this; it shows whether the page is looked at again.
  page->jobs.emplace_back().id = "late";
  EXPECT_THAT(cache.response_of(page, {}).body, HasSubstr(R"("result":[])"));
}

TEST(PageCache, ForgetsTheOldest) {
  page_cache cache;
  const auto first = make_page("first");
  cache.response_of(first, {});
  EXPECT_EQ(first.use_count(), 2);
  for (std::size_t i = 0; i < page_cache::max_pages; ++i)
    cache.response_of(make_page("other"), {});
  EXPECT_EQ(first.use_count(), 1);
  EXPECT_THAT(cache.response_of(first, {}).body, HasSubstr("first"));
}

} // namespace

} // namespace edgecap::http

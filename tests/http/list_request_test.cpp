#include "http/list_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

using namespace edgecap::http;
using testing::HasSubstr;

namespace {

using query_type = std::vector<std::pair<std::string, std::string>>;

} // namespace

TEST(ListRequestTest, HasDefaults) {
  const auto query = parse_list_request({});
  ASSERT_TRUE(query);
  EXPECT_EQ(query->page, 1u);
  EXPECT_EQ(query->per_page, 50u);
  EXPECT_EQ(query->status, "");
  EXPECT_EQ(query->type, "");
  EXPECT_EQ(query->account_id, "");
}

TEST(ListRequestTest, TakesEachParameterAndIgnoresOthers) {
  const auto query = parse_list_request({{"page", "1000000"},
                                         {"per_page", "1"},
                                         {"status", "pending"},
                                         {"type", "simple"},
                                         {"account_id", "x"},
                                         {"", "y"},
                                         {"PAGE", "0"}});
  ASSERT_TRUE(query);
  EXPECT_EQ(query->page, 1000000u);
  EXPECT_EQ(query->per_page, 1u);
  EXPECT_EQ(query->status, "pending");
  EXPECT_EQ(query->type, "simple");
  EXPECT_EQ(query->account_id, "");
}

TEST(ListRequestTest, TakesEveryStatusAndTypeOfTheApi) {
  for (const std::string word :
       {"unknown", "success", "pending", "running", "conversion_pending",
        "conversion_running", "complete", "failed"}) {
    const auto query = parse_list_request({{"status", word}});
    ASSERT_TRUE(query) << word;
    EXPECT_EQ(query->status, word);
  }
  for (const std::string word : {"simple", "full"}) {
    const auto query = parse_list_request({{"type", word}});
    ASSERT_TRUE(query) << word;
    EXPECT_EQ(query->type, word);
  }
}

TEST(ListRequestTest, RefusesWhatIsOutOfRangeOrNoNumber) {
  for (const auto* value :
       {"", "0", "-1", "+1", " 1", "1 ", "1.0", "1e1", "0x1", "x", "1,2",
        "4294967297", "99999999999999999999"})
    for (const auto* name : {"page", "per_page"}) {
      const auto query = parse_list_request({{name, value}});
      ASSERT_FALSE(query) << name << '=' << value;
      ASSERT_EQ(query.error().size(), 1u);
      const auto& error = query.error().front();
      EXPECT_EQ(error.status, 400);
      EXPECT_EQ(error.code, code::bad_query);
      EXPECT_EQ(error.pointer, ""); // A pointer is into the body.
      EXPECT_THAT(error.message, HasSubstr(name));
    }
  EXPECT_TRUE(parse_list_request({{"per_page", "50"}}));
  EXPECT_FALSE(parse_list_request({{"per_page", "51"}}));
  EXPECT_FALSE(parse_list_request({{"page", "1000001"}}));
}

TEST(ListRequestTest, RefusesUnknownWords) {
  for (const auto* value : {"", "Pending", "pending ", "capturing"})
    EXPECT_FALSE(parse_list_request({{"status", value}})) << value;
  for (const auto* value : {"", "SIMPLE", "lite"})
    EXPECT_FALSE(parse_list_request({{"type", value}})) << value;
}

TEST(ListRequestTest, ReportsEveryFaultAndBoundsItsWords) {
  const std::string huge(100'000, '9');
  const auto query = parse_list_request(
    {{"page", "0"}, {"per_page", huge}, {"status", "x"}, {"type", "y"}});
  ASSERT_FALSE(query);
  ASSERT_EQ(query.error().size(), 4u);
  EXPECT_EQ(query.error()[0].message,
            "page is '0'; it must be a whole number from 1 to 1000000");
  for (const auto& x : query.error())
    EXPECT_LT(x.message.size(), 250u);
}

#include "http/percent.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace edgecap::http;
using testing::ElementsAre;
using testing::Pair;

TEST(PercentTest, LeavesPlainTextAlone) {
  EXPECT_EQ(percent_decode("abc-._~"), "abc-._~");
  EXPECT_EQ(percent_decode(""), "");
}

TEST(PercentTest, DecodesBothCases) {
  EXPECT_EQ(percent_decode("%41%6a%6A"), "Ajj");
  EXPECT_EQ(percent_decode("%2525"), "%25");
}

TEST(PercentTest, DecodesBytesThatNoIdContains) {
  EXPECT_EQ(percent_decode("a%00b"), std::string("a\0b", 3));
  EXPECT_EQ(percent_decode("a%2Fb"), "a/b");
  EXPECT_EQ(percent_decode("%ff"), "\xff");
}

TEST(PercentTest, KeepsPlusInASegment) {
  EXPECT_EQ(percent_decode("a+b"), "a+b");
}

TEST(PercentTest, RefusesBadEscapes) {
  for (const auto* text :
       {"%", "%4", "%zz", "%4g", "%g4", "a%", "%%41", "%-1", "%+1", "% 1"})
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
}

TEST(QueryTest, SplitsAndDecodes) {
  EXPECT_THAT(*parse_query("page=2&name=a%20b+c"),
              ElementsAre(Pair("page", "2"), Pair("name", "a b c")));
}

TEST(QueryTest, KeepsDuplicatesInOrder) {
  EXPECT_THAT(*parse_query("a=1&b=2&a=3"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("a", "3")));
}

TEST(QueryTest, TakesParametersWithoutValue) {
  EXPECT_THAT(*parse_query("a&b=&=c&&"),
              ElementsAre(Pair("a", ""), Pair("b", ""), Pair("", "c")));
  EXPECT_TRUE(parse_query("")->empty());
}

TEST(QueryTest, SplitsBeforeItDecodes) {
  EXPECT_THAT(*parse_query("a=1%26b%3D2"), ElementsAre(Pair("a", "1&b=2")));
  EXPECT_THAT(*parse_query("a=b=c"), ElementsAre(Pair("a", "b=c")));
}

TEST(QueryTest, RefusesBadEscapes) {
  EXPECT_EQ(parse_query("a=%"), std::nullopt);
  EXPECT_EQ(parse_query("%zz=1"), std::nullopt);
}

TEST(QueryTest, RefusesTooManyParameters) {
  std::string query;
  for (std::size_t i = 0; i < max_query_parameters; ++i)
    query += "a=1&";
  EXPECT_EQ(parse_query(query)->size(), max_query_parameters);
  EXPECT_EQ(parse_query(query + "a=1"), std::nullopt);
}

#include "http/openapi.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

using namespace edgecap::http;

namespace {

std::string header(const response& from, const std::string& name) {
  for (const auto& [key, value] : from.headers)
    if (key == name)
      return value;
  return "<none>";
}

} // namespace

TEST(OpenapiTest, IsServedAsJson) {
  const auto x = openapi_response({});
  EXPECT_EQ(x.status, 200);
  EXPECT_EQ(x.content_type, "application/json");
  EXPECT_EQ(header(x, "Cache-Control"), "no-cache");
  EXPECT_EQ(header(x, "ETag").size(), 34u);
  const auto body = nlohmann::json::parse(x.body);
  EXPECT_EQ(body.at("openapi"), "3.1.0");
  // Quoted keys stay text, numbers are numbers.
  const auto& schemas = body.at("components").at("schemas");
  const auto& create = schemas.at("CreatePcap").at("properties");
  EXPECT_EQ(create.at("time_limit").at("maximum"), 300);
}

TEST(OpenapiTest, IsNotSentAgainToAClientThatHasIt) {
  const auto etag = header(openapi_response({}), "ETag");
  request asked;
  for (const auto& list :
       {etag, "W/" + etag, "\"x\", " + etag, std::string{"*"}}) {
    asked.headers["if-none-match"] = list;
    const auto x = openapi_response(asked);
    EXPECT_EQ(x.status, 304) << list;
    EXPECT_EQ(x.body, "");
    EXPECT_EQ(x.content_type, "");
    EXPECT_EQ(header(x, "ETag"), etag);
  }
  asked.headers["if-none-match"] = "\"other\"";
  EXPECT_EQ(openapi_response(asked).status, 200);
}

// The route table and the description of the API are the same list.
#include "http/handlers.hpp"
#include "http/openapi.hpp"
#include "http/router.hpp"
#include "http/routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <regex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

using namespace edgecap::http;
using nlohmann::json;

namespace {

using operation = std::pair<std::string, std::string>;

const std::map<method, std::string> names{
  {method::get, "get"},         {method::head, "head"},
  {method::post, "post"},       {method::put, "put"},
  {method::patch, "patch"},     {method::del, "delete"},
  {method::options, "options"},
};

/// Routes without anybody to handle them: nothing here calls one.
std::vector<route> routes() {
  return make_routes(nullptr);
}

/// `/x/:name` as the description writes it, `/x/{name}`.
std::string described(const std::string& pattern) {
  return std::regex_replace(pattern, std::regex{":([a-z_]+)"}, "{$1}");
}

/// What the table serves, with the HEAD that comes with each GET.
std::set<operation> served() {
  std::set<operation> result;
  for (const auto& x : routes()) {
    result.emplace(names.at(x.method), described(x.pattern));
    if (x.method == method::get)
      result.emplace("head", described(x.pattern));
  }
  return result;
}

std::set<operation> documented() {
  std::set<operation> result;
  const auto paths = json::parse(openapi_json).at("paths");
  for (const auto& [path, item] : paths.items())
    for (const auto& [name, value] : item.items())
      if (name != "parameters")
        result.emplace(name, path);
  return result;
}

} // namespace

TEST(RoutesTest, AreThoseOfTheDescription) {
  EXPECT_EQ(served(), documented());
}

TEST(RoutesTest, DifferFromEachOther) {
  const auto table = routes();
  std::set<operation> different;
  for (const auto& x : table)
    different.emplace(names.at(x.method), x.pattern);
  EXPECT_EQ(different.size(), table.size());
}

TEST(RoutesTest, HaveHandlers) {
  for (const auto& x : routes())
    EXPECT_TRUE(x.handle) << x.pattern;
}

TEST(RoutesTest, AreFound) {
  const router table{routes()};
  const std::string base = "/client/v4/accounts/a/pcaps";
  struct row {
    method asked;
    std::string path;
    std::string pattern;
    std::unordered_map<std::string, std::string> params;
  };
  const std::string pattern = "/client/v4/accounts/:account_id/pcaps";
  const row rows[] = {
    {method::post, base, pattern, {{"account_id", "a"}}},
    {method::head, base, pattern, {{"account_id", "a"}}},
    {method::get,
     base + "/p",
     pattern + "/:pcap_id",
     {{"account_id", "a"}, {"pcap_id", "p"}}},
    {method::get,
     base + "/p/download",
     pattern + "/:pcap_id/download",
     {{"account_id", "a"}, {"pcap_id", "p"}}},
    // A literal is not an id.
    {method::get,
     base + "/ownership",
     pattern + "/ownership",
     {{"account_id", "a"}}},
    {method::del,
     base + "/ownership/o",
     pattern + "/ownership/:ownership_id",
     {{"account_id", "a"}, {"ownership_id", "o"}}},
    {method::get, "/openapi.json", "/openapi.json", {}},
  };
  for (const auto& x : rows) {
    const auto found = table.find(x.asked, x.path);
    ASSERT_NE(found.route, nullptr) << x.path;
    EXPECT_EQ(found.route->pattern, x.pattern);
    EXPECT_EQ(found.params, x.params);
  }
}

TEST(RoutesTest, SayWhichOtherMethodsThereAre) {
  const router table{routes()};
  const auto base = std::string{"/client/v4/accounts/a/pcaps"};
  EXPECT_EQ(table.find(method::put, base).allowed, "GET, HEAD, POST");
  EXPECT_EQ(table.find(method::post, base + "/p/stop").allowed, "PUT");
  EXPECT_EQ(table.find(method::get, base + "/p/stream/x").allowed, "");
}

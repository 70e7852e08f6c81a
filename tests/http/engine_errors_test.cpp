#include "http/engine_errors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <string>

using namespace edgecap;
using namespace edgecap::http;

namespace {

const std::string text = "read /var/lib/edgecap/index: Input/output error";

failure ours(errc code) {
  failure result;
  result.ours = true;
  result.code = code;
  result.text = text;
  return result;
}

std::string header(const response& from, const std::string& name) {
  for (const auto& [key, value] : from.headers)
    if (key == name)
      return value;
  return "<none>";
}

} // namespace

TEST(EngineErrorsTest, HaveStatusAndCode) {
  struct row {
    errc from;
    int status;
    int code;
    bool internal; ///< Whether the text stays inside.
    const char* pointer;
  };
  const row rows[] = {
    {errc::unknown_job, 404, 20200, false, ""},
    {errc::unknown_system, 400, 20107, false, "/system"},
    {errc::rate_limited, 429, 20300, false, ""},
    {errc::too_many_jobs, 503, 20301, false, ""},
    {errc::not_running, 404, 20205, false, ""},
    {errc::too_many_followers, 503, 20308, false, ""},
    {errc::not_ready, 404, 20201, false, ""},
    {errc::no_savefile, 404, 20202, false, ""},
    {errc::storage_unavailable, 503, 20304, true, ""},
    {errc::storage_full, 507, 20305, true, ""},
    {errc::no_interface, 500, 20307, true, ""},
    {errc::shutting_down, 503, 20303, false, ""},
    {errc::invalid_options, 500, 20307, true, ""},
    {errc::key_reused, 422, 20109, false, ""},
    {errc::storage_lost, 503, 20304, false, ""},
    {errc::quota_reached, 507, 20310, false, ""},
    {errc::index_damaged, 503, 20304, false, ""},
    {errc::node_refused, 500, 20307, true, ""},
  };
  for (const auto& x : rows) {
    const auto error = to_api_error(ours(x.from));
    EXPECT_EQ(error.status, x.status) << to_string(x.from);
    EXPECT_EQ(error.code, x.code) << to_string(x.from);
    EXPECT_EQ(error.pointer, x.pointer) << to_string(x.from);
    EXPECT_EQ(is_internal(ours(x.from)), x.internal) << to_string(x.from);
    EXPECT_FALSE(error.message.empty()) << to_string(x.from);
    EXPECT_EQ(error.message == text, !x.internal) << to_string(x.from);
  }
  // A code that is new in the engine must be added here, too.
  EXPECT_EQ(std::size(rows), static_cast<std::size_t>(errc::node_refused));
}

TEST(EngineErrorsTest, HideWhatIsNotOurs) {
  failure dead;
  dead.text = "request_receiver_down";
  EXPECT_EQ(to_api_error(dead).status, 500);
  EXPECT_EQ(to_api_error(dead).code, code::internal);
  EXPECT_EQ(to_api_error(dead).message, "Internal error");
  EXPECT_TRUE(is_internal(dead));
  failure late;
  late.timeout = true;
  late.text = "request_timeout";
  EXPECT_EQ(to_api_error(late).status, 504);
  EXPECT_EQ(to_api_error(late).code, code::engine_timeout);
  EXPECT_TRUE(is_internal(late));
}

// -- rate limit headers -------------------------------------------------------

TEST(RatelimitHeadersTest, TellWhatIsLeft) {
  struct row {
    allowance_state state;
    const char* ratelimit;
    const char* policy;
  };
  for (const auto& x : {
         row{{1200, 300, 1199, 0},
             "\"default\";r=1199;t=300",
             "\"default\";q=1200;w=300"},
         // The last one was granted: back after the window at the latest.
         row{{1, 60, 0, 0}, "\"default\";r=0;t=60", "\"default\";q=1;w=60"},
         row{{1, 60, 0, 1500}, "\"default\";r=0;t=2", "\"default\";q=1;w=60"},
         row{{0, 0, 0, 59'001}, "\"default\";r=0;t=60", "<none>"},
       }) {
    response answer;
    add_ratelimit_headers(answer, x.state);
    EXPECT_EQ(header(answer, "Ratelimit"), x.ratelimit);
    EXPECT_EQ(header(answer, "Ratelimit-Policy"), x.policy);
  }
}

TEST(RatelimitHeadersTest, RoundUpSoThatWhoeverWaitsIsAdmitted) {
  struct row {
    std::uint64_t wait_ms;
    const char* seconds;
    const char* milliseconds;
  };
  for (const auto& x : {
         row{0, "1", "1"},
         row{1, "1", "1"},
         row{999, "1", "999"},
         row{1000, "1", "1000"},
         row{1001, "2", "1001"},
         row{59'001, "60", "59001"},
         row{60'000, "60", "60000"},
         row{std::numeric_limits<std::uint64_t>::max(), "18446744073709552",
             "18446744073709551615"},
       }) {
    const auto answer
      = rate_limited_response("Too many", {1, 60, 0, x.wait_ms});
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(header(answer, "Retry-After"), x.seconds) << x.wait_ms;
    EXPECT_EQ(header(answer, "retry-after-ms"), x.milliseconds) << x.wait_ms;
    EXPECT_EQ(header(answer, "Ratelimit"),
              "\"default\";r=0;t=" + std::string{x.seconds});
    EXPECT_EQ(header(answer, "Ratelimit-Policy"), "\"default\";q=1;w=60");
    const auto error = nlohmann::json::parse(answer.body).at("errors").at(0);
    EXPECT_EQ(error.at("code"), code::rate_limited);
    EXPECT_EQ(error.at("message"), "Too many");
  }
}

TEST(RatelimitHeadersTest, ShowNothingLeftWhenRefused) {
  const auto answer = rate_limited_response("Too many", {9, 60, 5, 100});
  EXPECT_EQ(header(answer, "Ratelimit"), "\"default\";r=0;t=1");
}

#include "http/audit.hpp"
#include "tests/support/captured_log.hpp"

#include <gtest/gtest.h>

using namespace edgecap::http;
using edgecap::test::captured_log;
using nlohmann::json;

namespace {

audit_entry entry() {
  audit_entry x;
  x.action = "create";
  x.account_id = "023e105f4ecef8ad9ca31a8372d0c353";
  x.credential = "laptop";
  x.client_address = "192.0.2.1";
  x.job_id = "0123456789abcdef0123456789abcdef";
  x.status = 200;
  return x;
}

json line_of(const audit_entry& x) {
  captured_log log;
  audit(x);
  const auto lines = log.events("audit");
  EXPECT_EQ(lines.size(), 1u);
  return lines.empty() ? json{} : lines.front();
}

} // namespace

TEST(AuditTest, SaysWhoDidWhat) {
  auto x = entry();
  x.system = "lab";
  x.filter = R"({"protocol":6})";
  x.colo_name = "ams01";
  EXPECT_EQ(line_of(x), json({{"event", "audit"},
                              {"action", "create"},
                              {"outcome", "done"},
                              {"account", x.account_id},
                              {"credential", "laptop"},
                              {"client", "192.0.2.1"},
                              {"job", x.job_id},
                              {"status", 200},
                              {"system", "lab"},
                              {"filter", R"({"protocol":6})"},
                              {"colo_name", "ams01"}}));
}

TEST(AuditTest, SaysWhatWasRefusedAndWhy) {
  auto x = entry();
  x.credential = "";
  x.job_id = "";
  x.status = 403;
  x.code = 10000;
  EXPECT_EQ(line_of(x), json({{"event", "audit"},
                              {"action", "create"},
                              {"outcome", "refused"},
                              {"account", x.account_id},
                              {"credential", ""},
                              {"client", "192.0.2.1"},
                              {"job", ""},
                              {"status", 403},
                              {"code", 10000}}));
}

TEST(AuditTest, TellsTheBytesOfADownloadEvenIfNone) {
  auto x = entry();
  EXPECT_FALSE(line_of(x).contains("bytes"));
  x.bytes = 0;
  EXPECT_EQ(line_of(x).at("bytes"), 0);
  for (const auto status : {200, 206, 304})
    EXPECT_EQ((x.status = status, line_of(x).at("outcome")), "done");
  for (const auto status : {400, 404, 429})
    EXPECT_EQ((x.status = status, line_of(x).at("outcome")), "refused");
  for (const auto status : {500, 503, 507})
    EXPECT_EQ((x.status = status, line_of(x).at("outcome")), "failed");
}

TEST(AuditTest, CannotBeForged) {
  auto x = entry();
  x.account_id = "x\",\"outcome\":\"done\"}\n{\"event\":\"audit";
  x.client_address = "\xff";
  x.status = 403;
  const auto line = line_of(x); // One line, or it would not parse.
  EXPECT_EQ(line.at("account"), x.account_id);
  EXPECT_EQ(line.at("outcome"), "refused");
}

#include "http/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <sstream>
#include <string>

using namespace edgecap;
using namespace edgecap::http;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

namespace {

/// Series (name and labels) to value. Fails on a line that is neither a comment
/// nor a sample, and on a series that is there twice.
std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> result;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) == 0 || line.rfind("# TYPE ", 0) == 0)
      continue;
    const auto space = line.rfind(' ');
    if (space == std::string::npos) {
      ADD_FAILURE() << "no sample: " << line;
      continue;
    }
    const auto fresh
      = result.emplace(line.substr(0, space), std::stod(line.substr(space + 1)))
          .second;
    EXPECT_TRUE(fresh) << "twice: " << line;
  }
  return result;
}

/// Takes the one series out of them that is a moment of real time.
double take_moment(std::map<std::string, double>& series) {
  auto moment = series.extract("edgecap_config_last_success_timestamp_seconds");
  return moment.empty() ? -1 : moment.mapped();
}

metrics_snapshot full_snapshot() {
  metrics_snapshot now;
  now.engine.emplace();
  now.engine->jobs_created = 5;
  now.engine->jobs_running = 2;
  now.engine->bytes_captured = 7000;
  now.engine->outcomes = {{end_reason::packet_limit, true, 2},
                          {end_reason::interface_lost, false, 1}};
  now.engine->interfaces = {{"node-1", "eth0", 70, 1, 2, 3}};
  now.storage.emplace();
  now.storage->jobs = 3;
  now.storage->savefile_bytes = 4096;
  now.storage->free_bytes = 1u << 30;
  now.storage->expired_jobs = 9;
  now.storage->unsealed_bytes = 21;
  now.storage->reserve_bytes = 25;
  now.storage->full = true;
  now.storage->quota_bytes = 22;
  now.storage->quota_jobs = 23;
  now.storage->refused = {{"disk_full", 24}, {"total_size", 0}};
  auto& node = now.nodes.emplace().emplace_back();
  node.name = "edge-1";
  node.colo = "ams01";
  node.connected = true;
  node.last_seen = 1'500'000'000;
  node.clock = clock_reading{-250'000'000, 1};
  node.pulse.emplace().samplers = 26;
  now.front.emplace();
  now.front->connections_accepted = 11;
  now.front->connections_refused = 12;
  now.front->requests_refused = 13;
  now.front->connections_open = 14;
  now.front->in_flight = 15;
  now.front->bodies_open = 16;
  now.front->stalled = 17;
  now.front->timed_out = 18;
  return now;
}

} // namespace

TEST(MetricsTest, ShowEveryFact) {
  metrics aut{"1.2.3"};
  aut.count_stream(19, 20);
  aut.count_reload(true);
  aut.count_reload(false);
  aut.count_reload(false);
  auto series = parse(aut.render(full_snapshot()));
  EXPECT_GT(take_moment(series), 0);
  const std::map<std::string, double> expected{
    {R"(edgecap_build_info{version="1.2.3"})", 1},
    {"edgecap_captures_created_total", 5},
    {"edgecap_captures_active", 2},
    {R"(edgecap_captures_total{type="simple",outcome="success",)"
     R"(reason="packet_limit"})",
     2},
    {R"(edgecap_captures_total{type="simple",outcome="failed",)"
     R"(reason="interface_lost"})",
     1},
    {R"(edgecap_packets_captured_total{node="node-1",interface="eth0"})", 70},
    {"edgecap_bytes_captured_total", 7000},
    {R"(edgecap_packets_dropped_total{node="node-1",interface="eth0",)"
     R"(reason="kernel"})",
     1},
    {R"(edgecap_packets_dropped_total{node="node-1",interface="eth0",)"
     R"(reason="interface"})",
     2},
    {R"(edgecap_packets_dropped_total{node="node-1",interface="eth0",)"
     R"(reason="edgecap"})",
     3},
    {"edgecap_storage_captures", 3},
    {"edgecap_storage_bytes", 4096},
    {"edgecap_storage_free_bytes", 1073741824},
    {"edgecap_storage_expired_total", 9},
    {"edgecap_storage_unsealed_bytes", 21},
    {"edgecap_storage_reserve_bytes", 25},
    {"edgecap_storage_full", 1},
    {"edgecap_storage_quota_bytes", 22},
    {"edgecap_storage_quota_captures", 23},
    {R"(edgecap_storage_refused_total{cause="disk_full"})", 24},
    {R"(edgecap_storage_refused_total{cause="total_size"})", 0},
    {R"(edgecap_node_up{node="edge-1",colo="ams01"})", 1},
    {R"(edgecap_node_last_seen_seconds{node="edge-1",colo="ams01"})", 1.5},
    {R"(edgecap_node_clock_offset_seconds{node="edge-1",colo="ams01"})", -0.25},
    {R"(edgecap_node_samplers{node="edge-1",colo="ams01"})", 26},
    {R"(edgecap_http_connections_total{outcome="accepted"})", 11},
    {R"(edgecap_http_connections_total{outcome="refused"})", 12},
    {"edgecap_http_requests_refused_total", 13},
    {"edgecap_http_connections_open", 14},
    {"edgecap_http_requests_in_flight", 15},
    {"edgecap_http_bodies_open", 16},
    {R"(edgecap_http_connections_ended_total{cause="stalled"})", 17},
    {R"(edgecap_http_connections_ended_total{cause="timeout"})", 18},
    {R"(edgecap_stream_packets_total{outcome="sent"})", 19},
    {R"(edgecap_stream_packets_total{outcome="dropped"})", 20},
    {R"(edgecap_config_reloads_total{outcome="applied"})", 1},
    {R"(edgecap_config_reloads_total{outcome="refused"})", 2},
  };
  EXPECT_EQ(series, expected);
}

TEST(MetricsTest, LeaveOutWhatIsUnknown) {
  const metrics aut{"1.2.3"};
  const std::map<std::string, double> bare{
    {R"(edgecap_build_info{version="1.2.3"})", 1},
    {R"(edgecap_config_reloads_total{outcome="applied"})", 0},
    {R"(edgecap_config_reloads_total{outcome="refused"})", 0},
    {R"(edgecap_stream_packets_total{outcome="sent"})", 0},
    {R"(edgecap_stream_packets_total{outcome="dropped"})", 0}};
  auto series = parse(aut.render({}));
  EXPECT_GT(take_moment(series), 0) << "the start counts";
  EXPECT_EQ(series, bare);
  auto now = full_snapshot();
  now.engine.reset();
  auto text = aut.render(now);
  EXPECT_THAT(text, Not(HasSubstr("edgecap_captures")));
  EXPECT_THAT(text, Not(HasSubstr("edgecap_packets")));
  EXPECT_THAT(text, HasSubstr("edgecap_storage_bytes"));
  now.storage->quota_bytes = now.storage->quota_jobs = 0;
  EXPECT_THAT(aut.render(now), Not(HasSubstr("quota"))) << "there is none";
  now = full_snapshot();
  now.storage.reset();
  EXPECT_THAT(aut.render(now), Not(HasSubstr("edgecap_storage")));
  now = full_snapshot();
  now.nodes->at(0).connected = false;
  now.nodes->at(0).clock.reset();
  text = aut.render(now);
  EXPECT_THAT(text,
              HasSubstr("edgecap_node_up{node=\"edge-1\",colo=\"ams01\"} 0"));
  EXPECT_THAT(text, Not(HasSubstr("edgecap_node_clock_offset_seconds{")));
  EXPECT_THAT(text, Not(HasSubstr("edgecap_node_samplers{")));
  now = full_snapshot();
  now.front.reset();
  EXPECT_THAT(aut.render(now), Not(HasSubstr("edgecap_http")));
}

TEST(MetricsTest, CountAnswersByRoute) {
  metrics aut{"1"};
  aut.observe("GET", "/a/:id", 200, 4ms);
  aut.observe("GET", "/a/:id", 200, 60ms);
  aut.observe("GET", "/a/:id", 404, 20s);
  aut.observe("", "", 400, 0ms);
  auto series = parse(aut.render({}));
  const auto requests = [&](const char* route, const char* verb,
                            const char* status) {
    const auto i
      = series.find(std::string{"edgecap_http_requests_total{code=\""} + status
                    + "\",method=\"" + verb + "\",route=\"" + route + "\"}");
    return i == series.end() ? -1 : i->second;
  };
  EXPECT_EQ(requests("/a/:id", "GET", "200"), 2);
  EXPECT_EQ(requests("/a/:id", "GET", "404"), 1);
  EXPECT_EQ(requests("none", "", "400"), 1);
  const auto duration = [&](const std::string& suffix) {
    const auto i
      = series.find("edgecap_http_request_duration_seconds" + suffix);
    return i == series.end() ? -1 : i->second;
  };
  EXPECT_EQ(duration(R"(_count{route="/a/:id"})"), 3);
  EXPECT_NEAR(duration(R"(_sum{route="/a/:id"})"), 20.064, 1e-3);
  EXPECT_EQ(duration(R"(_bucket{route="/a/:id",le="0.005"})"), 1);
  EXPECT_EQ(duration(R"(_bucket{route="/a/:id",le="10"})"), 2);
  EXPECT_EQ(duration(R"(_bucket{route="/a/:id",le="+Inf"})"), 3);
  EXPECT_EQ(duration(R"(_count{route="none"})"), 1);
}

TEST(MetricsTest, GrowWithRoutesNotWithRequests) {
  metrics aut{"1"};
  aut.observe("GET", "/a/:id", 200, 1ms);
  const auto size = parse(aut.render({})).size();
  for (auto i = 0; i < 1000; ++i)
    aut.observe("GET", "/a/:id", 200, std::chrono::milliseconds{i});
  EXPECT_EQ(parse(aut.render({})).size(), size);
}

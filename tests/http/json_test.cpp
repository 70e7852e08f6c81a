#include "http/errors.hpp"
#include "http/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <string>

using namespace edgecap;
using namespace edgecap::http;
using nlohmann::json;
using testing::ElementsAre;

namespace {

constexpr unix_ns noon = 1'767'268'800'000'000'000; // 2026-01-01T12:00:00Z

job_record running_job() {
  job_record x;
  x.id = "0123456789abcdef0123456789abcdef";
  x.spec.account_id = "023e105f4ecef8ad9ca31a8372d0c353";
  x.spec.system = "magic-transit";
  x.spec.time_limit_s = 60;
  x.spec.packet_limit = 100;
  x.submitted = noon;
  return x;
}

/// The result in an answer that must be a success.
json result_of(const response& answer) {
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.content_type, "application/json");
  const auto body = json::parse(answer.body);
  EXPECT_EQ(body.at("success"), true);
  EXPECT_EQ(body.at("errors"), json::array());
  EXPECT_TRUE(body.at("messages").is_array());
  return body.at("result");
}

} // namespace

// -- words --------------------------------------------------------------------

TEST(JsonTest, SaysPendingUntilAFileIsThere) {
  EXPECT_EQ(api_status(job_phase::pending), "pending");
  EXPECT_EQ(api_status(job_phase::capturing), "pending");
  EXPECT_EQ(api_status(job_phase::draining), "pending");
  EXPECT_EQ(api_status(job_phase::sealing), "pending");
  EXPECT_EQ(api_status(job_phase::succeeded), "success");
  EXPECT_EQ(api_status(job_phase::failed), "failed");
}

TEST(JsonTest, ShowsNodesAndWhatIsUnknownOfThem) {
  node_status known;
  known.name = "edge-1";
  known.colo = "ams01";
  known.labels = {"rack=7"};
  known.version = "0.1.0";
  known.connected = true;
  known.joined = noon;
  known.last_seen = noon + 1'000'000'000;
  known.clock = clock_reading{-5, 2};
  auto& pulse = known.pulse.emplace();
  pulse.interfaces = std::vector<std::string>{"lo", "eth0"};
  pulse.samplers = 3;
  pulse.load_milli = 1500;
  pulse.processors = 2;
  node_status lost;
  lost.name = "edge-2";
  lost.lost = "its connection is gone";
  EXPECT_EQ(result_of(nodes_response({known, lost})), json::parse(R"([{
    "name": "edge-1",
    "colo_name": "ams01",
    "labels": ["rack=7"],
    "version": "0.1.0",
    "status": "connected",
    "local": false,
    "lost_because": null,
    "joined": "2026-01-01T12:00:00.000000Z",
    "last_seen": "2026-01-01T12:00:01.000000Z",
    "clock_offset_ns": -5,
    "clock_error_ns": 2,
    "interfaces": ["lo", "eth0"],
    "samplers": 3,
    "load_milli": 1500,
    "processors": 2
  }, {
    "name": "edge-2",
    "colo_name": null,
    "labels": [],
    "version": null,
    "status": "lost",
    "local": false,
    "lost_because": "its connection is gone",
    "joined": null,
    "last_seen": null,
    "clock_offset_ns": null,
    "clock_error_ns": null,
    "interfaces": null,
    "samplers": null,
    "load_milli": null,
    "processors": null
  }])"));
}

TEST(JsonTest, WritesTimes) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(noon), "2026-01-01T12:00:00.000000Z");
  EXPECT_EQ(rfc3339(noon + 1'002'003), "2026-01-01T12:00:00.001002Z");
  // Cut off, not rounded: no time lies in the future.
  EXPECT_EQ(rfc3339(999), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(999'999'999), "1970-01-01T00:00:00.999999Z");
  EXPECT_EQ(rfc3339(1'709'164'800'000'000'000), "2024-02-29T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(rfc3339(-1'000'000'000), "1969-12-31T23:59:59.000000Z");
  EXPECT_EQ(rfc3339(std::numeric_limits<unix_ns>::max()),
            "2262-04-11T23:47:16.854775Z");
  EXPECT_EQ(rfc3339(std::numeric_limits<unix_ns>::min()),
            "1677-09-21T00:12:43.145224Z");
}

TEST(JsonTest, NamesLinkTypes) {
  EXPECT_EQ(link_type_name(capture::link_type::ethernet), "ETHERNET");
  EXPECT_EQ(link_type_name(capture::link_type::raw), "RAW");
  EXPECT_EQ(link_type_name(capture::link_type::linux_sll), "LINUX_SLL");
  EXPECT_EQ(link_type_name(capture::link_type::linux_sll2), "LINUX_SLL2");
  EXPECT_EQ(link_type_name(capture::link_type{147}), "LINKTYPE_147");
}

TEST(JsonTest, WritesFilters) {
  capture::filter_fields filter;
  EXPECT_EQ(filter_text(filter), "{}");
  filter.destination_port = 0; // Asked for, hence there.
  EXPECT_EQ(filter_text(filter), R"({"destination_port":0})");
  filter.source_address = "192.0.2.1";
  filter.destination_address = "192.0.2.2";
  filter.source_port = 53;
  filter.protocol = 17;
  EXPECT_EQ(filter_text(filter),
            R"({"source_address":"192.0.2.1",)"
            R"("destination_address":"192.0.2.2","source_port":53,)"
            R"("destination_port":0,"protocol":17})");
}

// -- the capture object -------------------------------------------------------

TEST(CaptureResponseTest, LeavesOutWhatIsUnset) {
  EXPECT_EQ(result_of(capture_response(running_job())), json::parse(R"({
    "id": "0123456789abcdef0123456789abcdef",
    "submitted": "2026-01-01T12:00:00.000000Z",
    "type": "simple",
    "system": "magic-transit",
    "status": "pending",
    "filter_v1": {},
    "time_limit": 60,
    "packet_limit": 100,
    "packets_remaining": 100,
    "packets_captured": 0,
    "bytes_captured": 0,
    "interfaces": [],
    "interruptions": []
  })"));
}

TEST(CaptureResponseTest, TellsAllOfAFinishedJob) {
  auto job = running_job();
  job.spec.filter.protocol = 6;
  job.phase = job_phase::succeeded;
  job.reason = end_reason::stopped;
  job.error_message = "eth1: went down";
  job.stop_requested = true;
  job.started = noon + 1'000;
  job.finished = noon + 2'000'000'000;
  job.packets_captured = 7;
  job.bytes_captured = 700;
  interface_report known;
  known.node = "node-1";
  known.interface = "eth0";
  known.phase = sampler_phase::ended;
  known.link = capture::link_type::ethernet;
  known.sampling_one_in = 10;
  known.packets_matched = 80;
  known.packets_captured = 7;
  known.packets_sampled_out = 70;
  known.dropped_by_kernel = 0;
  known.dropped_by_interface = 2;
  known.dropped_by_us = 1;
  known.clock_correction_ns = -7;
  interface_report unknown;
  unknown.node = "node-1";
  unknown.interface = "eth1";
  unknown.phase = sampler_phase::failed;
  unknown.error = "went down";
  job.interfaces = {known, unknown};
  job.interruptions = {{noon + 5'000'000, noon + 1'000'000'000}, {noon, {}}};
  EXPECT_EQ(result_of(capture_response(job)), json::parse(R"({
    "id": "0123456789abcdef0123456789abcdef",
    "submitted": "2026-01-01T12:00:00.000000Z",
    "started": "2026-01-01T12:00:00.000001Z",
    "finished": "2026-01-01T12:00:02.000000Z",
    "type": "simple",
    "system": "magic-transit",
    "status": "success",
    "end_reason": "stopped",
    "error_message": "eth1: went down",
    "filter_v1": {"protocol": 6},
    "time_limit": 60,
    "packet_limit": 100,
    "packets_remaining": 0,
    "packets_captured": 7,
    "bytes_captured": 700,
    "interfaces": [{
      "node": "node-1", "interface": "eth0", "state": "ended",
      "link_type": "ETHERNET", "sampling_one_in": 10,
      "packets_matched": 80, "packets_captured": 7,
      "packets_sampled_out": 70, "dropped_by_kernel": 0,
      "dropped_by_interface": 2, "dropped_by_us": 1,
      "clock_correction_ns": -7, "error": null
    }, {
      "node": "node-1", "interface": "eth1", "state": "failed",
      "link_type": null, "sampling_one_in": 1,
      "packets_matched": null, "packets_captured": 0,
      "packets_sampled_out": null, "dropped_by_kernel": null,
      "dropped_by_interface": null, "dropped_by_us": null,
      "clock_correction_ns": 0, "error": "went down"
    }],
    "interruptions": [{
      "from": "2026-01-01T12:00:00.005000Z", "to": "2026-01-01T12:00:01.000000Z"
    }, {
      "from": "2026-01-01T12:00:00.000000Z", "to": null
    }]
  })"));
}

TEST(CaptureResponseTest, TellsWhichNodesWereChosen) {
  auto job = running_job();
  EXPECT_FALSE(result_of(capture_response(job)).contains("colo_name"));
  job.spec.colo_name = "ams01";
  EXPECT_EQ(result_of(capture_response(job)).at("colo_name"), "ams01");
  EXPECT_EQ(result_of(validated_response(job.spec, {})).at("colo_name"),
            "ams01");
}

TEST(CaptureResponseTest, CountsDownWhileTheJobRuns) {
  auto job = running_job();
  const auto remaining
    = [&] { return result_of(capture_response(job)).at("packets_remaining"); };
  job.phase = job_phase::capturing;
  job.packets_captured = 99;
  EXPECT_EQ(remaining(), 1);
  job.packets_captured = 100;
  EXPECT_EQ(remaining(), 0);
  job.packets_captured = 101; // Never negative.
  EXPECT_EQ(remaining(), 0);
  job.packets_captured = 5;
  for (const auto phase : {job_phase::draining, job_phase::sealing}) {
    job.phase = phase;
    EXPECT_EQ(remaining(), 95);
  }
  for (const auto phase : {job_phase::succeeded, job_phase::failed}) {
    job.phase = phase;
    EXPECT_EQ(remaining(), 0);
  }
}

TEST(CaptureResponseTest, NamesEveryEndReason) {
  auto job = running_job();
  for (const auto& [reason, word] :
       {std::pair{end_reason::packet_limit, "packet_limit"},
        std::pair{end_reason::time_limit, "time_limit"},
        std::pair{end_reason::byte_limit, "byte_limit"},
        std::pair{end_reason::stopped, "stopped"},
        std::pair{end_reason::interface_lost, "interface_lost"},
        std::pair{end_reason::node_lost, "node_lost"},
        std::pair{end_reason::storage_error, "storage_error"},
        std::pair{end_reason::storage_full, "storage_full"},
        std::pair{end_reason::quota, "quota"},
        std::pair{end_reason::shutdown, "shutdown"}}) {
    job.reason = reason;
    EXPECT_EQ(result_of(capture_response(job)).at("end_reason"), word);
  }
}

TEST(CaptureResponseTest, PassesMessagesOn) {
  const auto answer = capture_response(
    running_job(), {{20400, "colo was ignored", "/colo"}, {1, "a remark", ""}});
  EXPECT_EQ(json::parse(answer.body).at("messages"), json::parse(R"([
    {"code": 20400, "message": "colo was ignored",
     "source": {"pointer": "/colo"}},
    {"code": 1, "message": "a remark"}
  ])"));
}

TEST(CaptureResponseTest, SurvivesTextThatIsNoUtf8) {
  auto job = running_job();
  job.error_message = "\xff";
  EXPECT_EQ(result_of(capture_response(job)).at("error_message"), "\uFFFD");
}

// -- the other answers --------------------------------------------------------

TEST(PageResponseTest, CountsPages) {
  job_page page;
  page.jobs = {running_job(), running_job()};
  page.jobs[1].id = "ffffffffffffffffffffffffffffffff";
  page.total_count = 11;
  list_query query;
  query.page = 3;
  query.per_page = 5;
  const auto answer = page_response(page, query);
  const auto result = result_of(answer);
  ASSERT_EQ(result.size(), 2u);
  EXPECT_EQ(result[0].at("id"), page.jobs[0].id);
  EXPECT_EQ(result[1].at("id"), page.jobs[1].id);
  EXPECT_EQ(json::parse(answer.body).at("result_info"), json::parse(R"({
    "page": 3, "per_page": 5, "count": 2, "total_count": 11, "total_pages": 3
  })"));
}

TEST(PageResponseTest, HasNoPagesWithoutJobs) {
  const auto pages = [](std::uint64_t total) {
    job_page page;
    page.total_count = total;
    const auto answer = page_response(page, {});
    EXPECT_EQ(result_of(answer), json::array());
    return json::parse(answer.body).at("result_info").at("total_pages");
  };
  EXPECT_EQ(pages(0), 0);
  EXPECT_EQ(pages(1), 1);
  EXPECT_EQ(pages(50), 1);
  EXPECT_EQ(pages(51), 2);
}

TEST(JsonTest, AnswersProbesAndNothing) {
  EXPECT_EQ(result_of(status_response("ok", "1.2.3")),
            json::parse(R"({"status": "ok", "version": "1.2.3"})"));
  const auto empty = empty_response();
  EXPECT_EQ(empty.status, 204);
  EXPECT_EQ(empty.body, "");
  EXPECT_EQ(empty.content_type, "");
}

TEST(FailureResponseTest, HasTheWholeEnvelope) {
  const auto answer
    = failure_response({{400, code::bad_type, "time_limit is null", "/a"},
                        {404, code::unknown_job, "\xff", ""}});
  EXPECT_EQ(answer.status, 400); // The first one's.
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(json::parse(answer.body), json::parse(R"({
    "result": null, "success": false, "messages": [],
    "errors": [
      {"code": 20102, "message": "time_limit is null",
       "source": {"pointer": "/a"}},
      {"code": 20200, "message": "\uFFFD"}
    ]
  })"));
}

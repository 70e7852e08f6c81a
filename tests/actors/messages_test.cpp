#include "tests/support/actor_fixture.hpp"
#include "tests/support/scripted_source.hpp"

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include <limits>

// Every value that may leave the process goes through CAF's serializer and
// back: CAF 0.17 sends a type that was not registered as an empty message,
// without an error.
namespace edgecap::test {

class Messages : public actor_fixture {
protected:
  template <class T>
  T round_trip(const T& value) {
    std::vector<char> buffer;
    caf::binary_serializer sink{sys, buffer};
    auto message = caf::make_message(value);
    EXPECT_FALSE(sink(message));
    caf::message copy;
    caf::binary_deserializer source{sys, buffer};
    EXPECT_FALSE(source(copy));
    EXPECT_TRUE(copy.match_elements<T>());
    return copy.match_elements<T>() ? copy.get_as<T>(0) : T{};
  }
};

TEST_F(Messages, KeepEveryFieldOfARecord) {
  job_record record;
  record.id = "0123456789abcdef0123456789abcdef";
  record.spec = {"account", "simple", "lab", "ams01", 60, 5000, {}};
  record.spec.filter.source_address = "192.0.2.1";
  record.spec.filter.destination_port = 0;
  record.phase = job_phase::draining;
  record.reason = end_reason::packet_limit;
  record.error_message = "text";
  record.stop_requested = true;
  record.submitted = std::numeric_limits<unix_ns>::max();
  record.finished = -1;
  record.packets_captured = 1;
  record.bytes_captured = 2;
  record.savefile_bytes = 3;
  record.pcapng_bytes = 4;
  interface_report report;
  report.node = "n";
  report.interface = "eth0";
  report.phase = sampler_phase::failed;
  report.link = capture::link_type::raw;
  report.packets_matched = 0;
  report.dropped_by_us = 7;
  report.error = "gone";
  record.interfaces = {report};
  const auto copy = round_trip(record);
  EXPECT_EQ(copy.id, record.id);
  EXPECT_EQ(copy.spec.filter, record.spec.filter);
  EXPECT_EQ(copy.spec.colo_name, "ams01");
  EXPECT_EQ(copy.spec.packet_limit, 5000u);
  EXPECT_EQ(copy.phase, record.phase);
  EXPECT_EQ(copy.reason, record.reason);
  EXPECT_EQ(copy.error_message, "text");
  EXPECT_TRUE(copy.stop_requested);
  EXPECT_EQ(copy.submitted, record.submitted);
  EXPECT_FALSE(copy.started);
  EXPECT_EQ(copy.finished, record.finished);
  EXPECT_EQ(copy.pcapng_bytes, 4u);
  ASSERT_EQ(copy.interfaces.size(), 1u);
  EXPECT_EQ(copy.interfaces[0].link, capture::link_type::raw);
  EXPECT_EQ(copy.interfaces[0].packets_matched, 0u);
  EXPECT_FALSE(copy.interfaces[0].packets_sampled_out);
  EXPECT_EQ(copy.interfaces[0].error, "gone");
}

TEST_F(Messages, KeepASpecForASampler) {
  sampler_spec spec;
  spec.job_id = "id";
  spec.run = 3;
  spec.node = "n";
  spec.interface = "eth0";
  spec.filter.protocol = 17;
  spec.not_after = 5;
  const auto copy = round_trip(spec);
  EXPECT_EQ(copy.run, 3u);
  EXPECT_EQ(copy.interface, "eth0");
  EXPECT_EQ(copy.filter, spec.filter);
  EXPECT_EQ(copy.not_after, 5);
}

TEST_F(Messages, KeepTheRest) {
  EXPECT_EQ(round_trip(list_query{"a", 2, 3, "s", "t"}).per_page, 3u);
  EXPECT_EQ(round_trip(admission{true, 1, 2, 3, 4}).retry_after_ms, 4u);
  storage_stats disk;
  disk.expired_jobs = 4;
  disk.refused = {{"disk_full", 5}};
  EXPECT_EQ(round_trip(disk).expired_jobs, 4u);
  EXPECT_EQ(round_trip(disk).refused[0].jobs, 5u);
  storage_limits limits;
  limits.max_age = std::chrono::seconds{6};
  limits.accounts["a"] = {7, 8};
  EXPECT_EQ(round_trip(limits).max_age, limits.max_age);
  limits.collect_window = std::chrono::seconds{9};
  EXPECT_EQ(round_trip(limits).accounts["a"].jobs, 8u);
  EXPECT_EQ(round_trip(limits).collect_window, limits.collect_window);
  EXPECT_EQ(round_trip(rate_limiter_options{{1, 2}, {3, 4}}).general.window_s,
            4u);
  EXPECT_EQ(round_trip(registry_limits{5, 6}).max_followers, 6u);
  EXPECT_EQ(round_trip(allowance::general), allowance::general);
  EXPECT_EQ(round_trip(savefile_format::pcapng), savefile_format::pcapng);
  engine_stats stats;
  stats.bytes_captured = 7;
  stats.outcomes = {{end_reason::stopped, true, 2}};
  stats.interfaces = {{"n", "eth0", 1, 2, 3, 4}};
  const auto copy = round_trip(stats);
  EXPECT_EQ(copy.bytes_captured, 7u);
  EXPECT_EQ(copy.outcomes[0].jobs, 2u);
  EXPECT_EQ(copy.interfaces[0].dropped_by_us, 4u);
}

TEST_F(Messages, KeepWhatNodesSayOfThemselves) {
  node_hello hello;
  hello.name = "n";
  hello.colo = "c";
  hello.labels = {"a=b"};
  hello.version = "1";
  EXPECT_EQ(round_trip(hello).protocol, node_protocol);
  EXPECT_EQ(round_trip(hello).labels, hello.labels);
  EXPECT_EQ(round_trip(hello).byte_order, host_byte_order());
  const node_proof proof{"certificate", std::string("s\0g", 3)};
  EXPECT_EQ(round_trip(proof).certificate, "certificate");
  EXPECT_EQ(round_trip(proof).signature, proof.signature);
  EXPECT_EQ(round_trip(node_welcome{3, "v"}).protocol, 3u);
  node_pulse pulse;
  pulse.now = 5;
  pulse.load_milli = 1500;
  pulse.processors = 2;
  EXPECT_EQ(round_trip(pulse).now, 5);
  EXPECT_FALSE(round_trip(pulse).interfaces) << "unknown is not none";
  EXPECT_EQ(round_trip(pulse).load_milli, 1500u);
  EXPECT_EQ(round_trip(pulse).processors, 2u);
}

TEST_F(Messages, KeepABatchOfPackets) {
  const auto batch = make_batch(1000, 7);
  const auto copy = round_trip(batch);
  EXPECT_EQ(copy, batch);
  EXPECT_EQ(copy.packets(), 1000u);
  EXPECT_EQ(copy.first_time(), batch.first_time());
  EXPECT_EQ(copy.last_time(), batch.last_time());
  EXPECT_EQ(copy.captured_bytes(), batch.captured_bytes());
  EXPECT_TRUE(copy.ordered());
}

TEST_F(Messages, MakeAnEmptyBatchOfNonsense) {
  const auto batch = make_batch(3);
  std::vector<char> bytes;
  caf::binary_serializer sink{sys, bytes};
  ASSERT_FALSE(sink(const_cast<capture::packet_batch&>(batch)));
  const auto read = [this](const std::vector<char>& from) {
    capture::packet_batch result = make_batch(1);
    caf::binary_deserializer source{sys, from};
    EXPECT_FALSE(source(result)) << "CAF would drop the message";
    return result;
  };
  EXPECT_EQ(read(bytes), batch);
  constexpr std::size_t head = 8; // link type and size
  auto torn = bytes;
  torn.resize(torn.size() - 1);
  EXPECT_TRUE(read(torn).empty());
  auto longer_than_it_is = bytes;
  longer_than_it_is[head + 8] = 127; // the first record's captured length
  EXPECT_TRUE(read(longer_than_it_is).empty());
  auto huge = bytes;
  for (std::size_t i = 4; i < head; ++i)
    huge[i] = 127; // the size
  EXPECT_TRUE(read(huge).empty());
}

TEST_F(Messages, KeepErrorsWithTheirText) {
  const auto err = make_rate_limited("wait", {1, 60, 1234});
  const auto copy = describe(round_trip(err));
  EXPECT_EQ(copy.code, errc::rate_limited);
  EXPECT_EQ(copy.text, "wait");
  EXPECT_EQ(copy.exhausted.limit, 1u);
  EXPECT_EQ(copy.exhausted.window_s, 60u);
  EXPECT_EQ(copy.exhausted.retry_after_ms, 1234u);
}

TEST(Names, GoBothWays) {
  for (int i = 0; i <= static_cast<int>(job_phase::failed); ++i) {
    const auto phase = static_cast<job_phase>(i);
    EXPECT_EQ(parse_job_phase(to_string(phase)), phase);
  }
  for (int i = 0; i <= static_cast<int>(end_reason::shutdown); ++i) {
    const auto reason = static_cast<end_reason>(i);
    EXPECT_EQ(parse_end_reason(to_string(reason)), reason);
  }
  for (int i = 0; i <= static_cast<int>(sampler_phase::failed); ++i) {
    const auto phase = static_cast<sampler_phase>(i);
    EXPECT_EQ(parse_sampler_phase(to_string(phase)), phase);
  }
  EXPECT_FALSE(parse_job_phase("invalid"));
  EXPECT_FALSE(parse_end_reason(""));
  EXPECT_FALSE(parse_sampler_phase("Ended"));
}

} // namespace edgecap::test

#include "config/describe.hpp"
#include "config/load.hpp"
#include "config/yaml_document.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

#include <unistd.h>

#include <cstdio>

namespace edgecap::config {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// A file of the test's own that goes away with it.
class scratch_file {
public:
  explicit scratch_file(const std::string& content) {
    const auto fd = ::mkstemp(path_);
    EXPECT_GE(fd, 0);
    ::close(fd);
    std::ofstream{path_, std::ios::binary} << content;
  }

  ~scratch_file() {
    std::remove(path_);
  }

  std::string path() const {
    return path_;
  }

private:
  char path_[32] = "/tmp/edgecap-config-XXXXXX";
};

TEST(LoadTest, KeepsTheDefaultsOfWhatIsNotSaid) {
  auto result = load_text(minimal);
  ASSERT_EQ(report(result, "f"), "");
  const auto got = describe(result.values);
  const auto wanted = describe();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i].value, wanted[i].value) << got[i].path;
}

TEST(LoadTest, ReadsEverySetting) {
  auto result = load_text(minimal + R"(
listen: {address: "::1", port: 0, behind_proxy: true, trusted_proxies: [127.0.0.1, "::1"]}
role: collector
node: {name: edge-1.example, colo: ams01, labels: [rack=7, "owner=net work"]}
fleet: {address: "::1", port: 65535, behind_wall: true, max_nodes: 100000, lost_after: 10m,
        correct_clocks: true, certificate: /a, key: /b, authority: /c, revoked: /d}
capture: {ring: 1GiB, wake_interval: 500ms, batch_interval: 0ms, batch: 16MiB, credit: 1GiB, idle_time: 3s,
          spare_rings: 64, classifier: false, helper_threads: 64}
limits:
  collect: {requests: 7, window: 2m}
  general: {requests: 8, window: 1d}
  time_limit: 1h
  packet_limit: 1000000000
  running_jobs: 9
  streams_per_job: 10
  account_size: 11GiB
  account_jobs: 12
  total_size: 13TiB
  total_jobs: 14
http:
  threads: 1
  max_connections: 2
  max_connections_per_address: 6
  max_in_flight: 3
  max_downloads: 4
  max_target_size: 64B
  max_header_size: 1KiB
  max_headers: 5
  max_body_size: 2KiB
  stream_buffer: 64KiB
  header_timeout: 101ms
  body_timeout: 102ms
  keep_alive_timeout: 103ms
  answer_timeout: 104ms
  stall_timeout: 105ms
auth: {max_failures: 7, window: 3m, max_block: 2m, max_addresses: 8}
storage: {directory: /srv/x y, pcapng: false, microseconds: true, min_free: 0B,
          reserve: 5MiB, idempotency_lifetime: 90m}
retention: {max_age: 3650d, max_size: 1TiB, max_jobs: 3, download_hold: 0ms,
            sweep_interval: 2s}
shutdown: {grace_period: 1m}
log: {level: error, format: text}
)");
  ASSERT_EQ(report(result, "f"), "");
  const auto& x = result.values;
  EXPECT_EQ(x.listen.address, "::1");
  EXPECT_EQ(x.listen.port, 0u);
  EXPECT_TRUE(x.listen.behind_proxy);
  EXPECT_EQ(x.listen.trusted_proxies,
            (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(x.is, role::collector);
  EXPECT_EQ(x.node.name, "edge-1.example");
  EXPECT_EQ(x.node.colo, "ams01");
  EXPECT_EQ(x.node.labels,
            (std::vector<std::string>{"rack=7", "owner=net work"}));
  EXPECT_EQ(x.fleet.address, "::1");
  EXPECT_EQ(x.fleet.port, 65535);
  EXPECT_TRUE(x.fleet.behind_wall);
  EXPECT_EQ(x.fleet.max_nodes, 100000u);
  EXPECT_EQ(x.fleet.lost_after, 10min);
  EXPECT_TRUE(x.fleet.correct_clocks);
  EXPECT_EQ(x.fleet.certificate, "/a");
  EXPECT_EQ(x.fleet.key, "/b");
  EXPECT_EQ(x.fleet.authority, "/c");
  EXPECT_EQ(x.fleet.revoked, "/d");
  EXPECT_EQ(x.capture.ring_bytes, 1u << 30);
  EXPECT_EQ(x.capture.wake_interval_ms, 500u);
  EXPECT_EQ(x.capture.batch_interval_ms, 0u);
  EXPECT_EQ(x.capture.batch_bytes, 16u << 20);
  EXPECT_EQ(x.capture.credit_bytes, 1u << 30);
  EXPECT_EQ(x.capture.idle_time, std::chrono::seconds{3});
  EXPECT_EQ(x.capture.spare_rings, 64u);
  EXPECT_FALSE(x.capture.classifier);
  EXPECT_EQ(x.capture.helper_threads, 64u);
  EXPECT_EQ(x.limits.collect.requests, 7u);
  EXPECT_EQ(x.limits.collect.window_s, 120u);
  EXPECT_EQ(x.limits.general.requests, 8u);
  EXPECT_EQ(x.limits.general.window_s, 86400u);
  EXPECT_EQ(x.limits.time_limit_s, 3600u);
  EXPECT_EQ(x.limits.packet_limit, 1000000000u);
  EXPECT_EQ(x.limits.running_jobs, 9u);
  EXPECT_EQ(x.limits.streams_per_job, 10u);
  EXPECT_EQ(x.limits.account_bytes, 11ull << 30);
  EXPECT_EQ(x.limits.account_jobs, 12u);
  EXPECT_EQ(x.limits.total_bytes, 13ull << 40);
  EXPECT_EQ(x.limits.total_jobs, 14u);
  EXPECT_EQ(x.http.threads, 1u);
  EXPECT_EQ(x.http.max_connections, 2u);
  EXPECT_EQ(x.http.max_connections_per_address, 6u);
  EXPECT_EQ(x.http.max_in_flight, 3u);
  EXPECT_EQ(x.http.max_downloads, 4u);
  EXPECT_EQ(x.http.max_target_bytes, 64u);
  EXPECT_EQ(x.http.max_header_bytes, 1024u);
  EXPECT_EQ(x.http.max_headers, 5u);
  EXPECT_EQ(x.http.max_body_bytes, 2048u);
  EXPECT_EQ(x.http.stream_buffer_bytes, 65536u);
  EXPECT_EQ(x.http.header_timeout, 101ms);
  EXPECT_EQ(x.http.body_timeout, 102ms);
  EXPECT_EQ(x.http.keep_alive_timeout, 103ms);
  EXPECT_EQ(x.http.answer_timeout, 104ms);
  EXPECT_EQ(x.http.stall_timeout, 105ms);
  EXPECT_EQ(x.auth.max_failures, 7u);
  EXPECT_EQ(x.auth.window_s, 180u);
  EXPECT_EQ(x.auth.max_block_s, 120u);
  EXPECT_EQ(x.auth.max_addresses, 8u);
  EXPECT_EQ(x.storage.directory, "/srv/x y");
  EXPECT_FALSE(x.storage.pcapng);
  EXPECT_TRUE(x.storage.microseconds);
  EXPECT_EQ(x.storage.min_free_bytes, 0u);
  EXPECT_EQ(x.storage.reserve_bytes, 5u << 20);
  EXPECT_EQ(x.storage.idempotency_lifetime, 90min);
  EXPECT_EQ(x.retention.max_age, 3650 * 24h);
  EXPECT_EQ(x.retention.max_bytes, 1ull << 40);
  EXPECT_EQ(x.retention.max_jobs, 3u);
  EXPECT_EQ(x.retention.download_hold, 0s);
  EXPECT_EQ(x.retention.sweep_interval, 2s);
  EXPECT_EQ(x.shutdown.grace_period, 1min);
  EXPECT_EQ(x.log.level, "error");
  EXPECT_EQ(x.log.format, "text");
}

TEST(LoadTest, ReadsAccountsAndSystems) {
  auto result = load_file("deploy/quickstart.yaml");
  ASSERT_EQ(report(result, "f"), "");
  const auto& x = result.values;
  ASSERT_EQ(x.accounts.size(), 1u);
  EXPECT_EQ(x.accounts[0].id, "023e105f4ecef8ad9ca31a8372d0c353");
  EXPECT_EQ(x.accounts[0].name, "Demo");
  ASSERT_EQ(x.accounts[0].credentials.size(), 2u);
  const auto& token = x.accounts[0].credentials[0];
  EXPECT_EQ(token.name, "demo-token");
  EXPECT_EQ(token.email, "");
  EXPECT_EQ(token.secret_hash.size(), 104u);
  const auto& key = x.accounts[0].credentials[1];
  EXPECT_EQ(key.email, "demo@example.com");
  EXPECT_TRUE(key.allowed.read && key.allowed.write && key.allowed.download);
  ASSERT_EQ(x.systems.size(), 1u);
  EXPECT_EQ(x.systems[0].name, "magic-transit");
  ASSERT_EQ(x.systems[0].interfaces.size(), 1u);
  EXPECT_EQ(x.systems[0].interfaces[0].pattern, "lo");
}

TEST(LoadTest, KeepsSystemsAndInterfacesInTheOrderOfTheFile) {
  auto result = load_text(minimal + R"(  a-second-one:
    interfaces:
      - {match: "veth*", sampling_one_in: 10, snaplen: 60B, promiscuous: true}
      - eth0
)");
  ASSERT_EQ(report(result, "f"), "");
  const auto& systems = result.values.systems;
  ASSERT_EQ(systems.size(), 2u);
  EXPECT_EQ(systems[1].name, "a-second-one");
  ASSERT_EQ(systems[1].interfaces.size(), 2u);
  EXPECT_EQ(systems[1].interfaces[0].pattern, "veth*");
  EXPECT_EQ(systems[1].interfaces[0].sampling_one_in, 10u);
  EXPECT_EQ(systems[1].interfaces[0].snaplen_bytes, 60u);
  EXPECT_TRUE(systems[1].interfaces[0].promiscuous);
  EXPECT_EQ(systems[1].interfaces[1].pattern, "eth0");
  EXPECT_EQ(systems[1].interfaces[1].snaplen_bytes, 160u);
}

TEST(LoadTest, RightsAreOnlyThoseThatAreNamed) {
  auto result = load_text(minimal);
  const auto& allowed = result.values.accounts[0].credentials[0].allowed;
  EXPECT_TRUE(allowed.read);
  EXPECT_FALSE(allowed.write);
  EXPECT_FALSE(allowed.download);
}

TEST(LoadTest, AcceptsSectionsWithoutKeys) {
  EXPECT_EQ(faults_of(minimal + "http:\nlimits:\n  collect:\n"), "");
}

TEST(LoadTest, TakesTextThatLooksLikeANumber) {
  auto text = minimal;
  text.replace(text.find("0123456789abcdef0123456789abcdef"), 32,
               "01234567890123456789012345678901");
  EXPECT_EQ(faults_of(text), "");
}

TEST(LoadTest, ReadsCarriageReturnsAndAByteOrderMark) {
  std::string text = "\xEF\xBB\xBF";
  for (auto ch : minimal + "log:\n  level: loud\n")
    text += ch == '\n' ? std::string{"\r\n"} : std::string{ch};
  EXPECT_EQ(faults_of(text),
            "f:9: log.level: 'loud' is not one of trace, debug, info, warn, "
            "error\n");
}

TEST(LoadTest, KeepsTheDefaultOfAFaultyKey) {
  auto result = load_text(minimal + "listen: {port: 70000}\n");
  EXPECT_EQ(result.faults.size(), 1u);
  EXPECT_EQ(result.values.listen.port, 8787u);
}

TEST(LoadTest, ReportsSyntaxAndMeaningOfAllSectionsByLine) {
  EXPECT_EQ(faults_of("log: {levl: info}\nlisten: {address: 10.0.0.1}\n"
                      "capture: {batch: 1, credit: 4KiB}\n"
                      + minimal),
            "f:1: log.levl: unknown key: did you mean 'level'?\n"
            "f:2: listen.address: '10.0.0.1' is not a loopback address: "
            "edgecapd speaks no TLS; put a proxy in front of it that does and "
            "set behind_proxy: true\n"
            "f:3: capture.batch: '1' has no unit: use one of B, KiB, MiB, GiB, "
            "TiB\n")
    << "credit is not compared with a batch that is at fault itself";
}

TEST(LoadTest, LimitsWhatAFileMayList) {
  std::string text = "systems:\n  many:\n    interfaces:\n";
  for (int i = 0; i < 257; ++i)
    text += "    - eth" + std::to_string(i) + '\n';
  EXPECT_EQ(faults_of(minimal.substr(0, minimal.find("systems:")) + text),
            "f:7: systems.many.interfaces: has 257 entries: must be at most "
            "256\n");
}

TEST(LoadTest, LimitsWhatIsReported) {
  std::string text = minimal;
  for (int i = 0; i < 105; ++i)
    text += "unknown_" + std::to_string(i) + ": 1\n";
  auto result = load_text(text);
  EXPECT_EQ(result.faults.size(), 105u);
  auto told = report(result, "f");
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 101);
  EXPECT_THAT(told, EndsWith("\nf: 5 more faults are not shown\n"));
}

TEST(LoadTest, AddsLaterFaultsInTheOrderOfLines) {
  auto result = load_text(minimal + "foo: 1\n");
  add_faults(result, {{"systems.magic-transit", 6, "is late"}});
  EXPECT_EQ(
    report(result, "f").find("f:6: systems.magic-transit: is late\nf:8"), 0u);
}

// -- files
// -----------------------------------------------------------------------

TEST(LoadFileTest, ReadsAFile) {
  scratch_file file{minimal};
  EXPECT_EQ(report(load_file(file.path()), "f"), "");
}

TEST(LoadFileTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(report(load_file("/nonexistent/x.yaml"), "x"),
            "x: cannot open: No such file or directory\n");
  EXPECT_EQ(report(load_file("/tmp"), "x"), "x: cannot read: Is a directory\n");
  EXPECT_EQ(report(load_file(""), "x"),
            "x: cannot open: No such file or directory\n");
}

TEST(LoadFileTest, EndsAtTheLargestFile) {
  const std::string padding(max_file_bytes - minimal.size() - 1, '#');
  scratch_file largest{minimal + padding + '\n'};
  EXPECT_EQ(report(load_file(largest.path()), "f"), "");
  scratch_file too_large{minimal + padding + "#\n"};
  EXPECT_EQ(report(load_file(too_large.path()), "f"),
            "f: the file is larger than 1MiB\n");
  // Ends although the file does not.
  EXPECT_EQ(report(load_file("/dev/zero"), "f"),
            "f: the file is larger than 1MiB\n");
}

} // namespace
} // namespace edgecap::config

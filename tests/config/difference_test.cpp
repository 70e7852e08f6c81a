#include "config/describe.hpp"
#include "config/difference.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

#include <map>
#include <utility>

namespace edgecap::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string account = "0123456789abcdef0123456789abcdef";
const std::string other_account = "00000000000000000000000000000001";

// A hash of which the digest begins with `digit`.
std::string hash(char digit) {
  return "sha256:" + std::string(32, 'a') + ':' + std::string(64, digit);
}

settings loaded_from(const std::string& yaml) {
  auto result = load_text(yaml);
  EXPECT_EQ(report(result, "f"), "") << yaml;
  return std::move(result.values);
}

// A file in which each key that there is has a value, that of `given` or else
// its default.
std::string file_with(std::map<std::string, std::string> given) {
  // What has no default, or one that stands for the lack of a value.
  given.insert({{"listen.trusted_proxies", "[127.0.0.2]"},
                {"node.name", "node-1"},
                {"node.colo", "ams01"},
                {"node.labels", "[a=b]"},
                {"fleet.certificate", "/etc/a.crt"},
                {"fleet.key", "/etc/a.key"},
                {"fleet.authority", "/etc/a-ca.crt"},
                {"fleet.revoked", "/etc/a-ca.crl"},
                {"accounts[].id", account},
                {"accounts[].name", "Ours"},
                {"accounts[].credentials[].name", "ops"},
                {"accounts[].credentials[].token_hash", hash('1')},
                {"accounts[].credentials[].email", "a@example.com"},
                {"accounts[].credentials[].key_hash", hash('2')},
                {"accounts[].credentials[].rights", "[read]"},
                {"systems.*.interfaces[].match", "lo"}});
  for (const auto& key : describe())
    given.emplace(key.path, key.value);
  // The keys of one mapping, as a flow mapping. One credential has a token and
  // one a pair, so that both hashes are there.
  const auto mapping
    = [&](const std::string& prefix, const std::string& without = "-") {
        std::string result;
        for (const auto& [path, value] : given) {
          if (path.rfind(prefix, 0) != 0)
            continue;
          const auto key = path.substr(prefix.size());
          if (key.find_first_of(".[") == std::string::npos
              && key.rfind(without, 0) != 0)
            result += (result.empty() ? "" : ", ") + key + ": " + value;
        }
        return result;
      };
  const std::string credential = "accounts[].credentials[].";
  auto token = mapping(credential, "email");
  token.erase(token.find("key_hash"),
              token.find("name: ") - token.find("key_"));
  auto pair = mapping(credential, "token_hash");
  pair.replace(pair.find("name: ") + 6, 0, "pair-of-");
  auto result = "role: " + given.at("role") + "\naccounts: [{"
                + mapping("accounts[].") + ", credentials: [{" + token + "}, {"
                + pair + "}]}]\n" + "systems: {magic-transit: {interfaces: [{"
                + mapping("systems.*.interfaces[].") + "}]}}\n";
  for (const auto& section :
       {"listen", "node", "fleet", "capture", "http", "auth", "storage",
        "retention", "shutdown", "log"})
    result += std::string{section} + ": {" + mapping(section + std::string{"."})
              + "}\n";
  return result + "limits: {" + mapping("limits.") + ", collect: {"
         + mapping("limits.collect.") + "}, general: {"
         + mapping("limits.general.") + "}}\n";
}

// Another value for each key that there is.
const std::map<std::string, std::string> other_values{
  {"role", "collector"},
  {"listen.address", "127.0.0.9"},
  {"listen.port", "8788"},
  {"listen.behind_proxy", "true"},
  {"listen.trusted_proxies", "[127.0.0.3]"},
  {"node.name", "node-2"},
  {"node.colo", "fra01"},
  {"node.labels", "[a=c]"},
  {"fleet.address", "127.0.0.9"},
  {"fleet.port", "8790"},
  {"fleet.behind_wall", "true"},
  {"fleet.max_nodes", "1025"},
  {"fleet.lost_after", "16s"},
  {"fleet.correct_clocks", "true"},
  {"fleet.certificate", "/etc/b.crt"},
  {"fleet.key", "/etc/b.key"},
  {"fleet.authority", "/etc/b-ca.crt"},
  {"fleet.revoked", "/etc/b-ca.crl"},
  {"accounts[].id", other_account},
  {"accounts[].name", "Theirs"},
  {"accounts[].max_size", "1GiB"},
  {"accounts[].max_jobs", "7"},
  {"accounts[].credentials[].name", "others"},
  {"accounts[].credentials[].token_hash", hash('3')},
  {"accounts[].credentials[].email", "b@example.com"},
  {"accounts[].credentials[].key_hash", hash('4')},
  {"accounts[].credentials[].rights", "[read, write]"},
  {"systems.*.interfaces[].match", "eth0"},
  {"systems.*.interfaces[].sampling_one_in", "2"},
  {"systems.*.interfaces[].snaplen", "161B"},
  {"systems.*.interfaces[].promiscuous", "true"},
  {"capture.ring", "9MiB"},
  {"capture.wake_interval", "101ms"},
  {"capture.batch_interval", "201ms"},
  {"capture.batch", "257KiB"},
  {"capture.credit", "2MiB"},
  {"capture.idle_time", "11s"},
  {"capture.spare_rings", "2"},
  {"capture.classifier", "false"},
  {"capture.helper_threads", "9"},
  {"limits.collect.requests", "2"},
  {"limits.collect.window", "61s"},
  {"limits.general.requests", "1201"},
  {"limits.general.window", "301s"},
  {"limits.time_limit", "301s"},
  {"limits.packet_limit", "10001"},
  {"limits.running_jobs", "257"},
  {"limits.streams_per_job", "9"},
  {"limits.account_size", "1GiB"},
  {"limits.account_jobs", "8"},
  {"limits.total_size", "2GiB"},
  {"limits.total_jobs", "9"},
  {"http.threads", "3"},
  {"http.max_connections", "4097"},
  {"http.max_connections_per_address", "257"},
  {"http.max_in_flight", "1025"},
  {"http.max_downloads", "257"},
  {"http.max_target_size", "3KiB"},
  {"http.max_header_size", "17KiB"},
  {"http.max_headers", "101"},
  {"http.max_body_size", "65KiB"},
  {"http.stream_buffer", "5MiB"},
  {"http.header_timeout", "11s"},
  {"http.body_timeout", "11s"},
  {"http.keep_alive_timeout", "61s"},
  {"http.answer_timeout", "9s"},
  {"http.stall_timeout", "31s"},
  {"auth.max_failures", "11"},
  {"auth.window", "301s"},
  {"auth.max_block", "61s"},
  {"auth.max_addresses", "16385"},
  {"storage.directory", "/srv/edgecap"},
  {"storage.pcapng", "false"},
  {"storage.microseconds", "true"},
  {"storage.min_free", "257MiB"},
  {"storage.reserve", "17MiB"},
  {"storage.idempotency_lifetime", "2d"},
  {"retention.max_age", "8d"},
  {"retention.max_size", "11GiB"},
  {"retention.max_jobs", "1000001"},
  {"retention.download_hold", "2h"},
  {"retention.sweep_interval", "61s"},
  {"shutdown.grace_period", "6s"},
  {"log.level", "debug"},
  {"log.format", "text"},
};

class DifferenceTest : public ::testing::Test {
protected:
  // What is different if the key has its other value.
  std::vector<difference> change(const std::string& key) {
    changed = loaded_from(file_with({{key, other_values.at(key)}}));
    return differences(before, changed);
  }

  std::vector<std::string> paths_of(const std::vector<difference>& all) {
    std::vector<std::string> result;
    for (const auto& x : all)
      result.push_back(x.path);
    return result;
  }

  settings before = loaded_from(file_with({}));
  settings changed;
};

TEST_F(DifferenceTest, IsNoneBetweenEqualFiles) {
  EXPECT_THAT(differences(before, loaded_from(file_with({}))), IsEmpty());
}

TEST_F(DifferenceTest, IsSeenInEveryKey) {
  for (const auto& key : describe()) {
    ASSERT_EQ(other_values.count(key.path), 1u)
      << "say here what else " << key.path << " may be";
    EXPECT_THAT(change(key.path), Not(IsEmpty())) << key.path;
  }
}

TEST_F(DifferenceTest, IsAppliedExactlyWhereNoRestartIsNeeded) {
  for (const auto& key : describe()) {
    change(key.path);
    const auto now = with_live_keys(before, changed);
    EXPECT_EQ(differences(before, now).empty(), !is_live(key.path)) << key.path;
    EXPECT_EQ(differences(now, changed).empty(), is_live(key.path)) << key.path;
    for (const auto& x : differences(before, changed))
      EXPECT_EQ(x.needs_restart, !is_live(key.path)) << x.path;
  }
}

TEST_F(DifferenceTest, SaysWhatWasAndWhatIs) {
  const auto found = change("limits.collect.window");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, "limits.collect.window");
  EXPECT_EQ(found[0].before, "1m");
  EXPECT_EQ(found[0].after, "61s");
  EXPECT_FALSE(found[0].needs_restart);
}

TEST_F(DifferenceTest, NamesAccountsAndCredentialsByWhatTheyAreCalled) {
  EXPECT_THAT(paths_of(change("accounts[].max_jobs")),
              ElementsAre("accounts[" + account + "].max_jobs"));
  EXPECT_THAT(
    paths_of(change("accounts[].credentials[].rights")),
    ElementsAre("accounts[" + account + "].credentials[ops].rights",
                "accounts[" + account + "].credentials[pair-of-ops].rights"));
  EXPECT_THAT(paths_of(change("systems.*.interfaces[].snaplen")),
              ElementsAre("systems.magic-transit.interfaces[0].snaplen"));
}

TEST_F(DifferenceTest, NamesAnItemThatCameOrWentOnce) {
  const auto found = change("accounts[].id");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, "accounts[" + account + "]");
  EXPECT_EQ(found[0].before, "present");
  EXPECT_EQ(found[0].after, "absent");
  EXPECT_EQ(found[1].path, "accounts[" + other_account + "]");
  EXPECT_EQ(found[1].before, "absent");
  EXPECT_EQ(found[1].after, "present");
}

TEST_F(DifferenceTest, ShowsNoHash) {
  for (const auto* key : {"token_hash", "key_hash"}) {
    const auto found = change(std::string{"accounts[].credentials[]."} + key);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].before, "hidden");
    EXPECT_EQ(found[0].after, "hidden");
  }
}

TEST_F(DifferenceTest, TellsAWordFromNoWord) {
  auto unnamed = before;
  unnamed.node.name.clear();
  auto none = before;
  none.node.name = "none";
  EXPECT_THAT(paths_of(differences(unnamed, none)), ElementsAre("node.name"));
}

TEST_F(DifferenceTest, IsNoneInAnotherOrderOfAccounts) {
  before.accounts.push_back(before.accounts.front());
  before.accounts.back().id = other_account;
  changed = before;
  std::swap(changed.accounts.front(), changed.accounts.back());
  EXPECT_THAT(differences(before, changed), IsEmpty());
}

TEST_F(DifferenceTest, TellsNamesApartThatBeginAlike) {
  before.systems.push_back(before.systems.front());
  before.systems.back().name = "magic-transit.2";
  changed = before;
  changed.systems.erase(changed.systems.begin());
  changed.systems.back().interfaces[0].snaplen_bytes = 1500;
  EXPECT_THAT(paths_of(differences(before, changed)),
              ElementsAre("systems.magic-transit",
                          "systems.'magic-transit.2'.interfaces[0].snaplen"));
}

} // namespace
} // namespace edgecap::config

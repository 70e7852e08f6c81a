#include "config/secret_check.hpp"
#include "config/validate.hpp"
#include "tests/config/support.hpp"

#include <gmock/gmock.h>

namespace edgecap::config {
namespace {

using ::testing::HasSubstr;

// printf '\xaa…(16 times)edgecap-demo-token' | sha256sum, and so on.
const std::string demo_token_hash
  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:"
    "5ccdbfb2343436280fabb031a69cfee170137a73dc0b17db287ed8623fe7351b";
const std::string demo_key_hash
  = "sha256:00112233445566778899aabbccddeeff:"
    "f0c86d5aff1ab1f5333c367bd611730f2a2842fc8d9fdfe48311a8b841f72a56";

std::string with_hash(const std::string& hash, const std::string& more) {
  auto text = minimal;
  const auto begin = text.find("sha256:");
  text.replace(begin, text.find('"', begin) - begin, hash);
  return text + more;
}

TEST(SecretCheckTest, KnowsTheFormOfAHash) {
  EXPECT_TRUE(is_secret_hash(demo_token_hash));
  auto upper = demo_token_hash;
  upper[10] = 'A';
  EXPECT_FALSE(is_secret_hash(upper));
  EXPECT_FALSE(is_secret_hash(demo_token_hash + "0"));
  EXPECT_FALSE(
    is_secret_hash(demo_token_hash.substr(0, demo_token_hash.size() - 1)));
  EXPECT_FALSE(is_secret_hash("sha512" + demo_token_hash.substr(6)));
  auto no_colon = demo_token_hash;
  no_colon[39] = '0';
  EXPECT_FALSE(is_secret_hash(no_colon));
  EXPECT_FALSE(is_secret_hash(""));
}

TEST(SecretCheckTest, VerifiesWhateverTheSalt) {
  EXPECT_TRUE(is_hash_of(demo_token_hash, "edgecap-demo-token"));
  EXPECT_TRUE(is_hash_of(demo_key_hash, "edgecap-demo-key"));
  EXPECT_FALSE(is_hash_of(demo_key_hash, "edgecap-demo-token"));
  EXPECT_FALSE(is_hash_of("edgecap-demo-token", "edgecap-demo-token"));
}

TEST(ValidateTest, LetsTheDemoSecretsListenOnLoopbackOnly) {
  for (auto address : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"})
    for (const auto& hash : {demo_token_hash, demo_key_hash})
      EXPECT_EQ(faults_of(with_hash(hash, "listen: {address: \""
                                            + std::string{address} + "\"}\n")),
                "")
        << address;
  for (auto address :
       {"0.0.0.0", "192.0.2.1", "::", "2001:db8::1", "::ffff:192.0.2.1"}) {
    for (const auto& hash : {demo_token_hash, demo_key_hash})
      EXPECT_THAT(
        faults_of(with_hash(hash, "listen: {behind_proxy: true, "
                                  "address: \""
                                    + std::string{address} + "\"}\n")),
        HasSubstr("f:4: accounts[0].credentials[0].token_hash: is "
                  "the hash of the demo secret"))
        << address;
  }
}

TEST(ValidateTest, BoundsTheNumberOfSalts) {
  const auto with_salts = [](int salts, int secrets) {
    std::string list;
    for (auto i = 0; i < secrets; ++i) {
      auto hash = demo_token_hash;
      const auto salt = i % salts;
      hash[7] = static_cast<char>('a' + salt / 6);
      hash[8] = static_cast<char>('a' + salt % 6);
      list += "      - {name: x" + std::to_string(i) + ", token_hash: \"" + hash
              + "\", rights: [read]}\n";
    }
    auto text = minimal;
    const auto first = text.find("      - {name: ops");
    const auto end = text.find('\n', first) + 1;
    return text.replace(first, end - first, list);
  };
  EXPECT_EQ(faults_of(with_salts(16, 100)), "");
  EXPECT_EQ(
    faults_of(with_salts(18, 100)),
    "f:20: accounts[0].credentials[16].token_hash: has another salt than 16 "
    "before it, which are as many as there may be: hash the secret with one of "
    "theirs, by 'edgecapd --hash-secret --salt-of FILE'\n");
}

TEST(ValidateTest, TheQuickstartIsRefusedElsewhere) {
  auto text = slurp("deploy/quickstart.yaml");
  const auto address = text.find("127.0.0.1\n");
  ASSERT_NE(address, std::string::npos);
  text.replace(address, 9, "0.0.0.0\n  behind_proxy: true");
  const auto told = faults_of(text);
  EXPECT_THAT(told, HasSubstr("credentials[0].token_hash: is the hash of the "
                              "demo secret 'edgecap-demo-token'"));
  EXPECT_THAT(told, HasSubstr("credentials[1].key_hash: is the hash of the "
                              "demo secret 'edgecap-demo-key'"));
}

TEST(ValidateTest, ListensElsewhereBehindAProxyOnly) {
  EXPECT_EQ(faults_of(minimal + "listen: {address: 192.0.2.1}\n"),
            "f:8: listen.address: '192.0.2.1' is not a loopback address: "
            "edgecapd speaks no TLS; put a proxy in front of it that does and "
            "set behind_proxy: true\n");
  EXPECT_EQ(
    faults_of(minimal + "listen: {address: 192.0.2.1, behind_proxy: true}\n"),
    "");
}

TEST(ValidateTest, TrustsProxiesByTheirAddressOnly) {
  const auto listing = [](const std::string& proxies) {
    return faults_of(minimal + "listen:\n  trusted_proxies: " + proxies + "\n");
  };
  EXPECT_EQ(listing("[]"), "");
  EXPECT_EQ(listing("[192.0.2.1, \"2001:db8::1\"]"), "");
  for (auto other :
       {"proxy", "10.0.0.0/8", "[::1]", "192.0.2.1:80", "fe80::1%a"})
    EXPECT_EQ(listing("[192.0.2.1, \"" + std::string{other} + "\"]"),
              "f:9: listen.trusted_proxies[1]: '" + std::string{other}
                + "' is not an IPv4 or IPv6 address; names, networks, ports "
                  "and zones are not supported\n");
  for (auto nobody : {"0.0.0.0", "::"})
    EXPECT_EQ(listing("[\"" + std::string{nobody} + "\"]"),
              "f:9: listen.trusted_proxies[0]: '" + std::string{nobody}
                + "' is nobody's address: write the one that the proxy "
                  "connects from\n");
  EXPECT_EQ(listing("[192.0.2.1, 192.0.2.2, 192.0.2.1]"),
            "f:9: listen.trusted_proxies[2]: '192.0.2.1' is used twice: first "
            "at listen.trusted_proxies[0] on line 9\n");
}

TEST(ValidateTest, NamesEachProxyByItsPlaceInTheList) {
  EXPECT_EQ(faults_of(minimal + R"(listen:
  trusted_proxies:
    - {address: 192.0.2.1}
    - proxy
    - ~
    - 192.0.2.123.0000000000000000000000000000000000000
)"),
            "f:10: listen.trusted_proxies[0]: must be a single value, not a "
            "mapping\n"
            "f:11: listen.trusted_proxies[1]: 'proxy' is not an IPv4 or IPv6 "
            "address; names, networks, ports and zones are not supported\n"
            "f:12: listen.trusted_proxies[2]: has no value\n"
            "f:13: listen.trusted_proxies[3]: has 49 bytes: must be at most "
            "45\n");
  EXPECT_EQ(faults_of(minimal + "listen: {trusted_proxies: 192.0.2.1}\n"),
            "f:8: listen.trusted_proxies: must be a list, not a single "
            "value\n");
  std::string many;
  for (auto i = 0; i < 65; ++i)
    many += "192.0.2." + std::to_string(i) + ", ";
  EXPECT_EQ(faults_of(minimal + "listen: {trusted_proxies: [" + many + "]}\n"),
            "f:8: listen.trusted_proxies: has 65 entries: must be at most "
            "64\n");
}

TEST(ValidateTest, AcceptsEqualSizes) {
  EXPECT_EQ(
    faults_of(minimal + "capture: {ring: 1MiB, batch: 1MiB, credit: 1MiB}\n"),
    "");
}

TEST(ValidateTest, ComparesWithDefaultsToo) {
  EXPECT_EQ(
    faults_of(minimal + "capture:\n  batch: 16MiB\n"),
    "f:8: capture.credit: 1MiB is less than capture.batch, 16MiB: a "
    "sampler could never send a whole batch\n"
    "f:8: capture.ring: 8MiB is less than capture.batch, 16MiB: a batch "
    "is read from the ring\n");
}

TEST(ValidateTest, NamesSystemsByLettersDigitsAndTwoSigns) {
  auto named = [](const std::string& name) {
    auto text = minimal;
    return text.replace(text.find("magic-transit"), 13, name);
  };
  EXPECT_EQ(faults_of(named("A-b_9")), "");
  EXPECT_EQ(faults_of(named(std::string(64, 'a'))), "");
  EXPECT_THAT(faults_of(named(std::string(65, 'a'))),
              HasSubstr("a system's name is 1 to 64 letters"));
  EXPECT_THAT(faults_of(named("a.b")),
              HasSubstr("f:6: systems.'a.b': a system's name is"));
  EXPECT_THAT(faults_of(named("\"\"")), HasSubstr("f:6: systems.'': a system"));
}

TEST(ValidateTest, EachRoleNeedsItsOwn) {
  const std::string systems = "systems:\n  lab:\n    interfaces: [lo]\n";
  EXPECT_EQ(faults_of("role: edge\n" + systems), "");
  EXPECT_EQ(faults_of(systems), "f:1: accounts: is missing\n");
  EXPECT_EQ(faults_of("role: collector\n" + systems),
            "f:1: accounts: is missing\n");
  EXPECT_EQ(faults_of("role: edge\n" + minimal),
            "f:2: accounts: an edge serves no API: its collector has the "
            "accounts\n");
  const auto accounts = minimal.substr(0, minimal.find("systems:"));
  EXPECT_EQ(faults_of("role: collector\n" + accounts + "systems: {lab: {}}\n"),
            "");
  EXPECT_EQ(faults_of(accounts + "systems: {lab: {}}\n"),
            "f:5: systems.lab.interfaces: is missing\n");
  EXPECT_EQ(faults_of("role: edge\nsystems: {lab: {}}\n"),
            "f:2: systems.lab.interfaces: is missing\n");
  EXPECT_EQ(faults_of("role: edges\n" + minimal),
            "f:1: role: 'edges' is not one of standalone, collector, edge: did "
            "you mean 'edge'?\n");
}

TEST(ValidateTest, AnEdgeSendsSmallBatches) {
  const std::string edge = "role: edge\nsystems: {lab: {interfaces: [lo]}}\n";
  EXPECT_EQ(faults_of(edge + "capture: {batch: 1MiB, credit: 1MiB}\n"), "");
  EXPECT_EQ(faults_of(edge + "capture: {batch: 2MiB, credit: 2MiB}\n"),
            "f:3: capture.batch: 2MiB is more than the 1MiB that an edge sends "
            "at once\n");
}

TEST(ValidateTest, ANodeProvesItsNameWithACertificateAndItsKey) {
  const auto with = [](const std::string& fleet) {
    return faults_of(minimal + "fleet: {" + fleet + "}\n");
  };
  EXPECT_EQ(with("certificate: /a, key: /b, authority: /c, revoked: /d"), "");
  EXPECT_EQ(with("certificate: /a"),
            "f:8: fleet.certificate: is of no use without fleet.key\n");
  EXPECT_EQ(with("key: /a"),
            "f:8: fleet.key: is of no use without fleet.certificate\n");
  EXPECT_EQ(with("revoked: /a"),
            "f:8: fleet.revoked: is of no use without fleet.authority\n");
  EXPECT_EQ(with("authority: ca.crt"),
            "f:8: fleet.authority: 'ca.crt' is not an absolute path: begin it "
            "with '/'\n");
}

TEST(ValidateTest, AFleetMeetsBehindAWallOnly) {
  const auto with = [](const std::string& fleet) {
    return faults_of(minimal + "fleet: {" + fleet + "}\n");
  };
  EXPECT_EQ(with("address: 127.0.0.2"), "");
  EXPECT_EQ(with("address: 192.0.2.1, behind_wall: true"), "");
  EXPECT_EQ(
    with("address: 192.0.2.1"),
    "f:8: fleet.address: '192.0.2.1' is not a loopback address: whoever "
    "reaches it can bring edgecapd down; put a wall in front of it that "
    "lets members of the fleet pass alone, and set behind_wall: true\n");
  EXPECT_EQ(with("address: collector.example"),
            "f:8: fleet.address: 'collector.example' is not an IPv4 or IPv6 "
            "address; names, brackets and zones are not supported\n");
  EXPECT_EQ(faults_of(minimal + "node: {colo: a/b}\n"),
            "f:8: node.colo: 'a/b' may hold letters, digits, '.', '_' and "
            "'-'\n");
}

TEST(ValidateTest, OneCredentialNameMayServeTwoAccounts) {
  auto second = minimal.substr(
    minimal.find("  - id"), minimal.find("systems") - minimal.find("  - id"));
  second.replace(second.find("0123"), 4, "4567");
  auto text = minimal;
  text.insert(text.find("systems"), second);
  EXPECT_EQ(faults_of(text), "");
}

// -- missing interfaces
// -----------------------------------------------------------

std::string missing(const std::string& yaml,
                    const std::vector<std::string>& names) {
  auto result = load_text(yaml);
  EXPECT_EQ(report(result, "f"), "");
  add_faults(result, missing_interfaces(result.values, names));
  return report(result, "f");
}

TEST(MissingInterfacesTest, FindsNamesAndGlobsThatFit) {
  const auto text = minimal + R"(  more:
    interfaces: ["e*", "veth[0-9]", {match: "eth?"}]
)";
  EXPECT_EQ(missing(text, {"lo", "eth0", "veth1"}), "");
}

TEST(MissingInterfacesTest, NamesEveryOneWithItsLineAndTheNearest) {
  const auto text = minimal + R"(  more:
    interfaces:
      - eht0
      - snaplen: 100B
        match: wlan0
      - veth*
)";
  EXPECT_EQ(missing(text, {"eth0", "eth1"}),
            "f:7: systems.magic-transit.interfaces[0]: there is no interface "
            "'lo'; the host has eth0, eth1\n"
            "f:10: systems.more.interfaces[0]: there is no interface 'eht0': "
            "did you mean 'eth0'?; the host has eth0, eth1\n"
            "f:12: systems.more.interfaces[1].match: there is no interface "
            "'wlan0'; the host has eth0, eth1\n"
            "f:13: systems.more.interfaces[2]: no interface fits 'veth*'; the "
            "host has eth0, eth1\n");
}

TEST(MissingInterfacesTest, BoundsWhatItLists) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i)
    names.push_back("veth" + std::to_string(i));
  EXPECT_THAT(missing(minimal, names), HasSubstr("veth15 and 4 more\n"));
  EXPECT_THAT(missing(minimal, {}), HasSubstr("'lo'; the host has none\n"));
}

TEST(MissingInterfacesTest, SaysNothingOfEntriesThatCouldNotBeRead) {
  auto result = load_text("systems: {a: {interfaces: [[], {snaplen: 1B}]}}\n");
  EXPECT_TRUE(missing_interfaces(result.values, {"lo"}).empty());
}

} // namespace
} // namespace edgecap::config

// Who is believed about whom, without sockets.
#include "http/client_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>

using namespace edgecap::http;
using testing::Optional;

namespace {

const trusted_proxies proxies{{"10.0.0.1", "10.0.0.2", "2001:DB8:0::1"}};

std::string client(const std::string& forwarded_for) {
  return proxies.client_address("10.0.0.1", forwarded_for);
}

} // namespace

TEST(CanonicalAddress, WritesEachAddressInOneWay) {
  EXPECT_THAT(canonical_address("192.0.2.1"),
              Optional(std::string("192.0.2.1")));
  EXPECT_THAT(canonical_address("2001:DB8:0:0::1"),
              Optional(std::string("2001:db8::1")));
  for (const auto* mapped : {"::ffff:192.0.2.1", "::FFFF:c000:201"})
    EXPECT_THAT(canonical_address(mapped), Optional(std::string("192.0.2.1")));
}

TEST(CanonicalAddress, TakesNothingElse) {
  for (const auto* other :
       {"", " ", "a", "192.0.2", "192.0.2.256", "192.0.2.1 ", " 192.0.2.1",
        "192.0.2.01", "192.0.2.1:80", "[::1]", "[::1]:80", "fe80::1%eth0",
        "::1::", "unknown", "_hidden", "\"192.0.2.1\"", "192.0.2.0/24",
        "0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0"})
    EXPECT_EQ(canonical_address(other), std::nullopt) << other;
  EXPECT_EQ(canonical_address(std::string("192.0.2.1\0x", 11)), std::nullopt);
}

TEST(TrustedProxies, AreKnownInAnySpelling) {
  EXPECT_TRUE(proxies.contains("10.0.0.1"));
  EXPECT_TRUE(proxies.contains("::ffff:10.0.0.1"));
  EXPECT_TRUE(proxies.contains("2001:db8::1"));
  EXPECT_FALSE(proxies.contains("10.0.0.3"));
  EXPECT_FALSE(proxies.contains(""));
  EXPECT_FALSE(trusted_proxies({}).contains("127.0.0.1"));
  EXPECT_THROW(trusted_proxies({"localhost"}), std::runtime_error);
}

TEST(TrustedProxies, OthersAreNotBelieved) {
  for (const auto* peer : {"10.0.0.3", "127.0.0.1", "::1", "no address"})
    EXPECT_EQ(proxies.client_address(peer, "192.0.2.1"), peer);
  EXPECT_EQ(trusted_proxies({}).client_address("127.0.0.1", "192.0.2.1"),
            "127.0.0.1");
}

TEST(TrustedProxies, NameTheClient) {
  EXPECT_EQ(client("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client(" \t192.0.2.1\t "), "192.0.2.1");
  EXPECT_EQ(client("2001:DB8::99"), "2001:db8::99");
  EXPECT_EQ(client("::ffff:192.0.2.1"), "192.0.2.1");
}

TEST(TrustedProxies, AreSkippedFromTheEnd) {
  EXPECT_EQ(client("192.0.2.1, 10.0.0.2"), "192.0.2.1");
  EXPECT_EQ(client("192.0.2.1,2001:db8::1 ,\t10.0.0.1"), "192.0.2.1");
}

TEST(TrustedProxies, DoNotVouchForWhatTheClientClaims) {
  EXPECT_EQ(client("10.0.0.2, 192.0.2.9, 192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client("anything at all, , 192.0.2.1, 10.0.0.2"), "192.0.2.1");
}

TEST(TrustedProxies, AreTheClientThemselvesIfTheyNameNobodyElse) {
  EXPECT_EQ(client(""), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.2"), "10.0.0.2");
  EXPECT_EQ(client("10.0.0.2, 10.0.0.1"), "10.0.0.2");
}

TEST(TrustedProxies, AreTheClientIfWhatTheySayIsMalformed) {
  for (const auto* malformed :
       {"unknown", ",", " ", "192.0.2.1,", "192.0.2.1, ", "192.0.2.1:80",
        "192.0.2.1 192.0.2.2", "[2001:db8::5]", "nonsense, 10.0.0.2",
        "192.0.2.1, nonsense, 10.0.0.2"})
    EXPECT_EQ(client(malformed), "10.0.0.1") << malformed;
}

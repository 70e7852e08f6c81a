#include "http/client_network.hpp"

#include <gtest/gtest.h>

using namespace edgecap::http;

TEST(ClientNetworkTest, CountsAnIpv4AddressAsItIs) {
  EXPECT_EQ(client_network("192.0.2.1"), client_network("192.0.2.1"));
  EXPECT_EQ(client_network("192.0.2.1"), client_network("::ffff:192.0.2.1"));
  EXPECT_EQ(client_network("192.0.2.1"), client_network("::ffff:c000:201"));
  EXPECT_NE(client_network("192.0.2.1"), client_network("192.0.2.2"));
}

TEST(ClientNetworkTest, CountsIpv6AddressesByTheirFirst64Bits) {
  EXPECT_EQ(client_network("2001:db8::1"), client_network("2001:DB8::2:3"));
  EXPECT_NE(client_network("2001:db8::1"), client_network("2001:db8:0:1::1"));
  // What is mapped does not fall into one network with ::1.
  EXPECT_NE(client_network("::1"), client_network("::ffff:192.0.2.1"));
}

TEST(ClientNetworkTest, LeavesOtherTextAlone) {
  EXPECT_EQ(client_network("unknown"), "unknown");
  EXPECT_EQ(client_network(""), "");
  EXPECT_EQ(client_network("fe80::1%eth0"), "fe80::1%eth0");
}

TEST(ClientNetworkTest, KnowsTheHostItself) {
  for (const auto* address :
       {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback(address)) << address;
  for (const auto* address : {"128.0.0.1", "126.0.0.1", "192.0.2.1",
                              "::", "::2", "::ffff:128.0.0.1", "localhost", ""})
    EXPECT_FALSE(is_loopback(address)) << address;
}

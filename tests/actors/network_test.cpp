#include "actors/network.hpp"

#include <caf/defaults.hpp>
#include <caf/timespan.hpp>
#include <gtest/gtest.h>

#include <chrono>

namespace edgecap::test {

using namespace std::chrono_literals;

namespace {

/// An option as CAF's middleman asks for it: what was set under another name,
/// or as another type, it does not find, and takes the default.
caf::timespan asked_for(const caf::actor_system_config& config,
                        caf::string_view name, caf::timespan otherwise) {
  return caf::get_or(config, name, otherwise);
}

caf::timespan heartbeat_interval(const caf::actor_system_config& config) {
  return asked_for(config, "middleman.heartbeat-interval",
                   caf::defaults::middleman::heartbeat_interval);
}

caf::timespan connection_timeout(const caf::actor_system_config& config) {
  return asked_for(config, "middleman.connection-timeout",
                   caf::defaults::middleman::connection_timeout);
}

} // namespace

TEST(Network, BothEndsLookForEachOtherAndGiveUp) {
  caf::actor_system_config config;
  EXPECT_NE(heartbeat_interval(config), 5s) << "what is set, not a default";
  EXPECT_NE(connection_timeout(config), 20s);
  prepare_network(config);
  EXPECT_EQ(heartbeat_interval(config), 5s);
  EXPECT_EQ(connection_timeout(config), 20s);
}

} // namespace edgecap::test

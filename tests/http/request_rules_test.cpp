// Rules that are replaced while other threads ask. Run under ThreadSanitizer.
#include "http/request_rules.hpp"
#include "http/secret.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace edgecap::http;

namespace {

/// One credential, whose token and name are `token`, and a limit of as many
/// packets as that has letters.
api_rules rules_of(const std::string& token) {
  api_rules result;
  result.credentials = {{"account", token, "", hash_secret(token), true}};
  result.max_packet_limit = static_cast<std::uint32_t>(token.size());
  return result;
}

request with_token(const std::string& token) {
  request result;
  result.headers["authorization"] = "Bearer " + token;
  return result;
}

TEST(RequestRulesTest, RefusesAfterAChangeWhomItLetInBefore) {
  current_rules aut{rules_of("alice")};
  const auto before = aut.get();
  const auto who = before->who.authenticate(with_token("alice"));
  ASSERT_TRUE(who);
  aut.set(rules_of("robert"));
  EXPECT_FALSE(aut.get()->who.authenticate(with_token("alice")));
  EXPECT_TRUE(aut.get()->who.authenticate(with_token("robert")));
  EXPECT_EQ((*who)->name, "alice") << "whoever is let in keeps his rules";
}

TEST(RequestRulesTest, ShowsOneSetOfRulesAtATime) {
  constexpr auto changes = 2000;
  const auto alice = rules_of("alice");
  const auto robert = rules_of("robert");
  current_rules aut{alice};
  std::atomic<bool> done{false};
  std::atomic<int> mixed{0};
  const auto ask = [&] {
    const auto as_alice = with_token("alice");
    const auto as_robert = with_token("robert");
    do {
      const auto rules = aut.get();
      const auto a = rules->who.authenticate(as_alice);
      const auto r = rules->who.authenticate(as_robert);
      const auto* who = a ? *a : r ? *r : nullptr;
      if (a.has_value() == r.has_value()
          || who->name.size() != rules->limits.max_packet_limit)
        ++mixed;
    } while (!done);
  };
  std::vector<std::thread> askers;
  for (auto i = 0; i < 3; ++i)
    askers.emplace_back(ask);
  for (auto i = 0; i < changes; ++i)
    aut.set(i % 2 == 0 ? robert : alice);
  done = true;
  for (auto& x : askers)
    x.join();
  EXPECT_EQ(mixed, 0);
}

} // namespace

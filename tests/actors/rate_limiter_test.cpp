#include "actors/rate_limiter.hpp"
#include "tests/support/actor_fixture.hpp"

namespace edgecap::test {

using namespace std::chrono_literals;

class RateLimiter : public actor_fixture {
protected:
  admission acquire(allowance kind = allowance::collect,
                    const std::string& account = "a") {
    auto answer = ask<admission>(aut, atom::acquire_v, account, kind);
    EXPECT_TRUE(answer);
    return answer ? *answer : admission{};
  }

  void refund(const std::string& account, std::uint64_t ticket) {
    self->send(aut, atom::refund_v, account, allowance::collect, ticket);
    run();
  }

  void set_limits(const rate_limiter_options& limits) {
    EXPECT_TRUE(ask<caf::ok_atom>(aut, atom::limits_v, limits));
  }

  void TearDown() override {
    aut = nullptr;
    actor_fixture::TearDown();
  }

  rate_limiter_actor aut;
};

TEST_F(RateLimiter, GrantsOnePerMinute) {
  aut = spawn(rate_limiter, rate_limiter_options{});
  EXPECT_TRUE(acquire().granted);
  const auto refused = acquire();
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.limit, 1u);
  EXPECT_EQ(refused.window_s, 60u);
  EXPECT_EQ(refused.retry_after_ms, 60000u);
  advance(59s + 999ms, 1s);
  EXPECT_EQ(acquire().retry_after_ms, 1u);
  advance(1ms);
  EXPECT_TRUE(acquire().granted);
}

TEST_F(RateLimiter, AdmitsWhoeverWaitsAsLongAsHeWasTold) {
  aut = spawn(rate_limiter, rate_limiter_options{});
  acquire();
  advance(12345678ns, 1s);
  const auto wait = acquire().retry_after_ms;
  advance(std::chrono::milliseconds{wait}, 1s);
  EXPECT_TRUE(acquire().granted);
}

TEST_F(RateLimiter, SlidesItsWindow) {
  // A window that started anew each minute would grant two within a second.
  aut = spawn(rate_limiter, rate_limiter_options{{2, 60}, {1200, 300}});
  advance(59s, 1s);
  EXPECT_TRUE(acquire().granted);
  EXPECT_TRUE(acquire().granted);
  advance(2s, 1s);
  EXPECT_EQ(acquire().retry_after_ms, 58000u);
}

TEST_F(RateLimiter, KeepsAccountsAndAllowancesApart) {
  aut = spawn(rate_limiter, rate_limiter_options{{1, 60}, {2, 300}});
  EXPECT_TRUE(acquire(allowance::collect, "a").granted);
  EXPECT_TRUE(acquire(allowance::collect, "b").granted);
  EXPECT_EQ(acquire(allowance::general, "a").remaining, 1u);
  EXPECT_TRUE(acquire(allowance::general, "a").granted);
  EXPECT_FALSE(acquire(allowance::general, "a").granted);
}

TEST_F(RateLimiter, TakesAnOperationBack) {
  aut = spawn(rate_limiter, rate_limiter_options{});
  const auto first = acquire();
  refund("a", first.ticket);
  EXPECT_TRUE(acquire().granted);
  refund("stranger", first.ticket);
  refund("a", first.ticket);
  EXPECT_FALSE(acquire().granted) << "it was given back before";
}

// Or the account had its next minute too early: the other's would end first.
TEST_F(RateLimiter, TakesTheVeryOperationBack) {
  aut = spawn(rate_limiter, rate_limiter_options{{2, 60}, {1200, 300}});
  const auto first = acquire();
  advance(20s, 1s);
  acquire();
  refund("a", first.ticket);
  advance(45s, 1s);
  EXPECT_TRUE(acquire().granted);
  EXPECT_EQ(acquire().retry_after_ms, 15000u);
}

TEST_F(RateLimiter, TakesOverWhatWasSpentBefore) {
  aut = spawn(rate_limiter, rate_limiter_options{{2, 60}, {1200, 300}});
  constexpr std::uint64_t second = 1'000'000'000;
  self->send(aut, atom::resume_v,
             std::vector<spent_allowance>{{"a", 70 * second},
                                          {"a", 50 * second},
                                          {"b", 45 * second},
                                          {"b", 40 * second},
                                          {"b", 20 * second},
                                          {"c", ~std::uint64_t{0}}});
  run();
  EXPECT_EQ(acquire().remaining, 0u) << "one is too old to count";
  EXPECT_EQ(acquire().retry_after_ms, 10000u);
  EXPECT_EQ(acquire(allowance::collect, "b").retry_after_ms, 20000u)
    << "the youngest two decide";
  EXPECT_EQ(acquire(allowance::collect, "c").remaining, 1u);
  EXPECT_EQ(acquire(allowance::general).remaining, 1199u)
    << "this one starts anew";
}

TEST_F(RateLimiter, ForgetsAccountsThatAreAtFullAllowance) {
  aut = spawn(rate_limiter, rate_limiter_options{});
  acquire();
  acquire(allowance::general);
  const auto& state = state_of<rate_limiter_state>(aut);
  advance(121s, 1s);
  EXPECT_EQ(state.collect.size(), 0u);
  EXPECT_EQ(state.general.size(), 1u);
  advance(240s, 1s);
  EXPECT_EQ(state.general.size(), 0u);
}

// -- limits that change -------------------------------------------------------

TEST_F(RateLimiter, CountsWhatWasUsedAgainstAHigherLimit) {
  aut = spawn(rate_limiter, rate_limiter_options{{60, 300}, {1, 1}});
  for (auto i = 0; i < 60; ++i)
    EXPECT_TRUE(acquire().granted);
  EXPECT_FALSE(acquire().granted);
  set_limits({{100, 300}, {1, 1}});
  EXPECT_EQ(acquire().remaining, 39u);
  for (auto i = 1; i < 40; ++i)
    EXPECT_TRUE(acquire().granted);
  EXPECT_FALSE(acquire().granted);
}

TEST_F(RateLimiter, CountsWhatWasUsedAgainstALowerLimit) {
  aut = spawn(rate_limiter, rate_limiter_options{{5, 60}, {1, 1}});
  for (auto i = 0; i < 5; ++i) {
    EXPECT_TRUE(acquire().granted);
    advance(1s, 1s);
  }
  set_limits({{2, 60}, {1, 1}});
  const auto refused = acquire();
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.limit, 2u);
  // Two of the five may still count: room comes when the fourth ends.
  EXPECT_EQ(refused.retry_after_ms, 58000u);
  advance(58s - 1ms, 1s);
  EXPECT_FALSE(acquire().granted);
  advance(1ms);
  EXPECT_TRUE(acquire().granted);
  EXPECT_EQ(acquire().retry_after_ms, 1000u);
}

TEST_F(RateLimiter, CountsOverAShorterWindow) {
  aut = spawn(rate_limiter, rate_limiter_options{{1, 60}, {1, 1}});
  acquire();
  set_limits({{1, 10}, {1, 1}});
  EXPECT_EQ(acquire().retry_after_ms, 10000u);
  advance(10s, 1s);
  EXPECT_TRUE(acquire().granted);
}

TEST_F(RateLimiter, CountsOverALongerWindow) {
  aut = spawn(rate_limiter, rate_limiter_options{{1, 10}, {1, 1}});
  acquire();
  advance(5s, 1s);
  set_limits({{1, 60}, {1, 1}});
  EXPECT_EQ(acquire().retry_after_ms, 55000u);
  advance(55s, 1s);
  EXPECT_TRUE(acquire().granted);
}

TEST_F(RateLimiter, KeepsItsLimitsIfOthersAreImpossible) {
  aut = spawn(rate_limiter, rate_limiter_options{{2, 60}, {1, 1}});
  EXPECT_EQ(failure_of(ask<caf::ok_atom>(aut, atom::limits_v,
                                         rate_limiter_options{{9, 60}, {0, 1}}))
              .text,
            "rate limiter: allowance general is out of range");
  EXPECT_EQ(acquire().limit, 2u);
}

TEST_F(RateLimiter, RefusesImpossibleOptions) {
  for (const auto bad : {allowance_options{0, 60}, allowance_options{1, 0},
                         allowance_options{1, 86401}}) {
    aut = spawn(rate_limiter, rate_limiter_options{bad, {1, 1}});
    run();
    EXPECT_TRUE(dead(aut));
  }
}

} // namespace edgecap::test

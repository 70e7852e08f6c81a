#include "http/bridge.hpp"
#include "http/server.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/captured_log.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <memory>
#include <stdexcept>
#include <vector>

// The bridge between threads that are no actors and the engine; the limiter
// stands for all whom it asks.
namespace edgecap::http {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 1000ms;

/// Answers at once, or, if silent, all at the next tick.
struct limiter_script {
  bool silent = false;
  std::vector<caf::typed_response_promise<admission>> promises;
};

rate_limiter_actor::behavior_type
fake_limiter(rate_limiter_actor::pointer self,
             const std::shared_ptr<limiter_script>& st) {
  return {
    [=](atom::acquire, const std::string&,
        allowance) -> caf::result<admission> {
      if (!st->silent)
        return admission{true, 10, 9, 60, 0};
      st->promises.push_back(self->make_response_promise<admission>());
      return st->promises.back();
    },
    [](atom::refund, const std::string&, allowance, std::uint64_t) {},
    [](atom::resume, const std::vector<spent_allowance>&) {},
    [](atom::limits, const rate_limiter_options&) { return caf::ok_atom_v; },
    [=](atom::tick) {
      for (auto& promise : st->promises)
        promise.deliver(admission{true, 10, 8, 60, 0});
    },
  };
}

class Bridge : public test::actor_fixture {
protected:
  Bridge() {
    limiter = spawn(fake_limiter, asked);
    aut = std::make_unique<bridge>(sys, engine_handles{{}, limiter, {}, {}},
                                   patience);
  }

  void TearDown() override {
    aut.reset();
    asked->promises.clear();
    limiter = nullptr;
    run();
    test::actor_fixture::TearDown();
  }

  void acquire() {
    aut->acquire("a", [this](outcome<admission> answer) {
      answers.push_back(std::move(answer));
    });
    run();
  }

  std::shared_ptr<limiter_script> asked = std::make_shared<limiter_script>();
  rate_limiter_actor limiter;
  std::unique_ptr<bridge> aut;
  std::vector<outcome<admission>> answers;
};

TEST_F(Bridge, HandsOnWhatTheEngineAnswers) {
  acquire();
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_TRUE(answers.front());
  EXPECT_EQ(answers.front()->remaining, 9u);
}

TEST_F(Bridge, WaitsNoLongerThanItsTimeout) {
  asked->silent = true;
  acquire();
  advance(patience - 1ms);
  EXPECT_EQ(answers.size(), 0u);
  advance(101ms);
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_FALSE(answers.front());
  EXPECT_TRUE(answers.front().error().timeout);
}

TEST_F(Bridge, TimesEachQuestionFromItsOwnBeginning) {
  asked->silent = true;
  acquire();
  advance(patience / 2);
  acquire();
  advance(patience / 2 + 100ms);
  EXPECT_EQ(answers.size(), 1u);
  advance(patience / 2);
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(Bridge, IgnoresAnAnswerThatComesTooLate) {
  asked->silent = true;
  acquire();
  advance(patience + 100ms);
  caf::anon_send(limiter, atom::tick_v);
  run();
  EXPECT_EQ(answers.size(), 1u);
  asked->silent = false;
  acquire();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers.back());
}

TEST_F(Bridge, LeavesNoTimerBehind) {
  acquire();
  advance(200ms);
  EXPECT_EQ(answers.size(), 1u);
  EXPECT_FALSE(sched.has_pending_timeout());
}

TEST_F(Bridge, SaysThatTheEngineIsGone) {
  asked->silent = true;
  acquire();
  caf::anon_send_exit(limiter, caf::exit_reason::kill);
  asked->promises.clear();
  run();
  acquire();
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_FALSE(answers.front());
  EXPECT_FALSE(answers.front().error().timeout);
  advance(patience + 100ms); // nobody is left to answer the first
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(Bridge, EndsOpenQuestionsWithItself) {
  asked->silent = true;
  acquire();
  aut.reset();
  run();
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_FALSE(answers.front());
  EXPECT_EQ(answers.front().error().code, errc::shutting_down);
}

TEST_F(Bridge, LetsAContinuationAskAgain) {
  aut->acquire("a", [this](const outcome<admission>& first) {
    EXPECT_TRUE(first);
    aut->acquire("a", [this](outcome<admission> second) {
      answers.push_back(std::move(second));
    });
  });
  run();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers.front());
}

TEST_F(Bridge, SurvivesAContinuationThatThrows) {
  const test::captured_log log;
  aut->acquire(
    "a", [](const outcome<admission>&) { throw std::runtime_error("oops"); });
  run();
  const auto thrown = log.events("http-continuation-threw");
  ASSERT_EQ(thrown.size(), 1u);
  EXPECT_EQ(thrown.front()["error"], "oops");
  acquire();
  EXPECT_EQ(answers.size(), 1u);
}

} // namespace
} // namespace edgecap::http

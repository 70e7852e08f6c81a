#include "capture/helper_pool.hpp"
#include "capture/named_thread.hpp"
#include "capture/reactor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::capture {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// Long enough that only a fault reaches it.
constexpr auto patience = 30s;

/// A client whose callbacks a test sets before the reactor knows it.
class scripted_client : public reactor::client {
public:
  std::function<void()> when_woken = [] {};
  std::function<void(std::uint32_t)> when_ready = [](std::uint32_t) {};
  std::function<void()> when_time = [] {};

  void on_wake() override {
    when_woken();
  }

  void on_ready(std::uint32_t events) override {
    when_ready(events);
  }

  void on_timer() override {
    when_time();
  }
};

/// Both ends of a pipe.
class pipe_pair {
public:
  pipe_pair() {
    EXPECT_EQ(::pipe(ends_.data()), 0);
  }

  ~pipe_pair() {
    close_writer();
    ::close(ends_[0]);
  }

  int reader() const {
    return ends_[0];
  }

  void write(const std::string& text) const {
    EXPECT_EQ(::write(ends_[1], text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }

  /// Reads one byte.
  char read() const {
    char result = 0;
    EXPECT_EQ(::read(ends_[0], &result, 1), 1);
    return result;
  }

  void close_writer() {
    if (ends_[1] >= 0)
      ::close(std::exchange(ends_[1], -1));
  }

private:
  std::array<int, 2> ends_{-1, -1};
};

/// Tells a test that something happened in the reactor's thread.
class signal_flag {
public:
  void raise() {
    // The test may be over, and this object gone, before set_value returns.
    const auto promise = promise_;
    promise->set_value();
  }

  bool wait() {
    return promise_->get_future().wait_for(patience)
           == std::future_status::ready;
  }

private:
  std::shared_ptr<std::promise<void>> promise_
    = std::make_shared<std::promise<void>>();
};

/// Runs `what` in the reactor's thread and waits for it.
void run_in(reactor& loop, std::function<void()> what) {
  auto client = std::make_shared<scripted_client>();
  signal_flag done;
  client->when_woken = [&] {
    what();
    done.raise();
  };
  loop.wake(client);
  ASSERT_TRUE(done.wait());
}

TEST(Reactor, CallsAClientOnceForManyWakes) {
  reactor loop;
  int calls = 0;
  auto client = std::make_shared<scripted_client>();
  client->when_woken = [&] { ++calls; };
  run_in(loop, [&] {
    for (int i = 0; i < 1000; ++i)
      loop.wake(client); // Is served only when this returned.
  });
  run_in(loop, [] {}); // Comes after it.
  EXPECT_EQ(calls, 1);
  loop.wake(client);
  run_in(loop, [] {});
  EXPECT_EQ(calls, 2);
}

TEST(Reactor, CallsAgainAndByTurnsWhileDataIsLeft) {
  reactor loop;
  pipe_pair pipes[2];
  std::string order;
  signal_flag done;
  std::shared_ptr<scripted_client> clients[2];
  for (auto i : {0, 1}) {
    clients[i] = std::make_shared<scripted_client>();
    clients[i]->when_ready = [&, i](std::uint32_t events) {
      EXPECT_EQ(events, std::uint32_t{EPOLLIN});
      order += pipes[i].read();
      if (order.size() == 6)
        done.raise();
    };
    pipes[i].write(i == 0 ? "aaa" : "bbb");
  }
  run_in(loop, [&] {
    for (auto i : {0, 1})
      EXPECT_TRUE(
        loop.watch(clients[i], pipes[i].reader(), reactor::interest::readable));
  });
  ASSERT_TRUE(done.wait());
  loop.stop(); // Before the pipes are closed, which would be news.
  // Either may be first in a round, but both have their turn in each.
  for (std::size_t round = 0; round < 6; round += 2)
    EXPECT_NE(order[round], order[round + 1]) << order;
}

TEST(Reactor, WaitsForNothingButErrorsWithoutInterest) {
  reactor loop;
  pipe_pair pipe;
  auto client = std::make_shared<scripted_client>();
  std::vector<std::uint32_t> seen;
  signal_flag hung_up;
  client->when_ready = [&](std::uint32_t events) {
    seen.push_back(events);
    loop.unwatch(*client);
    hung_up.raise();
  };
  run_in(loop, [&] {
    EXPECT_TRUE(loop.watch(client, pipe.reader(), reactor::interest::readable));
    loop.change(*client, reactor::interest::none);
  });
  pipe.write("x");
  run_in(loop, [] {});
  run_in(loop, [&] { EXPECT_THAT(seen, ElementsAre()); });
  pipe.close_writer();
  ASSERT_TRUE(hung_up.wait());
  run_in(loop, [&] { EXPECT_THAT(seen, ElementsAre(EPOLLHUP)); });
}

TEST(Reactor, CallsNoClientThatIsUnwatched) {
  reactor loop;
  pipe_pair pipes[2];
  std::shared_ptr<scripted_client> clients[2];
  int calls = 0;
  for (auto i : {0, 1}) {
    clients[i] = std::make_shared<scripted_client>();
    // Both are ready in the same round: who is first silences the other.
    clients[i]->when_ready = [&](std::uint32_t) {
      ++calls;
      loop.unwatch(*clients[0]);
      loop.unwatch(*clients[1]);
    };
    pipes[i].write("x");
  }
  run_in(loop, [&] {
    for (auto i : {0, 1})
      EXPECT_TRUE(
        loop.watch(clients[i], pipes[i].reader(), reactor::interest::readable));
  });
  run_in(loop, [] {});
  run_in(loop, [&] { EXPECT_EQ(calls, 1); });
}

TEST(Reactor, ReportsADescriptorThatCannotBeWatched) {
  reactor loop;
  auto client = std::make_shared<scripted_client>();
  run_in(loop, [&] {
    const auto ok = loop.watch(client, -1, reactor::interest::readable);
    ASSERT_FALSE(ok);
    EXPECT_EQ(ok.error().message, "watch a packet socket: Bad file descriptor");
    loop.unwatch(*client); // Does nothing.
  });
}

TEST(Reactor, FiresTimersInOrderAndNotBeforeTheirTime) {
  reactor loop;
  std::string order;
  signal_flag done;
  const auto start = reactor::clock::now();
  std::shared_ptr<scripted_client> clients[4];
  for (auto i : {0, 1, 2, 3}) {
    clients[i] = std::make_shared<scripted_client>();
    clients[i]->when_time = [&, i] {
      order += static_cast<char>('a' + i);
      if (i == 1) {
        EXPECT_GE(reactor::clock::now() - start, 20ms);
        done.raise();
      }
    };
  }
  run_in(loop, [&] {
    loop.set_timer(clients[0], start + 1ms);
    loop.set_timer(clients[1], start + 20ms);
    loop.set_timer(clients[2], start + 10ms);
    loop.set_timer(clients[3], start + 5ms);
    loop.set_timer(clients[0], start + 15ms); // In place of the first setting.
    loop.clear_timer(*clients[3]);
    loop.clear_timer(*clients[3]); // Does nothing.
  });
  ASSERT_TRUE(done.wait());
  run_in(loop, [&] { EXPECT_EQ(order, "cab"); });
}

TEST(Reactor, FiresNoTimerThatOneDueWithItHasCleared) {
  reactor loop;
  auto first = std::make_shared<scripted_client>();
  auto second = std::make_shared<scripted_client>();
  signal_flag fired;
  first->when_time = [&] {
    loop.clear_timer(*second);
    fired.raise();
  };
  second->when_time = [] { FAIL() << "its timer was cleared"; };
  run_in(loop, [&] {
    const auto past = reactor::clock::time_point{};
    loop.set_timer(first, past);
    loop.set_timer(second, past + 1ns);
  });
  ASSERT_TRUE(fired.wait());
  run_in(loop, [] {});
}

TEST(Reactor, LetsOthersInBetweenTimersThatAreAlwaysDue) {
  reactor loop;
  auto client = std::make_shared<scripted_client>();
  client->when_time
    = [&] { loop.set_timer(client, reactor::clock::time_point{}); };
  run_in(loop, [&] { loop.set_timer(client, reactor::clock::time_point{}); });
  run_in(loop, [] {});
  run_in(loop, [&] { loop.clear_timer(*client); });
}

TEST(Reactor, LetsGoOfItsClientsWhenStopped) {
  reactor loop;
  pipe_pair pipe;
  auto watched = std::make_shared<scripted_client>();
  auto timed = std::make_shared<scripted_client>();
  run_in(loop, [&] {
    EXPECT_TRUE(
      loop.watch(watched, pipe.reader(), reactor::interest::readable));
    loop.set_timer(timed, reactor::clock::now() + 1h);
  });
  loop.stop();
  loop.stop();
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(timed.use_count(), 1);
  timed->when_woken = [] { FAIL() << "the thread has ended"; };
  loop.wake(timed);
  EXPECT_EQ(timed.use_count(), 1);
}

TEST(Reactor, HasANameAndNoSignals) {
  reactor loop;
  run_in(loop, [] {
    char name[16] = "";
    EXPECT_EQ(::pthread_getname_np(::pthread_self(), name, sizeof name), 0);
    EXPECT_STREQ(name, "capture-reactor");
    sigset_t blocked;
    EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &blocked), 0);
    for (auto signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE})
      EXPECT_EQ(::sigismember(&blocked, signal), 1);
  });
  sigset_t ours;
  EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &ours), 0);
  EXPECT_EQ(::sigismember(&ours, SIGTERM), 0);
}

TEST(HelperPool, RunsWhatIsQueuedBeforeItStops) {
  helper_pool pool{2};
  std::atomic<int> runs{0};
  for (int i = 0; i < 100; ++i)
    pool.post([&] { ++runs; });
  pool.stop();
  pool.stop();
  EXPECT_EQ(runs, 100);
}

TEST(HelperPool, RunsJobsSideBySide) {
  helper_pool pool{2};
  std::promise<void> first;
  std::promise<void> second;
  // Each waits for the other: one thread alone would never be done.
  pool.post([&] {
    first.set_value();
    EXPECT_EQ(second.get_future().wait_for(patience),
              std::future_status::ready);
  });
  pool.post([&] {
    second.set_value();
    EXPECT_EQ(first.get_future().wait_for(patience), std::future_status::ready);
  });
  pool.stop();
}

} // namespace
} // namespace edgecap::capture

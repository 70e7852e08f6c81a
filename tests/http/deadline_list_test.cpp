#include "http/deadline_list.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>

namespace edgecap::http {

namespace {

using namespace std::chrono_literals;

constexpr deadline_list::time_point start{1h};

/// Removes itself when it is out of time, as those who use the list do.
struct question : timed {
  explicit question(deadline_list& to) : list(to) {}

  void time_out() noexcept override {
    ++times;
    list.remove(place);
  }

  deadline_list& list;
  deadline_list::handle place;
  bool first = false;
  int times = 0;
};

std::shared_ptr<question> ask(deadline_list& list,
                              std::chrono::seconds patience) {
  auto result = std::make_shared<question>(list);
  const auto added = list.add(start + patience, result);
  result->place = added.place;
  result->first = added.first;
  return result;
}

TEST(DeadlineList, TellsThoseThatAreOutOfTimeOnce) {
  deadline_list list;
  const auto soon = ask(list, 1s);
  const auto later = ask(list, 2s);
  EXPECT_TRUE(list.expire(start));
  EXPECT_EQ(soon->times, 0);
  EXPECT_TRUE(list.expire(start + 1s));
  EXPECT_EQ(soon->times, 1);
  EXPECT_EQ(later->times, 0);
  EXPECT_FALSE(list.expire(start + 5s));
  EXPECT_EQ(soon->times, 1);
  EXPECT_EQ(later->times, 1);
}

TEST(DeadlineList, ForgetsWhatIsOver) {
  deadline_list list;
  const auto answered = ask(list, 1s);
  list.remove(answered->place);
  EXPECT_FALSE(list.expire(start + 1s));
  EXPECT_EQ(answered->times, 0);
}

TEST(DeadlineList, SaysWhenSomebodyMustBeginToLook) {
  deadline_list list;
  const auto first = ask(list, 1s);
  EXPECT_TRUE(first->first);
  const auto second = ask(list, 1s);
  EXPECT_FALSE(second->first);
  list.remove(first->place);
  list.remove(second->place);
  EXPECT_FALSE(ask(list, 9s)->first) << "somebody still looks";
  EXPECT_TRUE(list.expire(start)) << "its handle is still there";
  EXPECT_FALSE(ask(list, 9s)->first);
}

TEST(DeadlineList, LeavesWhatIsBeingDestroyedAlone) {
  deadline_list list;
  auto dying = ask(list, 1s);
  const auto place = dying->place;
  dying.reset();
  EXPECT_TRUE(list.expire(start + 1s));
  list.remove(place);
  EXPECT_FALSE(list.expire(start + 1s));
  EXPECT_TRUE(ask(list, 1s)->first);
}

} // namespace

} // namespace edgecap::http

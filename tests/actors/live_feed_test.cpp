#include "actors/live_feed.hpp"
#include "tests/support/recording_follower.hpp"
#include "tests/support/scripted_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

// What followers of one job are told, and in which order.
namespace edgecap::test {

namespace {

using capture::link_type;
using testing::ElementsAre;
using testing::IsEmpty;

struct LiveFeed : testing::Test {
  std::shared_ptr<recording_follower> follow() {
    auto result = std::make_shared<recording_follower>();
    aut.add(result);
    return result;
  }

  live_feed aut;
};

} // namespace

TEST_F(LiveFeed, PassesOnWhatComesAfterTheBeginning) {
  aut.settle({link_type::ethernet});
  aut.take(make_batch(3)); // nobody is there
  const auto who = follow();
  EXPECT_EQ(who->link, link_type::ethernet);
  const auto batch = make_batch(2);
  aut.take(batch);
  ASSERT_EQ(who->batches.size(), 1u);
  EXPECT_EQ(who->batches[0].data(), batch.data()) << "not a copy";
  EXPECT_THAT(who->ends, IsEmpty());
  aut.finish();
  EXPECT_THAT(who->ends, ElementsAre(true));
  EXPECT_EQ(who->begins, 1);
}

TEST_F(LiveFeed, KeepsPacketsUntilAllInterfacesAreOpen) {
  const auto who = follow();
  aut.take(make_batch(2));
  EXPECT_EQ(who->begins, 0);
  EXPECT_EQ(who->packets(), 0u);
  aut.settle({link_type::ethernet});
  EXPECT_EQ(who->begins, 1);
  EXPECT_EQ(who->packets(), 2u);
  aut.settle({link_type::raw});
  EXPECT_EQ(who->link, link_type::ethernet) << "the first word stands";
  EXPECT_EQ(who->packets(), 2u) << "what waited went once";
}

TEST_F(LiveFeed, KeepsNoMoreThanItsLimit) {
  const auto who = follow();
  const auto batch = make_batch(1000);
  const auto room = live_feed::max_waiting_bytes / batch.size_bytes();
  for (std::size_t i = 0; i < room + 2; ++i)
    aut.take(batch);
  EXPECT_EQ(who->missed, 2000u);
  aut.settle({link_type::ethernet});
  EXPECT_EQ(who->batches.size(), room);
}

TEST_F(LiveFeed, BringsMixedLinkTypesToLinuxSll2) {
  const auto who = follow();
  aut.settle({link_type::ethernet, link_type::raw});
  EXPECT_EQ(who->link, link_type::linux_sll2);
  aut.take(make_batch(2, 7, link_type::ethernet));
  aut.take(make_batch(3, 8, link_type::raw));
  ASSERT_EQ(who->batches.size(), 2u);
  const auto& ethernet = who->batches[0];
  EXPECT_EQ(ethernet.link(), link_type::linux_sll2);
  EXPECT_EQ(ethernet.packets(), 2u);
  EXPECT_EQ(ethernet.first_time(), 7);
  // 60 bytes each; Ethernet's 14 make room for 20.
  EXPECT_EQ(ethernet.captured_bytes(), 2u * (60 - 14 + 20));
  EXPECT_EQ(who->batches[1].captured_bytes(), 3u * (60 + 20));
  EXPECT_EQ(who->missed, 0u);
}

TEST_F(LiveFeed, CountsPacketsThatCannotBeShown) {
  const auto who = follow();
  aut.settle({link_type::ethernet, link_type{147}});
  aut.take(make_batch(4, 1, link_type{147}));
  EXPECT_THAT(who->batches, IsEmpty());
  EXPECT_EQ(who->missed, 4u);
}

TEST_F(LiveFeed, ShowsNothingOfALinkTypeThatComesTooLate) {
  const auto who = follow();
  aut.settle({link_type::ethernet});
  aut.take(make_batch(4, 1, link_type::raw));
  EXPECT_THAT(who->batches, IsEmpty());
  EXPECT_EQ(who->missed, 4u);
}

TEST_F(LiveFeed, ForgetsWhoHasLeft) {
  aut.settle({link_type::ethernet});
  const auto leaves = follow();
  const auto stays = follow();
  EXPECT_EQ(aut.size(), 2u);
  leaves->gone = true;
  aut.take(make_batch(1));
  EXPECT_EQ(aut.size(), 1u);
  EXPECT_EQ(stays->packets(), 1u);
  aut.finish();
  EXPECT_THAT(leaves->ends, IsEmpty());
  EXPECT_THAT(stays->ends, ElementsAre(true));
}

TEST_F(LiveFeed, BeginsEvenIfNoInterfaceEverOpened) {
  const auto who = follow();
  aut.finish();
  EXPECT_EQ(who->link, link_type::linux_sll2) << "a savefile without packets";
  EXPECT_THAT(who->ends, ElementsAre(true));
}

TEST(LiveFeedDeath, TellsThatTheRestIsMissing) {
  const auto who = std::make_shared<recording_follower>();
  {
    live_feed aut;
    aut.add(who);
  }
  EXPECT_THAT(who->ends, ElementsAre(false));
}

} // namespace edgecap::test

#include "config/wording.hpp"

#include <gtest/gtest.h>

namespace edgecap::config {
namespace {

TEST(WordingTest, CountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("port", "port"), 0u);
  EXPECT_EQ(edit_distance("prot", "port"), 1u) << "a swap is one edit";
  EXPECT_EQ(edit_distance("adress", "address"), 1u);
  EXPECT_EQ(edit_distance("addresss", "address"), 1u);
  EXPECT_EQ(edit_distance("badch", "batch"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(WordingTest, FindsTheNearestCandidate) {
  EXPECT_EQ(nearest("snap_len", {"match", "snaplen"}), "snaplen");
  EXPECT_EQ(nearest("max_header", {"max_headers", "max_header_size"}),
            "max_headers");
  EXPECT_EQ(nearest("eth1", {"eth0", "eth12", "eth2"}), "eth0")
    << "the first of several that are as near";
  EXPECT_EQ(nearest("ring", {"batch", "credit"}), "");
  EXPECT_EQ(nearest("l0", {"lo"}), "lo");
  EXPECT_EQ(nearest("lo", {"ab"}), "") << "half of a word may differ, not all";
  EXPECT_EQ(nearest("", {"a"}), "");
}

TEST(WordingTest, DoesNotCompareEndlessWords) {
  const std::string endless(1u << 20, 'a');
  EXPECT_EQ(nearest(endless, {endless}), "");
}

TEST(WordingTest, QuotesOnOneBoundedLine) {
  EXPECT_EQ(config::quoted("eth0"), "'eth0'");
  EXPECT_EQ(config::quoted("a\nb\x7F"), "'a\\x0ab\\x7f'");
  EXPECT_EQ(config::quoted(std::string(65, 'x')),
            '\'' + std::string(64, 'x') + "...'");
  // The two bytes of U+00E9 lie across the cut: no half of it is left.
  EXPECT_EQ(config::quoted(std::string(63, 'x') + "\xC3\xA9"),
            '\'' + std::string(63, 'x') + "...'");
}

TEST(WordingTest, JoinsUpToALimit) {
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"a", "b"}), "a, b");
  EXPECT_EQ(join({"a", "b", "c", "d"}, 2), "a, b and 2 more");
}

} // namespace
} // namespace edgecap::config

#include "actors/capacity.hpp"
#include "tests/support/scripted_source.hpp"
#include "tests/support/temp_directory.hpp"

#include <gmock/gmock.h>

// The floor of free space and how often it is looked at; quotas are shown by
// the tests of storage.
namespace edgecap::test {

namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string id(32, 'a');
const std::string other_id(32, 'b');

/// The size of one packet's record in a run.
constexpr std::uint64_t record_bytes = 76;

class CapacityTest : public ::testing::Test {
protected:
  CapacityTest() {
    auto opened = job_index::open(directory / "index.sqlite");
    EXPECT_TRUE(opened);
    index = std::move(*opened);
    opts.pcapng = false;
    opts.limits.min_free_bytes = 1000 * record_bytes;
  }

  void begin() {
    aut = capacity{opts, [this] {
                     ++looks;
                     return stored<std::uint64_t>{free_bytes};
                   }};
    aut.open(id, "account");
    aut.open(other_id, "account");
  }

  /// Appends packets, if there is room.
  bool append(std::uint32_t packets, std::uint32_t run = 0,
              const std::string& job = id) {
    const auto batch = make_batch(packets, time += 1'000'000);
    const auto room = aut.check(job, run, batch, *index, now);
    if (!room) {
      EXPECT_EQ(room.error().code, store_errc::full);
      return false;
    }
    free_bytes -= batch.size_bytes();
    aut.grow(job, run, batch);
    return true;
  }

  temp_directory directory;
  std::unique_ptr<job_index> index;
  capacity::options opts;
  capacity aut;
  capacity::time_point now{1h};
  std::uint64_t free_bytes = 1u << 30;
  unix_ns time = 0; ///< Of the first packet of the last batch.
  int looks = 0;
};

} // namespace

TEST_F(CapacityTest, LooksAtTheDiskOnceInAWhile) {
  begin();
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(append(1));
  EXPECT_EQ(looks, 1);
  now += capacity::look_interval;
  EXPECT_TRUE(append(1));
  EXPECT_EQ(looks, 2);
}

TEST_F(CapacityTest, NeverWritesBelowTheFloorUnseen) {
  free_bytes = 1100 * record_bytes;
  begin();
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(append(10));
  EXPECT_EQ(looks, 1) << "what we write we know of";
  EXPECT_FALSE(append(1));
  EXPECT_EQ(looks, 2) << "others may have made room";
  free_bytes += record_bytes;
  EXPECT_TRUE(append(1));
}

TEST_F(CapacityTest, CountsWhatAnEarlierProcessLeft) {
  begin();
  run_info info;
  info.packets = 10;
  info.captured_bytes = 10 * (record_bytes - 16);
  aut.adopt(id, {{0, info}});
  const auto adopted = aut.unsealed_bytes();
  EXPECT_GT(adopted, 0u);
  EXPECT_TRUE(append(10));
  EXPECT_EQ(aut.unsealed_bytes(), 2 * adopted) << "as if it had been appended";
}

TEST_F(CapacityTest, SeesSoonWhatOthersWrite) {
  begin();
  EXPECT_TRUE(append(1));
  free_bytes = 0;
  now += capacity::look_interval;
  EXPECT_FALSE(append(1));
  job_record job;
  job.id = id;
  const auto refused = aut.admit(job, *index, now);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("insert job " + id + ": 0 bytes are free"));
  EXPECT_EQ(aut.refusals().at("disk_full"), 1u);
  EXPECT_EQ(aut.refusals().at("unavailable"), 0u);
}

TEST_F(CapacityTest, LeavesRoomForTheLargestMerge) {
  opts.limits.min_free_bytes = 0;
  free_bytes = 300 * record_bytes;
  begin();
  EXPECT_TRUE(append(100, 0));
  EXPECT_TRUE(append(100, 0, other_id)) << "one run is sealed by a link";
  // From its second run on the job needs room for as much as it has.
  EXPECT_FALSE(append(20, 1)) << "would be 120, and leave 80";
  free_bytes = 203 * record_bytes;
  EXPECT_TRUE(append(1, 1)) << "is 101, and leaves 202";
  EXPECT_FALSE(append(51, 1)) << "would be 152, and leave 151";
  EXPECT_TRUE(append(101, 0, other_id)) << "leaves 101";
  EXPECT_FALSE(append(1, 0, other_id));
  aut.close(id);
  EXPECT_TRUE(append(1, 0, other_id));
}

TEST_F(CapacityTest, LeavesRoomForTheMergeOfARunThatIsNotInOrder) {
  opts.limits.min_free_bytes = 0;
  free_bytes = 200 * record_bytes;
  begin();
  EXPECT_TRUE(append(100));
  time = 0;
  EXPECT_FALSE(append(1));
}

TEST_F(CapacityTest, LeavesRoomForEveryMergeWhereThereAreNoLinks) {
  opts.limits.min_free_bytes = 0;
  opts.links = false;
  free_bytes = 200 * record_bytes;
  begin();
  EXPECT_TRUE(append(100));
  EXPECT_FALSE(append(1));
}

TEST_F(CapacityTest, PassesOnWhatTheDiskSays) {
  begin();
  aut = capacity{opts, [] {
                   return stored<std::uint64_t>{store_failure(
                     store_errc::unavailable, "ask: Input/output error")};
                 }};
  job_record job;
  job.id = id;
  EXPECT_EQ(aut.admit(job, *index, now).error().message,
            "ask: Input/output error");
  EXPECT_EQ(aut.refusals().at("unavailable"), 1u);
}

} // namespace edgecap::test

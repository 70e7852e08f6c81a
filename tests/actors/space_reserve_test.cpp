#include "actors/space_reserve.hpp"
#include "capture/posix_file_system.hpp"
#include "tests/support/temp_directory.hpp"

#include <gtest/gtest.h>

// On file systems of its own that are full.
namespace edgecap::test {

namespace {

constexpr std::uint64_t mib = 1u << 20;

std::uint64_t free_bytes(const tiny_disk& disk) {
  return *capture::posix_files().free_bytes(disk.path());
}

} // namespace

TEST(SpaceReserve, GivesSpaceBackInSteps) {
  tiny_disk disk{8 * mib};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  space_reserve aut{capture::posix_files(), disk.path() / "reserve", 4 * mib};
  EXPECT_FALSE(aut.give(1)) << "there is none yet";
  ASSERT_TRUE(aut.fill());
  EXPECT_EQ(aut.held_bytes(), 4 * mib);
  disk.fill(0);
  EXPECT_TRUE(aut.give(1));
  EXPECT_EQ(free_bytes(disk), mib);
  EXPECT_TRUE(aut.give(mib + 1));
  EXPECT_EQ(free_bytes(disk), 3 * mib);
  EXPECT_EQ(aut.missing_bytes(), 3 * mib);
  EXPECT_TRUE(aut.give(5 * mib));
  EXPECT_EQ(aut.held_bytes(), 0u);
  EXPECT_FALSE(aut.give(1));
}

TEST(SpaceReserve, IsFilledWhenThereIsSpace) {
  tiny_disk disk{8 * mib};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  space_reserve aut{capture::posix_files(), disk.path() / "reserve", 4 * mib};
  disk.fill(2 * mib);
  const auto refused = aut.fill();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, store_errc::full);
  EXPECT_EQ(refused.error().message, "reserve 4194304 bytes in "
                                       + (disk.path() / "reserve").string()
                                       + ": No space left on device");
  EXPECT_EQ(free_bytes(disk), 2 * mib) << "a half-filled one holds nothing";
  disk.empty();
  EXPECT_TRUE(aut.fill());
  EXPECT_EQ(aut.missing_bytes(), 0u);
  EXPECT_EQ(free_bytes(disk), 4 * mib);
}

TEST(SpaceReserve, TakesOverWhatAnEarlierProcessLeft) {
  temp_directory directory;
  const auto path = directory / "reserve";
  write_file(path, std::string(3 * mib, 'x'));
  space_reserve smaller{capture::posix_files(), path, mib};
  EXPECT_EQ(smaller.held_bytes(), mib) << "a start on a full disk needs it";
  EXPECT_EQ(std::filesystem::file_size(path), mib);
  space_reserve none{capture::posix_files(), path, 0};
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(none.fill());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(none.missing_bytes(), 0u);
  EXPECT_FALSE(none.give(1));
}

} // namespace edgecap::test

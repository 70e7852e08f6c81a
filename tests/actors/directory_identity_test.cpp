#include "actors/directory_identity.hpp"
#include "capture/posix_file_system.hpp"
#include "tests/support/temp_directory.hpp"

#include <gtest/gtest.h>

// Storage's tests show what is done about a loss.
namespace edgecap::test {

namespace fs = std::filesystem;

class DirectoryIdentity : public ::testing::Test {
protected:
  DirectoryIdentity() {
    for (const auto* name : {"lock", "index.sqlite", "index.sqlite-wal"})
      write_file(root / name, "x");
    for (const auto* name : {"jobs", "savefiles"})
      fs::create_directory(root / name);
    aut = directory_identity{capture::posix_files(), root};
  }

  temp_directory parent;
  fs::path root = [this] {
    fs::create_directory(parent / "root");
    return parent / "root";
  }();
  directory_identity aut;
};

TEST_F(DirectoryIdentity, IsWhatItWas) {
  write_file(root / "index.sqlite", "grows");
  write_file(root / "jobs" / "run", "x");
  write_file(root / "index.sqlite-shm", "was not there");
  EXPECT_FALSE(aut.compare()) << aut.compare().text;
}

TEST_F(DirectoryIdentity, NamesWhatIsMissing) {
  fs::remove(root / "index.sqlite-wal");
  fs::remove(root / "savefiles");
  const auto loss = aut.compare();
  EXPECT_TRUE(loss.index);
  EXPECT_TRUE(loss.savefiles);
  EXPECT_FALSE(loss.runs);
  EXPECT_FALSE(loss.lock);
  EXPECT_EQ(loss.text, (root / "index.sqlite-wal").string() + " is missing, "
                         + (root / "savefiles").string() + " is missing");
  EXPECT_EQ(aut.obstacle(), "");
}

TEST_F(DirectoryIdentity, SeesWhatWasReplaced) {
  fs::rename(root / "lock", root / "kept"); // so that its number is not reused
  write_file(root / "lock", "x");
  const auto loss = aut.compare();
  EXPECT_TRUE(loss.lock);
  EXPECT_EQ(loss.text, (root / "lock").string() + " is another one");
}

TEST_F(DirectoryIdentity, MayBeMadeAnewWhereItWas) {
  fs::remove_all(root);
  EXPECT_TRUE(aut.compare().lock);
  EXPECT_EQ(aut.obstacle(), "");
  fs::remove_all(parent.path());
  EXPECT_EQ(aut.obstacle(), "") << "what it is in is on the same file system";
  fs::create_directories(parent.path());
}

TEST_F(DirectoryIdentity, MayNotBeMadeElsewhere) {
  tiny_disk disk{1u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  fs::create_directory(disk.path() / "root");
  aut = directory_identity{capture::posix_files(), disk.path() / "root"};
  const over_mount hidden{disk.path()};
  EXPECT_EQ(aut.obstacle(), disk.path().string()
                              + " is on another file system than "
                              + (disk.path() / "root").string() + " was");
}

} // namespace edgecap::test

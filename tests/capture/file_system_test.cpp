#include "capture/posix_file_system.hpp"
#include "tests/support/temp_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cerrno>
#include <deque>
#include <string>

// The system's files through the seam; what each call promises beyond what the
// system does by itself.
namespace edgecap::capture {

namespace {

namespace fs = std::filesystem;
using ::testing::UnorderedElementsAre;

iovec part(const std::string& x) {
  return {const_cast<char*>(x.data()), x.size()};
}

mode_t mode_of(const fs::path& path) {
  struct stat found {};
  EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
  return found.st_mode & 07777;
}

class PosixFileSystem : public testing::Test {
protected:
  test::temp_directory directory;
  posix_file_system& files = posix_files();
};

TEST_F(PosixFileSystem, WritesAndReadsAtAnOffset) {
  const auto path = directory / "x";
  const auto out = files.open(path, open_mode::create);
  ASSERT_TRUE(out);
  const std::string first = "abc", second = "defg";
  const iovec parts[]{part(first), part(second)};
  EXPECT_EQ(*(*out)->write(parts, 2, 1), 7u);
  EXPECT_TRUE((*out)->truncate(6));
  EXPECT_TRUE((*out)->sync());
  EXPECT_TRUE((*out)->close());
  const auto in = files.open(path, open_mode::read);
  ASSERT_TRUE(in);
  std::string bytes(9, 'x');
  EXPECT_EQ(*(*in)->read(bytes.data(), bytes.size(), 2), 4u);
  EXPECT_EQ(bytes.substr(0, 4), "bcde");
  EXPECT_EQ(*(*in)->read(bytes.data(), bytes.size(), 6), 0u);
  EXPECT_EQ((*in)->status()->size_bytes, 6u);
  EXPECT_EQ((*in)->status()->modified_ns, files.status(path)->modified_ns);
}

TEST_F(PosixFileSystem, OpensAsItIsTold) {
  const auto path = directory / "x";
  EXPECT_EQ(files.open(path, open_mode::read).error(), ENOENT);
  EXPECT_EQ(files.open(path, open_mode::change).error(), ENOENT);
  test::write_file(path, "bytes");
  ASSERT_TRUE(files.open(path, open_mode::change));
  ASSERT_TRUE(files.open(path, open_mode::create));
  EXPECT_EQ(test::read_file(path), "bytes");
  ASSERT_TRUE(files.open(path, open_mode::replace));
  EXPECT_EQ(test::read_file(path), "");
}

TEST_F(PosixFileSystem, FollowsALinkOnlyWhereItMay) {
  test::write_file(directory / "far", "bytes");
  const auto path = directory / "near";
  fs::create_symlink(directory / "far", path);
  for (const auto mode : {open_mode::read, open_mode::change, open_mode::create,
                          open_mode::replace})
    EXPECT_EQ(files.open(path, mode).error(), ELOOP);
  EXPECT_EQ(files.status(path)->kind, file_kind::other);
  posix_file_system for_tools{symbolic_links::followed};
  EXPECT_TRUE(for_tools.open(path, open_mode::read));
  EXPECT_EQ(test::read_file(path), "bytes");
}

TEST_F(PosixFileSystem, TellsWhatStands) {
  test::write_file(directory / "x", "bytes");
  EXPECT_EQ(files.status(directory / "x")->kind, file_kind::regular);
  EXPECT_EQ(files.status(directory / "x")->size_bytes, 5u);
  EXPECT_EQ(files.status(directory.path())->kind, file_kind::directory);
  EXPECT_EQ(files.status(directory / "y").error(), ENOENT);
  EXPECT_THAT(*files.list(directory.path()), UnorderedElementsAre("x"));
  EXPECT_EQ(files.list(directory / "y").error(), ENOENT);
}

TEST_F(PosixFileSystem, KeepsOthersOut) {
  ASSERT_TRUE(files.make_directory(directory / "d"));
  ASSERT_TRUE(files.make_directory(directory / "d")) << "it stands already";
  ASSERT_TRUE(files.open(directory / "d" / "x", open_mode::create));
  EXPECT_EQ(mode_of(directory / "d") & ~mode_t{0750}, 0u);
  EXPECT_EQ(mode_of(directory / "d" / "x") & ~mode_t{0640}, 0u);
  fs::permissions(directory / "d" / "x", fs::perms::all);
  ASSERT_TRUE(files.protect(directory / "d" / "x"));
  EXPECT_EQ(mode_of(directory / "d" / "x"), 0640u);
  EXPECT_EQ(files.make_directory(directory / "d" / "x").error(), EEXIST);
}

TEST_F(PosixFileSystem, NamesAndRemoves) {
  const auto one = directory / "one", two = directory / "two";
  test::write_file(one, "1");
  ASSERT_TRUE(files.link(one, two));
  EXPECT_EQ(files.link(one, two).error(), EEXIST);
  ASSERT_TRUE(files.rename(one, directory / "three"));
  EXPECT_EQ(files.rename(one, two).error(), ENOENT);
  ASSERT_TRUE(files.remove(two));
  EXPECT_EQ(files.remove(two).error(), ENOENT);
  EXPECT_THAT(*files.list(directory.path()), UnorderedElementsAre("three"));
  ASSERT_TRUE(files.make_directories(directory / "a" / "b"));
  test::write_file(directory / "a" / "b" / "x", "");
  ASSERT_TRUE(files.sync_directory(directory / "a" / "b"));
  ASSERT_TRUE(files.remove_tree(directory / "a"));
  EXPECT_FALSE(fs::exists(directory / "a"));
  EXPECT_TRUE(files.remove_tree(directory / "a")) << "it need not be there";
  EXPECT_EQ(files.sync_directory(directory / "a").error(), ENOENT);
}

TEST_F(PosixFileSystem, LocksForOneAtATime) {
  auto first = files.open(directory / "lock", open_mode::create);
  auto second = files.open(directory / "lock", open_mode::create);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE((*first)->lock());
  EXPECT_EQ((*second)->lock().error(), EWOULDBLOCK);
  first->reset();
  EXPECT_TRUE((*second)->lock());
}

/// Takes what the script says of each write, or fails with an errno value.
class scripted_file : public file {
public:
  io_result<std::size_t> write(const iovec* parts, int count,
                               std::uint64_t offset) override {
    EXPECT_EQ(offset, bytes.size());
    const auto next = script.empty() ? 100 : script.front();
    if (!script.empty())
      script.pop_front();
    if (next < 0)
      return io_failure(-next);
    auto room = static_cast<std::size_t>(next);
    for (int i = 0; i < count; ++i) {
      const auto taken = std::min(room, parts[i].iov_len);
      bytes.append(static_cast<const char*>(parts[i].iov_base), taken);
      room -= taken;
    }
    return static_cast<std::size_t>(next) - room;
  }
  io_result<std::size_t> read(void*, std::size_t, std::uint64_t) override {
    return 0;
  }
  io_result<file_status> status() override {
    return file_status{};
  }
  io_result<void> truncate(std::uint64_t) override {
    return {};
  }
  io_result<void> sync() override {
    return {};
  }
  io_result<void> lock() override {
    return {};
  }
  io_result<void> close() override {
    return {};
  }
  io_result<unique_descriptor> release() override {
    return unique_descriptor{};
  }

  std::deque<int> script;
  std::string bytes;
};

io_result<void> write_three(scripted_file& out) {
  const std::string texts[]{"abc", "", "defg"};
  iovec parts[]{part(texts[0]), part(texts[1]), part(texts[2])};
  return write_all(out, parts, 3, 0);
}

TEST(WriteAll, GoesOnAfterAShortOrInterruptedWrite) {
  for (int first = 1; first <= 7; ++first)
    for (int second = 1; second <= 7; ++second) {
      scripted_file out;
      out.script = {first, -EINTR, second};
      EXPECT_TRUE(write_three(out));
      EXPECT_EQ(out.bytes, "abcdefg");
    }
}

TEST(WriteAll, EndsWithTheFirstRefusal) {
  scripted_file out;
  out.script = {2, -ENOSPC};
  EXPECT_EQ(write_three(out).error(), ENOSPC);
  EXPECT_EQ(out.bytes, "ab");
  scripted_file stuck;
  stuck.script = {2, 0};
  EXPECT_EQ(write_three(stuck).error(), EIO) << "no progress is a failure";
}

} // namespace

} // namespace edgecap::capture

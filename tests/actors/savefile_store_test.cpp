#include "actors/savefile_store.hpp"
#include "tests/support/savefile_reader.hpp"
#include "tests/support/scripted_source.hpp"
#include "tests/support/simulated_disk.hpp"
#include "tests/support/temp_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <string>
#include <vector>

// Runs and savefiles on a real file system; libpcap reads what we wrote.
namespace edgecap::test {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

namespace fs = std::filesystem;

const std::string id(32, 'a');
const std::string other_id(32, 'b');

mode_t mode_of(const fs::path& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
  return status.st_mode & 07777;
}

/// Files that this process has open below a directory.
std::vector<std::string> open_below(const fs::path& directory) {
  std::vector<std::string> result;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone; // the iterator's own descriptor
    const auto target = fs::read_symlink(entry.path(), gone).string();
    if (!gone && target.rfind(directory.string(), 0) == 0)
      result.push_back(target);
  }
  return result;
}

class SavefileStoreTest : public ::testing::Test {
protected:
  SavefileStoreTest() {
    open();
  }

  void open(std::size_t max_open_runs = 16) {
    store.reset();
    auto opened = savefile_store::open({root(), max_open_runs});
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }

  fs::path root() const {
    return directory.path() / "captures";
  }

  fs::path run_file(std::uint32_t run, const std::string& job = id) const {
    return root() / "jobs" / job / ("run-" + std::to_string(run) + ".pcap");
  }

  fs::path savefile_file(const std::string& name) const {
    return root() / "savefiles" / name;
  }

  void append(std::uint32_t run, std::uint32_t packets, unix_ns time,
              const std::string& job = id) {
    const auto done = store->append(job, run, make_batch(packets, time));
    ASSERT_TRUE(done) << done.error().message;
  }

  /// Paths of all that a walk comes by.
  std::vector<fs::path> walked() const {
    std::vector<fs::path> result;
    for (auto walk = store->walk(); !walk.done();) {
      const auto entries = walk.next(3);
      EXPECT_TRUE(entries) << entries.error().message;
      for (const auto& x : *entries)
        result.push_back(x.path);
    }
    return result;
  }

  temp_directory directory;
  std::unique_ptr<savefile_store> store;
};

} // namespace

// -- a link in place of a merge
// ------------------------------------------------

TEST_F(SavefileStoreTest, LinksAnOnlyRun) {
  append(3, 2, 1'000'000'001);
  append(3, 3, 2'000'000'000);
  const auto bytes = read_file(run_file(3));
  const auto linked = store->link_only_run(id);
  ASSERT_TRUE(linked) << linked.error().message;
  ASSERT_TRUE(*linked);
  EXPECT_EQ(**linked, bytes.size());
  ASSERT_TRUE(store->publish(id, false));
  ASSERT_TRUE(store->drop_runs(id));
  EXPECT_EQ(read_file(savefile_file(id + ".pcap")), bytes);
  EXPECT_EQ(mode_of(savefile_file(id + ".pcap")), 0640u);
  EXPECT_EQ(fs::hard_link_count(savefile_file(id + ".pcap")), 1u);
  EXPECT_THAT(read_pcap(savefile_file(id + ".pcap")).records, SizeIs(5));
}

TEST_F(SavefileStoreTest, LeavesToTheMergeWhatIsNoSavefileYet) {
  EXPECT_FALSE(*store->link_only_run(id)) << "there is no run";
  append(0, 2, 2'000'000'000);
  append(0, 1, 1'000'000'000);
  EXPECT_FALSE(*store->link_only_run(id)) << "it goes back in time";
  append(0, 1, 5, other_id);
  append(1, 1, 6, other_id);
  EXPECT_FALSE(*store->link_only_run(other_id)) << "there are two";
  EXPECT_FALSE(fs::exists(savefile_file(id + ".pcap.part")));
}

TEST_F(SavefileStoreTest, MergesPastALinkThatACrashLeft) {
  append(0, 2, 1);
  const auto bytes = read_file(run_file(0));
  ASSERT_TRUE(*store->link_only_run(id));
  std::map<std::uint32_t, capture::merge_input> inputs;
  inputs[0].link = capture::link_type::ethernet;
  auto merge = store->open_merge(id, inputs, false,
                                 capture::time_precision::nanoseconds);
  ASSERT_TRUE(merge) << merge.error().message;
  EXPECT_EQ(read_file(run_file(0)), bytes);
  while (!*(*merge)->step(1u << 20))
    ;
  EXPECT_EQ((*merge)->result().packets, 2u);
}

// -- opening ------------------------------------------------------------------

TEST_F(SavefileStoreTest, KeepsItsDirectoriesPrivate) {
  for (const auto* name : {"", "jobs", "savefiles"})
    EXPECT_EQ(mode_of(root() / name) & ~mode_t{0750}, 0u) << name;
  append(0, 1, 1);
  EXPECT_EQ(mode_of(root() / "jobs" / id) & ~mode_t{0750}, 0u);
  EXPECT_EQ(mode_of(run_file(0)) & ~mode_t{0640}, 0u);
}

TEST_F(SavefileStoreTest, SharesItsDirectoryWithNobody) {
  const auto second = savefile_store::open({root(), 16});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            "lock " + (root() / "lock").string()
              + ": another edgecapd uses this directory");
  store.reset();
  EXPECT_TRUE(savefile_store::open({root(), 16}));
}

TEST_F(SavefileStoreTest, SaysWhyADirectoryCannotBeUsed) {
  write_file(directory.path() / "file", "");
  const auto under_a_file
    = savefile_store::open({directory.path() / "file" / "captures", 16});
  ASSERT_FALSE(under_a_file);
  EXPECT_THAT(under_a_file.error().message, HasSubstr("Not a directory"));
  const auto is_a_file = savefile_store::open({directory.path() / "file", 16});
  ASSERT_FALSE(is_a_file);
  EXPECT_THAT(is_a_file.error().message, HasSubstr("create directory"));
}

// What is synced in a directory is gone with it when its own name was not.
TEST(SavefileStoreOnSimulatedDisk, KeepsItsOwnNameInACrashOfTheHost) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    simulated_disk disk{seed};
    const fs::path root = "/var/lib/edgecap/captures";
    ASSERT_TRUE(savefile_store::open({root, 16, &disk.files()}));
    disk.crash(crash_kind::host);
    disk.start();
    for (const auto* name : {"", "jobs", "savefiles"})
      EXPECT_TRUE(disk.files().status(root / name)) << seed << " " << name;
  }
}

TEST(SavefileStoreOnSimulatedDisk, MakesUpForAProcessThatEndedTooEarly) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    simulated_disk disk{seed};
    ASSERT_TRUE(disk.files().make_directory("/captures"));
    ASSERT_TRUE(savefile_store::open({"/captures", 16, &disk.files()}));
    disk.crash(crash_kind::host);
    disk.start();
    EXPECT_TRUE(disk.files().status("/captures/savefiles")) << seed;
  }
}

TEST_F(SavefileStoreTest, TellsFreeSpaceAsTheSystemDoes) {
  struct statvfs status {};
  ASSERT_EQ(::statvfs(root().c_str(), &status), 0);
  const auto mine = store->free_bytes();
  ASSERT_TRUE(mine);
  // Others use the disk too, but not by so much at once.
  EXPECT_NEAR(static_cast<double>(*mine),
              static_cast<double>(status.f_bavail)
                * static_cast<double>(status.f_frsize),
              1e9);
}

// -- runs ---------------------------------------------------------------------

TEST(JobId, IsThirtyTwoLowerCaseHexCharacters) {
  EXPECT_TRUE(is_job_id("0123456789abcdef0123456789abcdef"));
  for (const auto* bad :
       {"", "0123456789abcdef0123456789abcde", "../../../../../../etc/passwd",
        "0123456789abcdef0123456789abcdef0", "0123456789ABCDEF0123456789ABCDEF",
        "0123456789abcdef0123456789abcde/", "0123456789abcdef0123456789abcdeg"})
    EXPECT_FALSE(is_job_id(bad)) << bad;
}

TEST_F(SavefileStoreTest, AppendsToARunThatLibpcapReads) {
  append(0, 2, 1'000'000'001);
  append(0, 3, 2'000'000'000);
  append(1, 1, 5);
  const auto run = read_pcap(run_file(0));
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.link_type, 1);
  ASSERT_THAT(run.records, SizeIs(5));
  EXPECT_EQ(run.records[0].time_ns, 1'000'000'001);
  EXPECT_EQ(run.records[4].time_ns, 2'000'002'000);
  const auto held = store->runs(id);
  ASSERT_THAT(held, SizeIs(2));
  EXPECT_EQ(held.at(0).packets, 5u);
  EXPECT_EQ(held.at(0).captured_bytes, 5u * 60u);
  EXPECT_TRUE(held.at(0).ordered);
  EXPECT_EQ(held.at(1).packets, 1u);
}

TEST_F(SavefileStoreTest, NoticesWhenTimeGoesBackBetweenBatches) {
  append(0, 2, 1'000'000);
  append(0, 1, 999'999);
  EXPECT_FALSE(store->runs(id).at(0).ordered);
}

TEST_F(SavefileStoreTest, IgnoresAnEmptyBatch) {
  append(0, 0, 1);
  EXPECT_THAT(store->runs(id), IsEmpty());
  EXPECT_FALSE(fs::exists(run_file(0)));
}

TEST_F(SavefileStoreTest, RefusesWhatIsNoJobOrRun) {
  EXPECT_FALSE(store->append("../escape", 0, make_batch(1)));
  EXPECT_FALSE(store->adopt_runs("../escape"));
  EXPECT_FALSE(store->drop_runs(".."));
  EXPECT_FALSE(store->drop_runs(""));
  EXPECT_FALSE(store->open_savefile("../lock", savefile_format::pcap));
  EXPECT_FALSE(store->remove_savefile("../lock", savefile_format::pcap));
  const auto done = store->append(id, max_runs_per_job, make_batch(1));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("at most 8192 runs"));
  EXPECT_TRUE(fs::exists(root() / "jobs"));
}

TEST_F(SavefileStoreTest, RefusesAnotherLinkTypeInARun) {
  append(0, 1, 1);
  const auto done
    = store->append(id, 0, make_batch(1, 2, capture::link_type::raw));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("its link type changed"));
  EXPECT_EQ(store->runs(id).at(0).packets, 1u);
}

TEST_F(SavefileStoreTest, KeepsFewRunsOpenAndWritesThemAll) {
  open(2);
  for (unix_ns round = 0; round < 4; ++round)
    for (std::uint32_t run = 0; run < 5; ++run) {
      append(run, 1, round * 10 + run);
      EXPECT_LE(open_below(root() / "jobs").size(), 2u);
    }
  for (std::uint32_t run = 0; run < 5; ++run) {
    const auto read = read_pcap(run_file(run));
    EXPECT_EQ(read.error, "");
    ASSERT_THAT(read.records, SizeIs(4));
    EXPECT_EQ(read.records[3].time_ns, 30 + run);
  }
}

TEST_F(SavefileStoreTest, LetsGoOfDroppedRuns) {
  append(0, 1, 1);
  append(0, 1, 1, other_id);
  ASSERT_TRUE(store->drop_runs(id));
  EXPECT_FALSE(fs::exists(root() / "jobs" / id));
  EXPECT_THAT(store->runs(id), IsEmpty());
  EXPECT_THAT(open_below(root() / "jobs"), SizeIs(1));
  EXPECT_THAT(walked(), ElementsAre(root() / "jobs" / other_id));
  EXPECT_TRUE(store->drop_runs(id)) << "there need not be any";
}

TEST_F(SavefileStoreTest, LeavesNoTornRecordOnAFullDisk) {
  tiny_disk disk{256u << 10};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  auto opened = savefile_store::open({disk.path() / "captures", 16});
  ASSERT_TRUE(opened) << opened.error().message;
  store = std::move(*opened);
  const auto file = disk.path() / "captures" / "jobs" / id / "run-0.pcap";
  append(0, 10, 1);
  const auto size_before = fs::file_size(file);
  disk.fill(8192);
  // 760 kB: some of it would fit.
  const auto done = store->append(id, 0, make_batch(10'000, 100'000));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, store_errc::full);
  EXPECT_EQ(done.error().message,
            "write " + file.string() + ": No space left on device");
  EXPECT_EQ(fs::file_size(file), size_before);
  const auto first = store->append(id, 1, make_batch(10'000, 1));
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, store_errc::full);
  EXPECT_THAT(store->runs(id), SizeIs(1));
  disk.empty();
  append(0, 5, 200'000);
  append(1, 5, 200'000);
  EXPECT_THAT(read_pcap(file).records, SizeIs(15));
  EXPECT_EQ(read_pcap(file).error, "");
  EXPECT_THAT(
    read_pcap(disk.path() / "captures" / "jobs" / id / "run-1.pcap").records,
    SizeIs(5));
}

// -- runs of an earlier process -----------------------------------------------

TEST_F(SavefileStoreTest, AdoptsRunsAndCutsOffTornTails) {
  append(0, 3, 10);
  append(1, 2, 10);
  open();
  const auto whole = read_file(run_file(0));
  // A record that is cut in its header, and one that is cut in its bytes.
  write_file(run_file(0), whole + whole.substr(24, 10));
  write_file(run_file(1), read_file(run_file(1)) + whole.substr(24, 40));
  const auto held = store->adopt_runs(id);
  ASSERT_TRUE(held) << held.error().message;
  ASSERT_THAT(held->runs, SizeIs(2));
  EXPECT_EQ(held->runs.at(0).packets, 3u);
  EXPECT_EQ(held->runs.at(0).last_time, 2010);
  EXPECT_EQ(held->runs.at(1).packets, 2u);
  EXPECT_EQ(held->runs.at(1).captured_bytes, 120u);
  EXPECT_EQ(held->cut.at(0).offset, whole.size());
  EXPECT_EQ(held->cut.at(0).bytes, 10u);
  EXPECT_EQ(held->cut.at(1).bytes, 40u);
  EXPECT_FALSE(held->cut.at(0).damaged || held->cut.at(1).damaged)
    << "that is what a crash leaves";
  EXPECT_EQ(read_file(run_file(0)), whole);
  EXPECT_EQ(read_pcap(run_file(1)).error, "");
}

TEST_F(SavefileStoreTest, AdoptsNoRunWithoutAPacket) {
  append(0, 1, 10);
  const auto bytes = read_file(run_file(0));
  open();
  write_file(run_file(0), bytes.substr(0, 10));
  write_file(run_file(1), bytes.substr(0, 24));
  write_file(run_file(2), "");
  write_file(run_file(3), bytes.substr(0, 30));
  write_file(root() / "jobs" / id / "run-x.pcap", bytes);
  write_file(root() / "jobs" / id / "run-.pcap", bytes);
  write_file(root() / "jobs" / id / "run-9999.pcap", bytes);
  write_file(root() / "jobs" / id / "notes.txt", "mine");
  const auto held = store->adopt_runs(id);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_THAT(held->runs, IsEmpty());
  EXPECT_THAT(held->cut, SizeIs(2)) << "an empty file is no loss, nor a header";
  EXPECT_EQ(held->cut.at(0).bytes, 10u);
  EXPECT_EQ(held->cut.at(3).bytes, 6u);
  EXPECT_FALSE(held->cut.at(0).damaged || held->cut.at(3).damaged);
  for (std::uint32_t run = 0; run < 4; ++run)
    EXPECT_FALSE(fs::exists(run_file(run))) << run;
  EXPECT_TRUE(fs::exists(root() / "jobs" / id / "notes.txt"));
}

TEST_F(SavefileStoreTest, AdoptsNothingOfAJobWithoutRuns) {
  EXPECT_THAT(store->adopt_runs(id)->runs, IsEmpty());
}

TEST_F(SavefileStoreTest, TellsDamageFromATornTail) {
  append(0, 3, 10);
  append(1, 3, 10);
  append(2, 3, 10);
  open();
  auto bytes = read_file(run_file(0));
  bytes.replace(24 + 76 + 4, 4, "\xff\xff\xff\xff"); // nanoseconds
  write_file(run_file(0), bytes);
  // A host that crashes may leave zeros, or lose the header.
  write_file(run_file(1), read_file(run_file(1)) + std::string(4096, '\0'));
  write_file(run_file(2), std::string(252, '\0'));
  const auto held = store->adopt_runs(id);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(held->runs.at(0).packets, 1u);
  EXPECT_EQ(held->cut.at(0).offset, 100u);
  EXPECT_EQ(held->cut.at(0).bytes, 152u);
  EXPECT_EQ(held->runs.at(1).packets, 3u);
  EXPECT_EQ(held->cut.at(1).bytes, 4096u);
  EXPECT_THAT(held->runs, SizeIs(2));
  EXPECT_EQ(held->cut.at(2).bytes, 252u);
  for (const auto& [run, cut] : held->cut)
    EXPECT_TRUE(cut.damaged) << run;
  EXPECT_EQ(fs::file_size(run_file(0)), 100u);
  EXPECT_FALSE(fs::exists(run_file(2)));
}

TEST_F(SavefileStoreTest, SaysWhichRunCannotBeRead) {
  fs::create_directories(run_file(0));
  const auto held = store->adopt_runs(id);
  ASSERT_FALSE(held);
  EXPECT_THAT(held.error().message, HasSubstr(run_file(0).string()));
}

// -- savefiles ----------------------------------------------------------------

TEST_F(SavefileStoreTest, PublishesBothFormats) {
  write_file(savefile_file(id + ".pcap.part"), "classic");
  write_file(savefile_file(id + ".pcapng.part"), "next");
  EXPECT_EQ(*store->size_of(id, savefile_format::pcap), 0u);
  const auto done = store->publish(id, true);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_file(savefile_file(id + ".pcap")), "classic");
  EXPECT_EQ(read_file(savefile_file(id + ".pcapng")), "next");
  EXPECT_FALSE(fs::exists(savefile_file(id + ".pcap.part")));
  EXPECT_EQ(mode_of(savefile_file(id + ".pcap")), 0640u);
  EXPECT_EQ(*store->size_of(id, savefile_format::pcap), 7u);
  EXPECT_EQ(*store->size_of(id, savefile_format::pcapng), 4u);
}

TEST_F(SavefileStoreTest, PublishesTheClassicSavefileLast) {
  write_file(savefile_file(id + ".pcap.part"), "classic");
  const auto done = store->publish(id, true);
  ASSERT_FALSE(done);
  EXPECT_THAT(
    done.error().message,
    HasSubstr("rename " + savefile_file(id + ".pcapng.part").string()));
  EXPECT_FALSE(fs::exists(savefile_file(id + ".pcap")));
}

TEST_F(SavefileStoreTest, DiscardsParts) {
  write_file(savefile_file(id + ".pcap.part"), "classic");
  write_file(savefile_file(id + ".pcap"), "whole");
  ASSERT_TRUE(store->discard_parts(id));
  ASSERT_TRUE(store->discard_parts(id)) << "there need not be any";
  EXPECT_FALSE(fs::exists(savefile_file(id + ".pcap.part")));
  EXPECT_TRUE(fs::exists(savefile_file(id + ".pcap")));
}

TEST_F(SavefileStoreTest, OpensASavefileThatOutlivesItsName) {
  write_file(savefile_file(id + ".pcap"), "bytes");
  auto opened = store->open_savefile(id, savefile_format::pcap);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->size_bytes, 5u);
  ASSERT_TRUE(store->remove_savefile(id, savefile_format::pcap));
  ASSERT_TRUE(store->remove_savefile(id, savefile_format::pcap));
  EXPECT_FALSE(fs::exists(savefile_file(id + ".pcap")));
  std::string bytes(16, '\0');
  ASSERT_EQ(::pread(*opened->descriptor, bytes.data(), bytes.size(), 0), 5);
  EXPECT_EQ(bytes.substr(0, 5), "bytes");
  EXPECT_THAT(open_below(root() / "savefiles"), SizeIs(1));
  opened->descriptor.reset();
  EXPECT_THAT(open_below(root() / "savefiles"), IsEmpty());
}

TEST_F(SavefileStoreTest, ValidatesASavefileByAllThatMayChange) {
  const auto etag = [&](const std::string& job, savefile_format format) {
    const auto opened = store->open_savefile(job, format);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? opened->etag : "";
  };
  write_file(savefile_file(id + ".pcap"), "bytes");
  write_file(savefile_file(id + ".pcapng"), "bytes");
  write_file(savefile_file(other_id + ".pcap"), "bytes");
  fs::last_write_time(savefile_file(id + ".pcapng"),
                      fs::last_write_time(savefile_file(id + ".pcap")));
  const auto first = etag(id, savefile_format::pcap);
  EXPECT_EQ(etag(id, savefile_format::pcap), first);
  EXPECT_NE(etag(id, savefile_format::pcapng), first);
  EXPECT_NE(etag(other_id, savefile_format::pcap), first);
  EXPECT_THAT(first, HasSubstr(id));
  fs::last_write_time(savefile_file(id + ".pcap"),
                      fs::last_write_time(savefile_file(id + ".pcap"))
                        + std::chrono::nanoseconds{1});
  EXPECT_NE(etag(id, savefile_format::pcap), first);
}

TEST_F(SavefileStoreTest, FollowsNoLinkOutOfItsDirectory) {
  write_file(directory.path() / "secret", "secret");
  fs::create_symlink(directory.path() / "secret", savefile_file(id + ".pcap"));
  EXPECT_FALSE(store->open_savefile(id, savefile_format::pcap));
  EXPECT_EQ(*store->size_of(id, savefile_format::pcap), 0u);
  fs::create_directories(root() / "jobs" / id);
  fs::create_symlink(directory.path() / "secret", run_file(0));
  EXPECT_FALSE(store->append(id, 0, make_batch(1)));
  EXPECT_EQ(read_file(directory.path() / "secret"), "secret");
}

TEST_F(SavefileStoreTest, AdoptsNoRunThatIsALink) {
  append(0, 1, 1, other_id);
  const auto torn = read_file(run_file(0, other_id)) + "torn";
  write_file(directory.path() / "secret", torn);
  fs::create_directories(root() / "jobs" / id);
  fs::create_symlink(directory.path() / "secret", run_file(0));
  EXPECT_FALSE(store->adopt_runs(id));
  EXPECT_EQ(read_file(directory.path() / "secret"), torn);
}

TEST_F(SavefileStoreTest, SaysWhichSavefileIsMissing) {
  const auto opened = store->open_savefile(id, savefile_format::pcapng);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "open savefile "
                                      + savefile_file(id + ".pcapng").string()
                                      + ": No such file or directory");
}

TEST_F(SavefileStoreTest, KnowsItsOwnFilesByName) {
  const std::vector<std::string> ours{id + ".pcap", id + ".pcapng",
                                      other_id + ".pcap.part"};
  EXPECT_FALSE(*store->has_files());
  for (const auto& name : {std::string{"notes.txt"}, id + ".pcap.bak",
                           std::string{"x.pcap"}, other_id})
    write_file(savefile_file(name), "");
  append(0, 1, 1);
  EXPECT_FALSE(*store->has_files()) << "runs are none";
  for (const auto& name : ours)
    write_file(savefile_file(name), "");
  write_file(root() / "jobs" / "notes.txt", "");
  EXPECT_TRUE(*store->has_files());
  EXPECT_THAT(walked(), UnorderedElementsAre(
                          savefile_file(ours[0]), savefile_file(ours[1]),
                          savefile_file(ours[2]), root() / "jobs" / id));
}

TEST_F(SavefileStoreTest, WalksInStepsAsLongAsIsWanted) {
  for (int i = 0; i < 10; ++i)
    write_file(savefile_file("not ours " + std::to_string(i)), "");
  append(0, 1, 1);
  auto walk = store->walk();
  std::size_t found = 0;
  auto steps = 0;
  for (; !walk.done(); ++steps) {
    const auto entries = walk.next(4);
    ASSERT_TRUE(entries) << entries.error().message;
    for (const auto& x : *entries) {
      ++found;
      EXPECT_EQ(x.id, id);
      EXPECT_EQ(x.what, stored_entry::kind::runs);
    }
  }
  EXPECT_EQ(found, 1u);
  EXPECT_GE(steps, 3) << "names that are not ours cost as much";
}

TEST_F(SavefileStoreTest, SaysWhereAWalkEnded) {
  auto walk = store->walk();
  fs::remove(root() / "savefiles");
  const auto entries = walk.next(4);
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().message, "list directory "
                                       + (root() / "savefiles").string()
                                       + ": No such file or directory");
}

} // namespace edgecap::test

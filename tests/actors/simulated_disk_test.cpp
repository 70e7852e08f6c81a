// What the simulated disk promises to those who test with it, over many seeds.
#include "actors/job_index.hpp"
#include "tests/support/simulated_disk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

namespace edgecap::test {

namespace {

using capture::open_mode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t seeds = 200;

/// What a disk says, or 0.
template <class T>
int error_of(const capture::io_result<T>& x) {
  return x ? 0 : x.error();
}

class a_disk : public simulated_disk {
public:
  explicit a_disk(std::uint64_t seed = 1) : simulated_disk(seed) {
    EXPECT_TRUE(files().make_directory("/d"));
    write_back();
  }

  std::unique_ptr<capture::file> open(const std::string& path,
                                      open_mode mode = open_mode::create) {
    auto opened = files().open(path, mode);
    EXPECT_TRUE(opened) << path << ": " << opened.error();
    return opened ? std::move(*opened) : nullptr;
  }

  void crash_and_start(crash_kind kind) {
    crash(kind);
    start();
  }

  std::string text(const std::string& path) {
    return contents(path).value_or("none");
  }
};

/// Writes all of it; returns the error, if any.
int write(capture::file& out, const std::string& bytes,
          std::uint64_t offset = 0) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  return error_of(capture::write_all(out, &part, 1, offset));
}

job_record make_job(int n) {
  job_record result;
  result.id = std::string(31, '0') + static_cast<char>('a' + n);
  result.spec.account_id = "account";
  return result;
}

} // namespace

// -- the end of a process -----------------------------------------------------

TEST(SimulatedDisk, KeepsEverythingInACrashOfTheProcess) {
  a_disk disk;
  const auto out = disk.open("/d/x");
  ASSERT_EQ(write(*out, "bytes"), 0);
  ASSERT_TRUE(disk.files().rename("/d/x", "/d/y"));
  disk.crash_and_start(crash_kind::process);
  EXPECT_EQ(disk.text("/d/y"), "bytes");
  EXPECT_THAT(disk.paths(), ElementsAre("/d/y"));
}

TEST(SimulatedDisk, KeepsWhatWasSyncedInACrashOfTheHost) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto out = disk.open("/d/x");
    ASSERT_EQ(write(*out, "synced"), 0);
    ASSERT_TRUE(out->sync());
    ASSERT_TRUE(disk.files().sync_directory("/d"));
    ASSERT_EQ(write(*out, " and not", 6), 0);
    disk.crash_and_start(crash_kind::host);
    seen.insert(disk.text("/d/x"));
    ASSERT_EQ(disk.text("/d/x").substr(0, 6), "synced");
    ASSERT_EQ(std::string{"synced and not"}.find(disk.text("/d/x")), 0u);
  }
  EXPECT_EQ(seen.count("synced"), 1u) << "nothing more survives";
  EXPECT_EQ(seen.count("synced and not"), 1u) << "all survives";
  EXPECT_GT(seen.size(), 5u) << "a part survives";
}

TEST(SimulatedDisk, LosesANameThatWasNotSynced) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto out = disk.open("/d/x");
    ASSERT_EQ(write(*out, "1"), 0);
    ASSERT_TRUE(out->sync());
    ASSERT_TRUE(disk.files().link("/d/x", "/d/y"));
    ASSERT_TRUE(disk.files().rename("/d/x", "/d/z"));
    disk.crash_and_start(crash_kind::host);
    std::string names;
    for (const auto& path : disk.paths()) {
      EXPECT_EQ(disk.text(path), "1");
      names += path;
    }
    seen.insert(names);
  }
  // Names survive in the order in which they were given.
  EXPECT_THAT(seen, ElementsAre("", "/d/x", "/d/x/d/y", "/d/y/d/z"));
}

TEST(SimulatedDisk, WritesFilesInAnyOrderAndEachInItsOwn) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto x = disk.open("/d/x");
    const auto y = disk.open("/d/y");
    ASSERT_TRUE(disk.files().sync_directory("/d"));
    ASSERT_EQ(write(*x, "1", 0), 0);
    ASSERT_EQ(write(*y, "1", 0), 0);
    ASSERT_EQ(write(*x, "2", 1), 0);
    disk.crash_and_start(crash_kind::host);
    seen.insert(disk.text("/d/x") + "," + disk.text("/d/y"));
  }
  EXPECT_THAT(seen, ElementsAre(",", ",1", "1,", "1,1", "12,", "12,1"));
}

TEST(SimulatedDisk, TearsAWriteAtASectorOrAnywhere) {
  std::set<std::uint64_t> at_sector, elsewhere;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto out = disk.open("/d/x");
    ASSERT_EQ(write(*out, std::string(4096, 'o')), 0);
    ASSERT_TRUE(out->sync());
    ASSERT_TRUE(disk.files().sync_directory("/d"));
    ASSERT_EQ(write(*out, std::string(4096, 'n')), 0);
    disk.crash_and_start(crash_kind::host);
    const auto text = disk.text("/d/x");
    ASSERT_EQ(text.size(), 4096u);
    const auto torn = std::min(text.find('o'), text.size());
    ASSERT_EQ(text.find('n', torn), std::string::npos);
    (torn % 512 == 0 ? at_sector : elsewhere).insert(torn);
  }
  EXPECT_EQ(at_sector.count(0), 1u);
  EXPECT_EQ(at_sector.count(4096), 1u);
  EXPECT_GT(at_sector.size(), 5u);
  EXPECT_GT(elsewhere.size(), 5u);
}

TEST(SimulatedDisk, IsOutOfReachForWhoeverHasCrashed) {
  for (const auto kind : {crash_kind::process, crash_kind::host}) {
    a_disk disk;
    auto& old_files = disk.files();
    const auto out = disk.open("/d/x");
    ASSERT_EQ(write(*out, "old"), 0);
    ASSERT_TRUE(out->sync());
    ASSERT_TRUE(out->lock());
    ASSERT_TRUE(disk.files().sync_directory("/d"));
    disk.crash(kind);
    EXPECT_TRUE(disk.down());
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(write(*out, "new"), EIO);
      EXPECT_EQ(error_of(out->truncate(0)), EIO);
      EXPECT_EQ(error_of(out->sync()), EIO);
      EXPECT_EQ(error_of(out->release()), EIO);
      EXPECT_EQ(error_of(old_files.remove("/d/x")), EIO);
      EXPECT_EQ(error_of(old_files.open("/d/y", open_mode::create)), EIO);
      EXPECT_EQ(error_of(old_files.list("/d")), EIO);
      disk.start();
      EXPECT_FALSE(disk.down());
    }
    EXPECT_EQ(disk.text("/d/x"), "old");
    EXPECT_TRUE(disk.open("/d/x")->lock()) << "a lock goes with its process";
  }
}

TEST(SimulatedDisk, CrashesInTheMiddleOfAChange) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto out = disk.open("/d/x");
    disk.crash_at_change(1, crash_kind::process);
    ASSERT_EQ(write(*out, "12"), 0);
    ASSERT_EQ(error_of(out->status()), 0) << "to look changes nothing";
    ASSERT_EQ(write(*out, "34", 2), EIO);
    ASSERT_TRUE(disk.down());
    disk.start();
    seen.insert(disk.text("/d/x"));
  }
  EXPECT_THAT(seen, ElementsAre("12", "123"));
}

// -- faults -------------------------------------------------------------------

TEST(SimulatedDisk, LosesWhatItCouldNotSync) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    a_disk disk{seed};
    const auto out = disk.open("/d/x");
    ASSERT_TRUE(disk.files().sync_directory("/d"));
    ASSERT_EQ(write(*out, "1"), 0);
    disk.set_rates({0, 0, 0, 1});
    EXPECT_EQ(error_of(out->sync()), EIO);
    disk.set_rates({});
    EXPECT_EQ(disk.text("/d/x"), "1") << "a process sees it all the same";
    EXPECT_TRUE(out->sync()) << "and the next sync knows nothing of it";
    disk.crash_and_start(crash_kind::host);
    seen.insert(disk.text("/d/x"));
  }
  EXPECT_THAT(seen, ElementsAre("", "1"));
}

TEST(SimulatedDisk, RunsFullAndHasRoomAgain) {
  a_disk disk;
  disk.set_capacity(10);
  const auto out = disk.open("/d/x");
  EXPECT_EQ(write(*out, "12345678"), 0);
  EXPECT_EQ(*disk.files().free_bytes("/d"), 2u);
  EXPECT_EQ(write(*out, "9abc", 8), ENOSPC);
  EXPECT_EQ(disk.text("/d/x"), "123456789a") << "a part has room";
  EXPECT_EQ(write(*out, "0", 0), 0) << "what is there may change";
  EXPECT_EQ(disk.used_bytes(), 10u);
  ASSERT_TRUE(out->truncate(3));
  EXPECT_EQ(write(*out, "9abc", 3), 0);
  ASSERT_TRUE(disk.files().remove("/d/x"));
  EXPECT_EQ(*disk.files().free_bytes("/d"), 10u);
  disk.set_capacity(0);
  EXPECT_EQ(write(*disk.open("/d/y"), "1"), ENOSPC);
  EXPECT_EQ(disk.report(), "no_space 2, short_write 1");
}

TEST(SimulatedDisk, FailsAsOftenAsItIsTold) {
  struct {
    disk_rates rates;
    disk_fault fault;
    int error;
  } const kinds[]{{{2}, disk_fault::no_space, ENOSPC},
                  {{0, 2}, disk_fault::short_write, 0},
                  {{0, 0, 2}, disk_fault::write_error, EIO},
                  {{0, 0, 0, 2}, disk_fault::sync_error, EIO},
                  {{0, 0, 0, 0, 2}, disk_fault::read_error, EIO},
                  {{0, 0, 0, 0, 0, 2}, disk_fault::no_descriptor, EMFILE},
                  {{0, 0, 0, 0, 0, 0, 2}, disk_fault::slow, 0}};
  for (const auto& kind : kinds) {
    SCOPED_TRACE(name_of(kind.fault));
    a_disk disk;
    const auto out = disk.open("/d/x");
    disk.set_rates(kind.rates);
    std::set<int> errors;
    for (int i = 0; i < 100; ++i) {
      char byte = 'x';
      iovec part{&byte, 1};
      errors.insert(error_of(out->write(&part, 1, 0)));
      errors.insert(error_of(out->sync()));
      errors.insert(error_of(disk.files().open("/d/x", open_mode::read)));
      if (const auto in = disk.files().open("/d/x", open_mode::read))
        errors.insert(error_of((*in)->read(&byte, 1, 0)));
      std::string two = "two";
      part = {two.data(), two.size()};
      const auto taken = out->write(&part, 1, 0);
      if (taken && kind.fault != disk_fault::short_write) {
        EXPECT_EQ(*taken, 3u);
      }
    }
    EXPECT_EQ(errors.count(0), 1u);
    if (kind.error != 0) {
      EXPECT_THAT(errors, ElementsAre(0, kind.error));
    }
    EXPECT_THAT(disk.hits(kind.fault),
                ::testing::AllOf(::testing::Gt(20u), ::testing::Lt(400u)));
    EXPECT_EQ(disk.take_slow(), kind.fault == disk_fault::slow);
    EXPECT_FALSE(disk.take_slow());
  }
}

TEST(SimulatedDisk, FailsWhatItsScriptSays) {
  a_disk disk;
  disk.set_script([](disk_call call, const std::string& path) {
    return call == disk_call::create && path == "/d/x" ? EDQUOT : 0;
  });
  EXPECT_EQ(error_of(disk.files().open("/d/x", open_mode::create)), EDQUOT);
  EXPECT_EQ(disk.text("/d/x"), "none");
  EXPECT_TRUE(disk.files().open("/d/y", open_mode::create));
  EXPECT_EQ(disk.report(), "scripted 1");
}

TEST(SimulatedDisk, LetsFilesBeHarmedBehindOurBack) {
  a_disk disk;
  ASSERT_EQ(write(*disk.open("/d/x"), "12345"), 0);
  EXPECT_TRUE(disk.damage("/d/x", 1));
  EXPECT_NE(disk.text("/d/x"), "12345");
  EXPECT_TRUE(disk.cut("/d/x", 1));
  EXPECT_EQ(disk.text("/d/x"), "1");
  EXPECT_FALSE(disk.cut("/d/x", 1));
  disk.crash_and_start(crash_kind::process);
  EXPECT_TRUE(disk.lose("/d/x"));
  EXPECT_FALSE(disk.lose("/d/x"));
  EXPECT_EQ(disk.harm("/d"), "");
  std::set<char> ways;
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(write(*disk.open("/d/x"), "12345"), 0);
    const auto what = disk.harm("/d");
    EXPECT_THAT(what, HasSubstr("/d/x"));
    ways.insert(what[0]);
  }
  EXPECT_THAT(ways, ElementsAre('c', 'd', 'l'));
  EXPECT_EQ(disk.used_bytes(), disk.contents("/d/x").value_or("").size());
}

// -- as a file system ---------------------------------------------------------

TEST(SimulatedDisk, AnswersAsTheSystemDoes) {
  a_disk disk;
  auto& files = disk.files();
  EXPECT_EQ(error_of(files.open("/d/x", open_mode::read)), ENOENT);
  EXPECT_EQ(error_of(files.open("/d/x", open_mode::change)), ENOENT);
  EXPECT_EQ(error_of(files.open("/e/x", open_mode::create)), ENOENT);
  ASSERT_EQ(write(*disk.open("/d/x"), "bytes"), 0);
  EXPECT_EQ(error_of(files.link("/d/x", "/d/x")), EEXIST);
  EXPECT_EQ(error_of(files.rename("/d/y", "/d/x")), ENOENT);
  EXPECT_EQ(error_of(files.remove("/d/y")), ENOENT);
  EXPECT_EQ(error_of(files.list("/e")), ENOENT);
  EXPECT_EQ(error_of(files.list("/d/x")), ENOTDIR);
  EXPECT_EQ(error_of(files.make_directory("/d/x")), EEXIST);
  EXPECT_TRUE(files.make_directories("/a/b"));
  EXPECT_TRUE(files.remove_tree("/a"));
  EXPECT_TRUE(files.remove_tree("/a"));
  EXPECT_EQ(files.status("/d")->kind, capture::file_kind::directory);
  EXPECT_EQ(files.status("/d/x")->size_bytes, 5u);
  EXPECT_EQ(error_of(files.status("/a")), ENOENT);
  const auto first = disk.open("/d/lock"), second = disk.open("/d/lock");
  EXPECT_TRUE(first->lock());
  EXPECT_EQ(error_of(second->lock()), EWOULDBLOCK);
  disk.open("/d/x", open_mode::replace);
  EXPECT_EQ(disk.text("/d/x"), "");
}

TEST(SimulatedDisk, GivesADescriptorThatOutlivesTheName) {
  a_disk disk;
  ASSERT_EQ(write(*disk.open("/d/x"), "bytes"), 0);
  const auto fd = disk.open("/d/x", open_mode::read)->release();
  ASSERT_TRUE(fd);
  ASSERT_TRUE(disk.files().remove("/d/x"));
  std::string bytes(16, ' ');
  EXPECT_EQ(::pread(fd->get(), bytes.data(), bytes.size(), 0), 5);
  EXPECT_EQ(bytes.substr(0, 5), "bytes");
}

// -- as the disk of an index --------------------------------------------------

TEST(SimulatedDisk, KeepsAnIndexAsSqlitePromises) {
  std::set<bool> progress_survived;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    a_disk disk{seed};
    const auto open = [&] {
      auto index = job_index::open("/d/index", disk.files(), disk.vfs());
      EXPECT_TRUE(index) << index.error().message;
      return std::move(*index);
    };
    auto index = open();
    for (int n = 0; n < 5; ++n)
      ASSERT_TRUE(index->insert(make_job(n), "key"));
    auto changed = make_job(1);
    changed.packets_captured = 7;
    ASSERT_TRUE(index->update(changed, durability::process));
    disk.crash(crash_kind::host);
    EXPECT_FALSE(index->insert(make_job(9)));
    index = nullptr;
    disk.start();
    index = open();
    EXPECT_EQ(index->totals()->jobs, 5u);
    for (int n = 0; n < 5; ++n)
      EXPECT_TRUE(*index->find(make_job(n).id));
    const auto found = (**index->find(changed.id)).packets_captured;
    progress_survived.insert(found == 7);
  }
  EXPECT_THAT(progress_survived, ElementsAre(false, true));
}

TEST(SimulatedDisk, AllocatesAllOrNothing) {
  a_disk disk;
  const auto x = disk.open("/d/x");
  EXPECT_EQ(write(*x, "abc"), 0);
  disk.set_capacity(disk.used_bytes() + 100);
  EXPECT_EQ(error_of(x->allocate(104)), ENOSPC);
  EXPECT_EQ(disk.text("/d/x"), "abc");
  EXPECT_EQ(error_of(x->allocate(103)), 0);
  EXPECT_EQ(disk.text("/d/x"), "abc" + std::string(100, '\0'));
  EXPECT_EQ(write(*disk.open("/d/y"), "d"), ENOSPC);
}

TEST(SimulatedDisk, CountsTheFilesThatAreOpen) {
  a_disk disk;
  EXPECT_EQ(disk.open_files(), 0u);
  auto first = disk.open("/d/x");
  const auto second = disk.open("/d/x");
  EXPECT_EQ(disk.open_files(), 2u);
  disk.crash_and_start(crash_kind::process);
  EXPECT_EQ(disk.open_files(), 2u) << "nobody has closed them";
  first.reset();
  EXPECT_EQ(disk.open_files(), 1u);
}

TEST(SimulatedDisk, DoesTheSameForTheSameSeed) {
  const auto live = [](std::uint64_t seed) {
    a_disk disk{seed};
    disk.set_rates({50, 50, 50, 50, 50, 50, 50});
    std::string past;
    for (int process = 0; process < 20; ++process) {
      if (auto index = job_index::open("/d/index", disk.files(), disk.vfs()))
        for (int n = 0; n < 5; ++n)
          past += (*index)->insert(make_job(n)) ? '+' : '-';
      past += ' ';
      disk.crash_and_start(process % 2 == 0 ? crash_kind::host
                                            : crash_kind::process);
    }
    for (const auto& path : disk.paths())
      past += path + *disk.contents(path);
    return past + disk.report() + std::to_string(disk.digest());
  };
  EXPECT_EQ(live(1), live(1));
  EXPECT_THAT(live(1), ::testing::AllOf(HasSubstr("+"), HasSubstr("-")));
  EXPECT_NE(live(1), live(2));
}

} // namespace edgecap::test

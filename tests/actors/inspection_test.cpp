#include "actors/inspection.hpp"
#include "tests/support/simulated_disk.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

// The inspection by itself, over an index and a store on a simulated disk: what
// happens between two slices is done here by hand.
namespace edgecap::test {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr const char* root = "/data";

std::string id_of(int n) {
  const auto digits = std::to_string(n);
  return std::string(32 - digits.size(), '0') + digits;
}

class Inspection : public ::testing::Test {
protected:
  Inspection() {
    disk.start();
    auto store = savefile_store::open({root, 16, &disk.files()});
    EXPECT_TRUE(store) << store.error().message;
    parts.store = std::move(*store);
    auto index = job_index::open(std::string{root} + "/index.sqlite",
                                 disk.files(), disk.vfs());
    EXPECT_TRUE(index) << index.error().message;
    parts.index = std::move(*index);
    parts.wall_clock = [] { return unix_ns{1000}; };
  }

  /// Adds the row of a job; one that has succeeded has a savefile of 30 bytes.
  void insert(int n, job_phase phase) {
    job_record x;
    x.id = id_of(n);
    x.phase = phase;
    if (is_terminal(phase))
      x.finished = 1;
    if (phase == job_phase::succeeded) {
      x.savefile_bytes = 30;
      write("savefiles/" + x.id + ".pcap", 30);
    }
    const auto done = parts.index->insert(x);
    ASSERT_TRUE(done) << done.error().message;
  }

  void write(const std::string& name, std::size_t size) {
    const auto path = std::string{root} + "/" + name;
    disk.files().make_directory(path.substr(0, path.rfind('/')));
    const auto file = disk.files().open(path, capture::open_mode::replace);
    ASSERT_TRUE(file);
    const std::string bytes(size, 'x');
    iovec part{const_cast<char*>(bytes.data()), size};
    ASSERT_TRUE(capture::write_all(**file, &part, 1, 0));
  }

  /// What a seal leaves in the middle of it.
  void write_everything_of(int n) {
    write("jobs/" + id_of(n) + "/run-0.pcap", 50);
    write("savefiles/" + id_of(n) + ".pcap", 30);
    write("savefiles/" + id_of(n) + ".pcapng.part", 10);
  }

  void step() {
    const auto done = aut.step(parts);
    ASSERT_TRUE(done) << done.error().message;
  }

  void finish() {
    while (!aut.done() && !HasFailure())
      step();
  }

  job_phase phase_of(int n) {
    return parts.index->phase_of(id_of(n))->value();
  }

  /// Names below the directory of what is no part of the index.
  std::vector<std::string> left() const {
    std::vector<std::string> result;
    for (const auto& path : disk.paths())
      if (path.find("/savefiles/") != std::string::npos
          || path.find("/jobs/") != std::string::npos)
        result.push_back(path.substr(path.find('/', 1) + 1));
    return result;
  }

  simulated_disk disk{1};
  storage_parts parts;
  inspection aut{16};
};

} // namespace

TEST_F(Inspection, HasNothingToDoWhereThereIsNothing) {
  EXPECT_FALSE(aut.done());
  finish();
  EXPECT_EQ(aut.found().jobs + aut.found().strays, 0u);
}

TEST_F(Inspection, RemovesWhatNoRowSpeaksFor) {
  insert(1, job_phase::succeeded);
  write("savefiles/" + id_of(1) + ".pcap.part", 10);
  write("jobs/" + id_of(1) + "/run-0.pcap", 50);
  insert(2, job_phase::failed);
  write_everything_of(2);
  write_everything_of(3);
  write("savefiles/README", 5);
  finish();
  EXPECT_THAT(
    left(), ElementsAre("savefiles/" + id_of(1) + ".pcap", "savefiles/README"));
  EXPECT_EQ(aut.found().strays, 8u);
  EXPECT_EQ(aut.found().jobs, 1u);
}

TEST_F(Inspection, LeavesJobsAloneThatHaveNotEnded) {
  auto n = 0;
  for (const auto phase : {job_phase::pending, job_phase::capturing,
                           job_phase::draining, job_phase::sealing}) {
    insert(++n, phase);
    write_everything_of(n);
  }
  const auto before = left();
  finish();
  EXPECT_EQ(left(), before);
  EXPECT_EQ(aut.found().strays, 0u);
}

TEST_F(Inspection, FailsAJobWhoseSavefileIsNotWhole) {
  for (const int n : {1, 2, 3})
    insert(n, job_phase::succeeded);
  disk.lose(std::string{root} + "/savefiles/" + id_of(1) + ".pcap");
  write("savefiles/" + id_of(2) + ".pcap", 29);
  write("savefiles/" + id_of(3) + ".pcapng", 10);
  finish();
  EXPECT_EQ(phase_of(1), job_phase::failed);
  EXPECT_EQ(phase_of(2), job_phase::failed);
  EXPECT_EQ(phase_of(3), job_phase::succeeded);
  EXPECT_THAT(left(), ElementsAre("savefiles/" + id_of(3) + ".pcap"));
  EXPECT_EQ(aut.found().lost, 2u);
  EXPECT_THAT(aut.take_changed(), ElementsAre(id_of(1), id_of(2), id_of(3)));
  EXPECT_THAT(aut.take_changed(), IsEmpty());
}

TEST_F(Inspection, JudgesEachFileWhenItComesToIt) {
  for (int n = 1; n <= 40; ++n)
    insert(n, job_phase::succeeded);
  insert(41, job_phase::sealing);
  write_everything_of(41);
  step();
  // One that was looked at is deleted and leaves its file; one that was not is
  // deleted with its file; one is sealed; one comes.
  ASSERT_TRUE(parts.index->erase({id_of(1), id_of(40)}));
  disk.lose(std::string{root} + "/savefiles/" + id_of(40) + ".pcap");
  auto sealed = **parts.index->find(id_of(41));
  sealed.phase = job_phase::succeeded;
  sealed.savefile_bytes = 30;
  ASSERT_TRUE(parts.index->update(sealed, durability::host));
  insert(42, job_phase::capturing);
  write_everything_of(42);
  finish();
  EXPECT_EQ(aut.found().lost, 0u);
  const auto all = left();
  const std::set<std::string> names{all.begin(), all.end()};
  EXPECT_EQ(names.count("savefiles/" + id_of(1) + ".pcap"), 0u);
  EXPECT_EQ(names.count("savefiles/" + id_of(41) + ".pcap"), 1u);
  EXPECT_EQ(names.count("savefiles/" + id_of(41) + ".pcapng.part"), 0u);
  EXPECT_EQ(names.count("jobs/" + id_of(41) + "/run-0.pcap"), 0u);
  EXPECT_EQ(names.count("savefiles/" + id_of(42) + ".pcapng.part"), 1u);
  EXPECT_EQ(names.count("jobs/" + id_of(42) + "/run-0.pcap"), 1u);
}

TEST_F(Inspection, NeverLooksAtManyFilesAtOnce) {
  for (int n = 1; n <= 100; ++n)
    insert(n, job_phase::succeeded);
  std::uint64_t looks = 0;
  disk.set_script([&](disk_call call, const std::string& path) {
    looks
      += call == disk_call::look && path.find("/savefiles") != std::string::npos
           ? 1
           : 0;
    return 0;
  });
  while (!aut.done() && !HasFailure()) {
    looks = 0;
    step();
    EXPECT_LE(looks, 20u);
  }
  EXPECT_EQ(aut.found().jobs, 100u);
}

TEST_F(Inspection, GoesOnAfterAnError) {
  for (int n = 1; n <= 20; ++n)
    insert(n, job_phase::succeeded);
  write_everything_of(21);
  const auto savefiles = std::string{root} + "/savefiles";
  auto failures = 0;
  disk.set_script([&](disk_call call, const std::string& path) {
    // Each tenth name, and then no more; and one file.
    const auto hit
      = call == disk_call::look
        && (path == savefiles ? ++failures % 10 == 0 && failures < 40
                              : path.find(id_of(7)) != std::string::npos);
    return hit ? EIO : 0;
  });
  auto errors = 0;
  while (!aut.done())
    errors += aut.step(parts) ? 0 : 1;
  EXPECT_EQ(errors, 3);
  EXPECT_EQ(aut.found().unknown, 1u) << "it is as it was";
  EXPECT_EQ(phase_of(7), job_phase::succeeded);
  EXPECT_EQ(left().size(), 20u);
}

} // namespace edgecap::test

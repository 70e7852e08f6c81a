#include "actors/job_index.hpp"
#include "tests/support/simulated_disk.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace edgecap::test {

// SQLite does not mind when the sync of the directory fails in which it has
// just made the WAL; the next crash of the host would take all of it away.
TEST(IndexNames, AreDurableBeforeTheIndexIsOpen) {
  constexpr const char* file = "/data/index.sqlite";
  job_record record;
  record.id = std::string(32, '1');
  record.spec.account_id = "023e105f4ecef8ad9ca31a8372d0c353";
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    simulated_disk disk{seed};
    disk.start();
    ASSERT_TRUE(disk.files().make_directories("/data"));
    disk.write_back();
    disk.set_script([](disk_call call, const std::string&) {
      return call == disk_call::sync_directory ? EIO : 0;
    });
    EXPECT_FALSE(job_index::open(file, disk.files(), disk.vfs()));
    disk.set_script({});
    auto index = job_index::open(file, disk.files(), disk.vfs());
    ASSERT_TRUE(index) << index.error().message;
    ASSERT_TRUE((*index)->insert(record));
    disk.crash(crash_kind::host);
    index->reset();
    disk.start();
    index = job_index::open(file, disk.files(), disk.vfs());
    ASSERT_TRUE(index) << index.error().message;
    const auto found = (*index)->find(record.id);
    ASSERT_TRUE(found);
    EXPECT_TRUE(*found);
  }
}

} // namespace edgecap::test

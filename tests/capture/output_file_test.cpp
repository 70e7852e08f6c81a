#include "capture/output_file.hpp"
#include "tests/support/simulated_disk.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::test {

namespace {

using capture::output_file;
using ::testing::HasSubstr;

constexpr std::size_t piece_bytes = 1u << 20;
constexpr auto pieces_per_part = output_file::write_out_bytes / piece_bytes;

class OutputFile : public ::testing::Test {
protected:
  OutputFile() {
    disk.start();
    disk.set_script([this](disk_call call, const std::string&) {
      if (call != disk_call::sync)
        return 0;
      ++syncs;
      return sync_error;
    });
  }

  output_file create() {
    auto made = output_file::create(disk.files(), "/file");
    EXPECT_TRUE(made);
    return std::move(*made);
  }

  simulated_disk disk{1};
  std::vector<std::byte> piece = std::vector<std::byte>(piece_bytes);
  int syncs = 0;
  int sync_error = 0;
};

} // namespace

// Or its last sync would keep everybody waiting who waits for its writer.
TEST_F(OutputFile, GoesOutToTheDiskPartByPart) {
  auto aut = create();
  for (std::size_t n = 0; n < 3 * pieces_per_part; ++n)
    aut.append(piece.data(), piece.size());
  EXPECT_EQ(syncs, 3);
  ASSERT_TRUE(aut.finish());
  EXPECT_EQ(syncs, 4) << "the one that makes it durable";
  EXPECT_EQ(disk.contents("/file")->size(), 3 * output_file::write_out_bytes);
}

TEST_F(OutputFile, IsSmallEnoughForOneSync) {
  auto aut = create();
  for (std::size_t n = 1; n < pieces_per_part; ++n)
    aut.append(piece.data(), piece.size());
  EXPECT_EQ(syncs, 0);
  EXPECT_TRUE(aut.finish());
  EXPECT_EQ(syncs, 1);
}

// The system tells of it once: what is told here, no sync tells again.
TEST_F(OutputFile, KeepsTheErrorOfAPart) {
  auto aut = create();
  sync_error = EIO;
  for (std::size_t n = 0; n < pieces_per_part; ++n)
    aut.append(piece.data(), piece.size());
  sync_error = 0;
  const auto finished = aut.finish();
  ASSERT_FALSE(finished);
  EXPECT_THAT(finished.error().message,
              HasSubstr("write /file: Input/output error"));
}

} // namespace edgecap::test

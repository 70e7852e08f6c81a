#include "capture/posix_file_system.hpp"
#include "capture/run_reader.hpp"
#include "capture/savefile.hpp"
#include "tests/support/runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace edgecap::capture {

namespace {

using test::run_record;
using testing::HasSubstr;

run_record record(unix_ns time, std::size_t size) {
  return {time, std::vector<std::byte>(size, std::byte{0x5a}),
          static_cast<std::uint32_t>(size + 1)};
}

class SavefileTest : public testing::Test {
protected:
  expected<run_summary> scan(const std::string& content) {
    test::write_file(file, content);
    return scan_run(posix_files(), file);
  }

  test::temp_directory directory;
  std::filesystem::path file = directory / "run";
};

TEST_F(SavefileTest, HeaderIsThatOfPcapSavefile) {
  const auto as_words
    = [](link_type link, std::uint32_t snaplen, time_precision precision) {
        const auto bytes = savefile_header(link, snaplen, precision);
        std::vector<std::uint32_t> words(6);
        std::memcpy(words.data(), bytes.data(), bytes.size());
        return words;
      };
  using words = std::vector<std::uint32_t>;
  EXPECT_EQ(as_words(link_type::ethernet, 160, time_precision::nanoseconds),
            (words{0xa1b23c4d, 0x00040002, 0, 0, 160, 1}));
  EXPECT_EQ(as_words(link_type::linux_sll2, 7, time_precision::microseconds),
            (words{0xa1b2c3d4, 0x00040002, 0, 0, 7, 276}));
}

TEST_F(SavefileTest, ScanCountsWholeRecords) {
  const auto found = scan(test::run_bytes(
    link_type::raw, {record(5, 10), record(5, 0), record(7, 70'000)}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->link, link_type::raw);
  EXPECT_EQ(found->snaplen_bytes, max_captured_length);
  EXPECT_EQ(found->packets, 3u);
  EXPECT_EQ(found->captured_bytes, 70'010u);
  EXPECT_EQ(found->whole_bytes, 24 + 3 * 16 + 70'010u);
  EXPECT_FALSE(found->torn);
  EXPECT_TRUE(found->ordered);
}

TEST_F(SavefileTest, ScanFindsDisorder) {
  const auto found = scan(test::run_bytes(
    link_type::raw, {record(1'000'000'001, 1), record(2'000'000'000, 1),
                     record(1'999'999'999, 1), record(3'000'000'000, 1)}));
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->ordered);
  EXPECT_EQ(found->packets, 4u);
}

TEST_F(SavefileTest, ScanFindsTheTearWhereverItIs) {
  const std::vector<run_record> records{record(1, 3), record(2, 0),
                                        record(3, 20)};
  const auto whole = test::run_bytes(link_type::ethernet, records);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const auto found = scan(whole.substr(0, size));
    if (size < savefile_header_bytes) {
      ASSERT_FALSE(found) << size;
      EXPECT_EQ(found.error().code, capture_errc::bad_savefile);
      continue;
    }
    ASSERT_TRUE(found) << size;
    std::size_t last_whole = savefile_header_bytes;
    std::uint64_t packets = 0;
    for (const auto& x : records) {
      if (last_whole + 16 + x.data.size() > size)
        break;
      last_whole += 16 + x.data.size();
      ++packets;
    }
    EXPECT_EQ(found->whole_bytes, last_whole) << size;
    EXPECT_EQ(found->packets, packets) << size;
    EXPECT_EQ(found->torn, size != last_whole) << size;
    EXPECT_EQ(found->rest_bytes, size - last_whole) << size;
    EXPECT_FALSE(found->damaged) << size << ": a torn tail is none";
  }
}

TEST_F(SavefileTest, ScanTakesNoDamageForARecord) {
  const auto whole = test::run_bytes(link_type::ethernet, {record(1, 3)});
  const auto with_header = [&](record_header x) {
    auto result = whole;
    result.append(reinterpret_cast<const char*>(&x), sizeof x);
    return result + std::string(300'000, 'x');
  };
  // The same with a record that can be.
  EXPECT_EQ(scan(with_header({1, 0, 5, 5}))->packets, 2u);
  for (const auto& x : {record_header{1, 0, max_captured_length + 1, 300'000},
                        record_header{1, 0, 0xffffffff, 0xffffffff},
                        record_header{1, 1'000'000'000, 5, 5},
                        record_header{1, 0, 6, 5}, record_header{0, 0, 0, 0}}) {
    const auto found = scan(with_header(x));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->packets, 1u);
    EXPECT_EQ(found->whole_bytes, whole.size());
    EXPECT_TRUE(found->torn);
    EXPECT_TRUE(found->damaged);
    EXPECT_EQ(found->rest_bytes, 16u + 300'000u);
  }
}

TEST_F(SavefileTest, ScanTakesTheLargestRecord) {
  const auto found = scan(
    test::run_bytes(link_type::ethernet, {record(1, max_captured_length),
                                          record(2, max_captured_length)}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->packets, 2u);
  EXPECT_FALSE(found->torn);
}

TEST_F(SavefileTest, ScanStopsAtOnceInAHugeHole) {
  // What is left of a preallocated file: a terabyte of zeros.
  const auto whole = test::run_bytes(link_type::ethernet, {record(1, 3)});
  test::write_file(file, whole);
  std::filesystem::resize_file(file, std::uintmax_t{1} << 40);
  const auto found = scan_run(posix_files(), file);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->whole_bytes, whole.size());
  EXPECT_TRUE(found->torn);
}

TEST_F(SavefileTest, ScanRefusesOtherFiles) {
  const auto header = [](link_type link, time_precision precision) {
    const auto bytes = savefile_header(link, 1, precision);
    return std::string(reinterpret_cast<const char*>(bytes.data()),
                       bytes.size());
  };
  const auto good = header(link_type::raw, time_precision::nanoseconds);
  EXPECT_TRUE(scan(good));
  auto swapped = good;
  std::swap(swapped[0], swapped[3]);
  std::swap(swapped[1], swapped[2]);
  auto version = good;
  version[4] = 3;
  for (const auto& x :
       {header(link_type::raw, time_precision::microseconds), swapped, version,
        std::string(1000, '\0'), std::string{"\x0a\x0d\x0d\x0a"} + good}) {
    const auto found = scan(x);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, capture_errc::bad_savefile);
    EXPECT_THAT(found.error().message, HasSubstr("run " + file.string()));
  }
}

TEST_F(SavefileTest, ScanSaysWhatTheSystemSays) {
  const auto missing = scan_run(posix_files(), directory / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, capture_errc::io);
  EXPECT_EQ(missing.error().message, "open run "
                                       + (directory / "missing").string()
                                       + ": No such file or directory");
  const auto not_a_file = scan_run(posix_files(), file.parent_path());
  ASSERT_FALSE(not_a_file);
  EXPECT_EQ(not_a_file.error().code, capture_errc::io);
  EXPECT_THAT(not_a_file.error().message, HasSubstr("Is a directory"));
}

TEST_F(SavefileTest, ReaderFollowsAnyOrder) {
  // Records of all sizes, so that buffers end within them everywhere.
  std::mt19937 random{3};
  std::vector<run_record> records;
  std::vector<record_place> places;
  std::uint64_t offset = savefile_header_bytes;
  for (int i = 0; i < 400; ++i) {
    const auto size
      = i % 50 == 0 ? std::size_t{200'000} : std::size_t{random() % 3000};
    records.push_back(record(i, size));
    places.push_back({i, offset, static_cast<std::uint32_t>(16 + size)});
    offset += 16 + size;
  }
  test::write_file(file, test::run_bytes(link_type::raw, records));
  for (int round = 0; round < 3; ++round) {
    auto reader = run_reader::open(posix_files(), file);
    ASSERT_TRUE(reader);
    reader->follow(places);
    for (const auto& place : places) {
      ASSERT_TRUE(reader->fill().value());
      const auto& wanted = records[static_cast<std::size_t>(place.time)];
      const auto header = reader->front_header();
      ASSERT_EQ(header.time(), wanted.time);
      ASSERT_EQ(
        std::vector<std::byte>(reader->front() + 16,
                               reader->front() + 16 + header.captured_length),
        wanted.data);
      reader->pop();
    }
    EXPECT_FALSE(reader->fill().value());
    EXPECT_FALSE(reader->torn());
    std::shuffle(places.begin(), places.end(), random);
  }
}

} // namespace

} // namespace edgecap::capture

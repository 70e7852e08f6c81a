// Merges are compared with the definition (sort all records by time, then by
// input) and with what other programs make of the files: mergecap, capinfos,
// tcpdump and tshark, which the tests require.

#include "capture/merge.hpp"
#include "capture/posix_file_system.hpp"
#include "tests/support/packets.hpp"
#include "tests/support/runs.hpp"
#include "tests/support/savefile_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::capture {

namespace {

namespace fs = std::filesystem;
using test::bytes;
using test::run_record;
using testing::HasSubstr;

constexpr unix_ns second = 1'000'000'000;
constexpr auto everything = std::numeric_limits<std::size_t>::max();

std::size_t descriptors() {
  return static_cast<std::size_t>(
    std::distance(fs::directory_iterator{"/proc/self/fd"}, {}));
}

// -- inputs -------------------------------------------------------------------

struct run {
  link_type link = link_type::ethernet;
  std::vector<run_record> records;
  bool ordered = true;
};

run_record record_of(unix_ns time, const bytes& data, std::uint32_t more = 0) {
  return {time, data, static_cast<std::uint32_t>(data.size()) + more};
}

/// A frame or packet that says which one it is.
bytes numbered(link_type link, std::uint32_t number, std::size_t size) {
  static const auto& udp4 = test::packet_classes().front();
  auto result
    = link == link_type::ethernet ? test::ethernet_frame(udp4) : udp4.network;
  const auto minimum = result.size();
  result.resize(std::max(minimum, size));
  std::memcpy(&result[minimum - sizeof number], &number, sizeof number);
  return result;
}

/// Runs with records at random: times that often tie, lengths that mostly are
/// small.
std::vector<run> random_runs(std::mt19937& random, std::size_t count,
                             bool mixed, bool disordered) {
  std::vector<run> result(count);
  std::uint32_t number = 0;
  for (auto& x : result) {
    if (mixed && random() % 2 == 0)
      x.link = link_type::raw;
    auto time = 1000 * second + static_cast<unix_ns>(random() % 50);
    const auto records = random() % 8 == 0 ? 0 : random() % 300;
    for (unsigned i = 0; i < records; ++i) {
      const auto size = random() % 40 == 0 ? random() % 60'000 : random() % 200;
      x.records.push_back(record_of(time, numbered(x.link, ++number, size),
                                    static_cast<std::uint32_t>(random() % 3)));
      time += static_cast<unix_ns>(random() % 8 == 0 ? random() % (2 * second)
                                                     : random() % 3);
      if (disordered && random() % 4 == 0)
        time -= static_cast<unix_ns>(random() % 40);
    }
    x.ordered = std::is_sorted(
      x.records.begin(), x.records.end(),
      [](const auto& a, const auto& b) { return a.time < b.time; });
  }
  return result;
}

/// What a merge is, in one sentence.
std::vector<run_record> sorted_records(const std::vector<run>& runs) {
  std::vector<run_record> result;
  for (const auto& x : runs)
    result.insert(result.end(), x.records.begin(), x.records.end());
  std::stable_sort(
    result.begin(), result.end(),
    [](const auto& a, const auto& b) { return a.time < b.time; });
  return result;
}

/// As libpcap shows records.
std::vector<test::read_record> as_read(const std::vector<run_record>& records) {
  std::vector<test::read_record> result;
  result.reserve(records.size());
  for (const auto& x : records)
    result.push_back({x.time, x.original_length,
                      std::string(reinterpret_cast<const char*>(x.data.data()),
                                  x.data.size())});
  return result;
}

// -- the test -----------------------------------------------------------------

class MergeTest : public testing::Test {
protected:
  /// Writes runs and describes them as inputs "node/0", "node/1" and so on.
  std::vector<merge_input> write(const std::vector<run>& runs) const {
    std::vector<merge_input> result;
    for (const auto& x : runs) {
      merge_input input;
      const auto number = std::to_string(result.size());
      if (!x.records.empty()) {
        input.run = directory / ("run" + number);
        test::write_file(input.run, test::run_bytes(x.link, x.records));
      }
      input.link = x.link;
      input.ordered = x.ordered;
      input.interface_name = "node/" + number;
      input.interface_index = static_cast<std::uint32_t>(result.size() + 7);
      result.push_back(input);
    }
    return result;
  }

  /// Merges to the end; returns the error's text if it fails.
  expected<merge_result> run_merge(std::vector<merge_input> inputs,
                                   std::size_t budget = everything) const {
    auto opened = merge::open(posix_files(), std::move(inputs), options);
    if (!opened)
      return tl::unexpected<capture_error>{opened.error()};
    for (;;) {
      const auto done = (*opened)->step(budget);
      if (!done)
        return tl::unexpected<capture_error>{done.error()};
      if (*done)
        return (*opened)->result();
    }
  }

  /// Runs a program on a file, `@` in the command; it must not complain.
  static std::string say(std::string command, const fs::path& file) {
    // Said of any file, of any file as root, and of any LINUX_SLL2 file.
    static const std::vector<std::string> harmless{
      "reading from file ", "Running as user ",
      "Warning: interface names might be incorrect"};
    command.replace(command.find('@'), 1, "'" + file.string() + "'");
    const auto result = test::run_program(command);
    EXPECT_EQ(result.status, 0) << command << '\n' << result.errors;
    auto errors = std::istringstream{result.errors};
    for (std::string line; std::getline(errors, line);)
      if (std::none_of(harmless.begin(), harmless.end(), [&](const auto& x) {
            return line.compare(0, x.size(), x) == 0;
          }))
        ADD_FAILURE() << command << ": " << line;
    return result.output;
  }

  /// Has every reader that we know read a file and count its records.
  static void check_readers(const fs::path& file, std::uint64_t packets,
                            bool libpcap_reads_it = true) {
    EXPECT_EQ(std::stoull(say("capinfos -T -r -m -Q -c -M @ | cut -d, -f2 | "
                              "tr -d '\"'",
                              file)),
              packets);
    const auto lines = [](const std::string& text) {
      return static_cast<std::uint64_t>(
        std::count(text.begin(), text.end(), '\n'));
    };
    EXPECT_EQ(lines(say("tshark -n -r @ -T fields -e frame.number", file)),
              packets);
    if (libpcap_reads_it) {
      EXPECT_EQ(lines(say("tcpdump -nn -t -q -r @", file)), packets);
    }
  }

  test::temp_directory directory;
  fs::path pcap = directory / "merged.pcap";
  fs::path pcapng = directory / "merged.pcapng";
  merge_options options{
    pcap, {}, max_captured_length, time_precision::nanoseconds};
};

// -- order --------------------------------------------------------------------

TEST_F(MergeTest, IsASortOfAllRecords) {
  // Whatever the runs, the order of records in them and the slices.
  std::mt19937 random{4};
  for (int round = 0; round < 60; ++round) {
    const auto runs
      = random_runs(random, 1 + random() % 9, false, round % 2 == 0);
    const auto expected = as_read(sorted_records(runs));
    const auto budget
      = round % 3 == 0 ? everything : std::size_t{random() % 5000};
    const auto result = run_merge(write(runs), budget);
    ASSERT_TRUE(result) << result.error().message;
    const auto file = test::read_pcap(pcap);
    ASSERT_EQ(file.error, "");
    ASSERT_EQ(file.records, expected) << round;
    EXPECT_EQ(file.link_type, 1);
    EXPECT_EQ(result->link, link_type::ethernet);
    EXPECT_EQ(result->packets, expected.size());
    std::uint64_t captured = 0;
    for (const auto& x : expected)
      captured += x.bytes.size();
    EXPECT_EQ(result->captured_bytes, captured);
    EXPECT_EQ(result->pcap_bytes, fs::file_size(pcap));
    EXPECT_EQ(result->pcapng_bytes, 0u);
  }
}

TEST_F(MergeTest, IsTheSameOfThousandsOfRuns) {
  // Each has a small buffer, which some of their records are too large for.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit most{before.rlim_max, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &most), 0);
  std::mt19937 random{9};
  auto runs = random_runs(random, 5, false, false);
  // Each takes a descriptor, and the test has some itself.
  const auto more = std::min<rlim_t>(2000, before.rlim_max - 100);
  for (std::uint32_t i = 0; i < more; ++i) {
    auto& x = runs.emplace_back();
    for (unix_ns time : {1 + i % 7, 2 + i % 5, 9u})
      x.records.push_back(record_of(
        1000 * second + time, numbered(x.link, i, i % 50 == 0 ? 40'000 : 60)));
    x.ordered = x.records[0].time <= x.records[1].time;
  }
  const auto result = run_merge(write(runs), 100'000);
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(result) << result.error().message;
  const auto file = test::read_pcap(pcap);
  ASSERT_EQ(file.error, "");
  EXPECT_TRUE(file.records == as_read(sorted_records(runs)));
}

TEST_F(MergeTest, LosesNoPacketOfMixedInputs) {
  std::mt19937 random{5};
  options.pcapng = pcapng;
  for (int round = 0; round < 30; ++round) {
    auto runs = random_runs(random, 2 + random() % 6, true, round % 2 == 0);
    // Mixed for certain.
    runs[0]
      = {link_type::raw, {record_of(second, numbered(link_type::raw, 0, 0))}};
    runs[1] = {link_type::ethernet,
               {record_of(second, numbered(link_type::ethernet, 0, 0))}};
    const auto expected = sorted_records(runs);
    const auto result = run_merge(write(runs), random() % 100'000);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->link, link_type::linux_sll2);
    const auto file = test::read_pcap(pcap);
    ASSERT_EQ(file.error, "");
    EXPECT_EQ(file.link_type, 276);
    ASSERT_EQ(file.records.size(), expected.size());
    EXPECT_EQ(result->packets, expected.size());
    std::uint64_t captured = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& in = expected[i];
      const auto& out = file.records[i];
      captured += in.data.size();
      // What follows the link layer is untouched.
      const auto is_ethernet = in.data[0] == std::byte{2};
      const std::size_t skipped = is_ethernet ? 14 : 0;
      ASSERT_EQ(out.time_ns, in.time);
      ASSERT_EQ(out.original_length, in.original_length - skipped + 20);
      ASSERT_EQ(out.bytes.substr(20), as_read({in})[0].bytes.substr(skipped));
      ASSERT_EQ(out.bytes.substr(0, 2), (std::string{"\x08\x00", 2}));
      ASSERT_EQ(out.bytes[9], is_ethernet ? '\x01' : '\xfe');
    }
    EXPECT_EQ(result->captured_bytes, captured);
  }
}

TEST_F(MergeTest, BreaksTiesByInput) {
  std::vector<run> runs(4);
  std::vector<run_record> in_order;
  for (auto& x : runs)
    for (int i = 0; i < 3; ++i) {
      const auto number = static_cast<std::uint32_t>(in_order.size());
      in_order.push_back(
        record_of(second, numbered(link_type::ethernet, number, 0)));
      x.records.push_back(in_order.back());
    }
  ASSERT_TRUE(run_merge(write(runs), 1));
  EXPECT_EQ(test::read_pcap(pcap).records, as_read(in_order));
}

TEST_F(MergeTest, WritesWhatMergecapWrites) {
  std::mt19937 random{6};
  for (const auto count : {1u, 2u, 7u, 40u}) {
    const auto runs = random_runs(random, count, false, false);
    auto inputs = write(runs);
    ASSERT_TRUE(run_merge(inputs));
    const auto rival = directory / "rival.pcap";
    // Of equal time stamps mergecap takes the last file's first.
    std::string command = "mergecap -F nsecpcap -w @";
    for (auto x = inputs.rbegin(); x != inputs.rend(); ++x)
      if (!x->run.empty())
        command += " '" + x->run.string() + "'";
    say(command, rival);
    EXPECT_TRUE(test::read_file(pcap).substr(savefile_header_bytes)
                == test::read_file(rival).substr(savefile_header_bytes))
      << count;
  }
}

// -- what readers say ---------------------------------------------------------

TEST_F(MergeTest, IsReadByAll) {
  std::mt19937 random{7};
  options.pcapng = pcapng;
  for (const auto mixed : {false, true})
    for (const auto precision :
         {time_precision::nanoseconds, time_precision::microseconds}) {
      options.precision = precision;
      auto runs = random_runs(random, 5, false, true);
      if (mixed)
        runs.push_back(
          {link_type::raw,
           {record_of(second, numbered(link_type::raw, 1, 0)),
            record_of(2 * second, test::packet_classes()[24].network)}});
      const auto packets = sorted_records(runs).size();
      const auto result = run_merge(write(runs));
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(result->packets, packets);
      check_readers(pcap, packets);
      // libpcap reads no pcapng file with more than one link type (and takes
      // two interfaces of raw IP for that).
      check_readers(pcapng, packets, !mixed);
      EXPECT_EQ(result->pcapng_bytes, fs::file_size(pcapng));
    }
}

TEST_F(MergeTest, IsAValidFileWithoutPackets) {
  options.pcapng = pcapng;
  auto no_record = write({{link_type::raw, {}}, {link_type::raw, {}}});
  no_record[0].run = directory / "header-only";
  test::write_file(no_record[0].run, test::run_bytes(link_type::raw, {}));
  for (const auto& [inputs, link] :
       std::vector<std::pair<std::vector<merge_input>, link_type>>{
         {{}, link_type::ethernet},
         {no_record, link_type::raw},
         {write({{link_type::raw, {}}, {link_type::ethernet, {}}}),
          link_type::linux_sll2}}) {
    const auto result = run_merge(inputs);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->link, link);
    EXPECT_EQ(result->packets, 0u);
    EXPECT_EQ(result->pcap_bytes, savefile_header_bytes);
    EXPECT_EQ(fs::file_size(pcap), savefile_header_bytes);
    check_readers(pcap, 0);
    check_readers(pcapng, 0, link == link_type::ethernet);
  }
}

TEST_F(MergeTest, InputsWithoutPacketsDoNotMix) {
  const auto result = run_merge(
    write({{link_type::ethernet, {}},
           {link_type::raw, {record_of(1, numbered(link_type::raw, 1, 0))}}}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->link, link_type::raw);
  EXPECT_EQ(test::read_pcap(pcap).records.size(), 1u);
}

TEST_F(MergeTest, ShowsTheSamePacketsAsLinuxSll2) {
  // One packet of every class, as tshark dissects it on Ethernet and as
  // LINUX_SLL2 beside a raw one.
  std::vector<run> runs(1);
  unix_ns time = second;
  for (const auto& x : test::packet_classes())
    runs[0].records.push_back(record_of(++time, test::ethernet_frame(x)));
  const auto dissect = "tshark -n -r @ -T fields -e frame.time_epoch "
                       "-e vlan.id -e ip.src -e ip.proto -e ipv6.dst "
                       "-e ipv6.nxt -e tcp.dstport -e udp.dstport "
                       "-e sctp.dstport -e arp.dst.proto_ipv4 -e mpls.label";
  ASSERT_TRUE(run_merge(write(runs)));
  const auto on_ethernet = say(dissect, pcap);
  runs.push_back(
    {link_type::raw, {record_of(++time, bytes(1, std::byte{0x45}))}});
  ASSERT_TRUE(run_merge(write(runs)));
  const auto as_sll2 = say(dissect, pcap);
  EXPECT_THAT(on_ethernet, HasSubstr("192.0.2.1"));
  EXPECT_EQ(as_sll2.substr(0, on_ethernet.size()), on_ethernet);
  EXPECT_THAT(
    say("tshark -n -r @ -T fields -e sll.ifindex -e sll.src.eth", pcap),
    testing::StartsWith("7\t02:00:00:00:00:01\n"));
}

TEST_F(MergeTest, WritesMicrosecondsIfAsked) {
  options.precision = time_precision::microseconds;
  const auto data = numbered(link_type::ethernet, 1, 0);
  ASSERT_TRUE(run_merge(write({{link_type::ethernet,
                                {record_of(5 * second + 999'999'999, data),
                                 record_of(6 * second + 1'999, data)}}})));
  const auto file = test::read_pcap(pcap);
  ASSERT_EQ(file.records.size(), 2u);
  EXPECT_EQ(file.records[0].time_ns, 5 * second + 999'999'000);
  EXPECT_EQ(file.records[1].time_ns, 6 * second + 1'000);
  EXPECT_EQ(test::read_file(pcap).substr(0, 4), "\xd4\xc3\xb2\xa1");
}

// -- pcapng -------------------------------------------------------------------

TEST_F(MergeTest, PcapngKeepsInterfacesApart) {
  options.pcapng = pcapng;
  auto inputs = write(
    {{link_type::ethernet,
      {record_of(3 * second + 7, numbered(link_type::ethernet, 1, 61), 5)}},
     {link_type::raw, {}},
     {link_type::raw, {record_of(second, numbered(link_type::raw, 2, 0))}}});
  ASSERT_TRUE(run_merge(inputs));
  EXPECT_EQ(say("tshark -n -r @ -T fields -e frame.interface_name "
                "-e frame.time_epoch -e frame.cap_len -e frame.len "
                "-e frame.encap_type",
                pcapng),
            "node/2\t1.000000000\t48\t48\t7\n"
            "node/0\t3.000000007\t62\t67\t1\n");
  const auto about = say("capinfos -I -s -K @", pcapng);
  EXPECT_THAT(about, HasSubstr("edgecap"));
  EXPECT_THAT(about, HasSubstr("Name = node/1"));
}

TEST_F(MergeTest, PcapngStatesCountsThatAreKnown) {
  options.pcapng = pcapng;
  auto inputs
    = write({{link_type::ethernet,
              {record_of(3 * second + 7, numbered(link_type::ethernet, 1, 0))}},
             {link_type::ethernet, {}},
             {link_type::ethernet, {}}});
  inputs[0].packets_received = 0x123456789a;
  inputs[0].dropped_by_interface = 2;
  inputs[0].dropped_by_kernel = 3;
  inputs[2].dropped_by_kernel = 0; // Known, unlike the others.
  ASSERT_TRUE(run_merge(inputs));
  check_readers(pcapng, 1);
  const auto word = [](std::uint64_t x, std::size_t size = 4) {
    return std::string(reinterpret_cast<const char*>(&x), size);
  };
  const auto stamp = 3 * second + 7;
  const auto time = word(static_cast<std::uint64_t>(stamp >> 32))
                    + word(static_cast<std::uint64_t>(stamp));
  const auto end = word(0);
  const auto first = word(5) + word(64) + word(0) + time + word(0x00080004)
                     + word(0x123456789a, 8) + word(0x00080005) + word(2, 8)
                     + word(0x00080007) + word(3, 8) + end + word(64);
  const auto second_block = word(5) + word(40) + word(2) + time
                            + word(0x00080007) + word(0, 8) + end + word(40);
  EXPECT_THAT(test::read_file(pcapng), testing::EndsWith(first + second_block));
}

TEST_F(MergeTest, PcapngTakesNamesOfAnyLength) {
  options.pcapng = pcapng;
  std::vector<merge_input> inputs;
  for (std::size_t size = 0; size < 5; ++size) {
    inputs.emplace_back();
    inputs.back().interface_name = std::string(size, 'n');
  }
  inputs.emplace_back();
  inputs.back().interface_name = std::string(100'000, 'x');
  ASSERT_TRUE(run_merge(inputs));
  const auto about = say("capinfos -I @", pcapng);
  EXPECT_THAT(about, HasSubstr("Name = nnnn\n"));
  EXPECT_THAT(about, HasSubstr("Name = " + std::string(255, 'x') + "\n"));
  EXPECT_THAT(about, HasSubstr("Number of interfaces in file: 6"));
}

// -- snaplen ------------------------------------------------------------------

std::uint32_t snaplen_of(const fs::path& file) {
  std::uint32_t result = 0;
  std::memcpy(&result, test::read_file(file).data() + 16, sizeof result);
  return result;
}

TEST_F(MergeTest, HeaderNeverSaysLessThanARecordHas) {
  options.pcapng = pcapng;
  options.snaplen_bytes = 100;
  const auto large = numbered(link_type::ethernet, 1, 5000);
  const auto small = numbered(link_type::ethernet, 2, 0);
  ASSERT_TRUE(run_merge(write({{link_type::ethernet, {record_of(1, small)}}})));
  EXPECT_EQ(snaplen_of(pcap), 100u);
  EXPECT_THAT(say("capinfos -I @", pcapng),
              HasSubstr("Capture length = 100\n"));
  ASSERT_TRUE(run_merge(write({{link_type::ethernet, {record_of(1, large)}},
                               {link_type::ethernet, {record_of(1, small)}}})));
  EXPECT_EQ(snaplen_of(pcap), 5000u);
  EXPECT_EQ(test::read_pcap(pcap).records.at(0).bytes.size(), 5000u);
  check_readers(pcapng, 2);
  const auto about = say("capinfos -I @", pcapng);
  EXPECT_THAT(about, HasSubstr("Capture length = 5000\n"));
  EXPECT_THAT(about, testing::Not(HasSubstr("Capture length = 100\n")));
}

TEST_F(MergeTest, HeaderAllowsForLinuxSll2) {
  options.snaplen_bytes = 100;
  const auto merged_with = [&](std::size_t size) {
    const auto frame = numbered(link_type::ethernet, 1, size);
    const auto packet = numbered(link_type::raw, 2, 0);
    EXPECT_TRUE(run_merge(write({{link_type::ethernet, {record_of(1, frame)}},
                                 {link_type::raw, {record_of(2, packet)}}})));
    const auto first = test::read_pcap(pcap).records.at(0).bytes.size();
    return std::make_pair(snaplen_of(pcap), first);
  };
  EXPECT_EQ(merged_with(100), std::make_pair(120u, std::size_t{106}));
  EXPECT_EQ(merged_with(120), std::make_pair(126u, std::size_t{126}));
}

TEST_F(MergeTest, LargestPacketsStayReadable) {
  options.pcapng = pcapng;
  const auto largest = bytes(max_captured_length, std::byte{0x45});
  ASSERT_TRUE(
    run_merge(write({{link_type::raw, {record_of(second, largest, 9)}},
                     {link_type::raw, {record_of(second, largest)}}})));
  EXPECT_EQ(snaplen_of(pcap), max_captured_length);
  EXPECT_EQ(test::read_pcap(pcap).records.at(0).bytes.size(),
            max_captured_length);
  check_readers(pcap, 2);
  check_readers(pcapng, 2, false);
  // As LINUX_SLL2 they are too long by the header and lose that at the end.
  ASSERT_TRUE(run_merge(
    write({{link_type::raw, {record_of(second, largest, 9)}},
           {link_type::ethernet,
            {record_of(second, numbered(link_type::ethernet, 1, 0))}}})));
  EXPECT_EQ(snaplen_of(pcap), max_captured_length);
  const auto file = test::read_pcap(pcap);
  ASSERT_EQ(file.records.size(), 2u);
  EXPECT_EQ(file.records[0].bytes.size(), max_captured_length);
  EXPECT_EQ(file.records[0].original_length, max_captured_length + 9 + 20);
  check_readers(pcap, 2);
  check_readers(pcapng, 2, false);
}

// -- slices and damage --------------------------------------------------------

TEST_F(MergeTest, WorksInSlices) {
  std::mt19937 random{8};
  const auto inputs = write(random_runs(random, 6, false, true));
  ASSERT_TRUE(run_merge(inputs));
  const auto expected = test::read_file(pcap);
  std::uint64_t size = 0;
  for (const auto& x : inputs)
    size += x.run.empty() ? 0 : fs::file_size(x.run);
  auto opened = merge::open(posix_files(), inputs, options);
  ASSERT_TRUE(opened);
  constexpr std::size_t budget = 10'000, largest = 60'000 + 16;
  std::uint64_t steps = 0;
  for (std::uint64_t last = 0;; ++steps) {
    const auto done = (*opened)->step(budget);
    ASSERT_TRUE(done);
    EXPECT_LE((*opened)->result().captured_bytes - last, budget + largest);
    last = (*opened)->result().captured_bytes;
    if (*done)
      break;
  }
  EXPECT_GE(steps, size / (budget + largest));
  EXPECT_TRUE(test::read_file(pcap) == expected);
  // Done is done.
  EXPECT_TRUE((*opened)->step(budget).value());
  EXPECT_TRUE(test::read_file(pcap) == expected);
}

TEST_F(MergeTest, TakesTornRunsAsFarAsTheyAreWhole) {
  std::mt19937 random{9};
  auto runs = random_runs(random, 3, false, true);
  runs[0].records.push_back(
    record_of(9999 * second, numbered(link_type::ethernet, 0, 0)));
  runs[0].ordered = false;
  const auto inputs = write(runs);
  fs::resize_file(inputs[0].run, fs::file_size(inputs[0].run) - 1);
  runs[0].records.pop_back();
  ASSERT_TRUE(run_merge(inputs));
  EXPECT_EQ(test::read_pcap(pcap).records, as_read(sorted_records(runs)));
}

TEST_F(MergeTest, OverwritesAndProtectsItsOutput) {
  test::write_file(pcap, std::string(100'000, 'x'));
  ASSERT_TRUE(run_merge({}));
  EXPECT_EQ(fs::file_size(pcap), savefile_header_bytes);
  fs::remove(pcap);
  const auto mask = ::umask(0);
  const auto result = run_merge({});
  ::umask(mask);
  ASSERT_TRUE(result);
  struct stat about {};
  ASSERT_EQ(::stat(pcap.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0640u);
}

TEST_F(MergeTest, SaysWhatIsWrongWithAnInput) {
  const auto data = numbered(link_type::ethernet, 1, 0);
  const auto good = write({{link_type::ethernet, {record_of(1, data)}}});
  const auto before = descriptors();
  auto missing = good;
  missing.push_back(good[0]);
  missing[1].run = directory / "missing";
  EXPECT_EQ(
    run_merge(missing).error(),
    (capture_error{capture_errc::io, "open run " + missing[1].run.string()
                                       + ": No such file or directory"}));
  auto wrong_link = good;
  wrong_link[0].link = link_type::raw;
  EXPECT_EQ(run_merge(wrong_link).error(),
            (capture_error{capture_errc::bad_savefile,
                           "merge " + good[0].run.string()
                             + ": its link type is 1 and not 101"}));
  auto no_run = good;
  no_run[0].run = directory / "no-run";
  test::write_file(no_run[0].run, "#!/bin/sh\necho hello world\n");
  EXPECT_EQ(run_merge(no_run).error().code, capture_errc::bad_savefile);
  EXPECT_EQ(descriptors(), before);
}

TEST_F(MergeTest, RefusesToMixWhatItCannotConvert) {
  const auto data = numbered(link_type::raw, 1, 0);
  const auto wlan = write({{link_type{105}, {record_of(1, data)}}});
  const auto alone = run_merge(wlan);
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->link, link_type{105});
  const auto mixed = run_merge(write({{link_type::raw, {record_of(1, data)}},
                                      {link_type{105}, {record_of(1, data)}}}));
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code, capture_errc::unsupported_link_type);
  EXPECT_THAT(mixed.error().message, HasSubstr("link type 105"));
}

TEST_F(MergeTest, ReportsAFullDiskAndStaysFailed) {
  std::mt19937 random{10};
  const auto inputs = write(random_runs(random, 4, false, false));
  const auto before = descriptors();
  for (const auto full_is_pcapng : {false, true}) {
    if (full_is_pcapng)
      options = {pcap, "/dev/full", 100, time_precision::nanoseconds};
    else
      options.pcap = "/dev/full";
    auto opened = merge::open(posix_files(), inputs, options);
    ASSERT_TRUE(opened);
    const capture_error full{capture_errc::no_space,
                             "write /dev/full: No space left on device"};
    for (int i = 0; i < 2; ++i) {
      const auto done = (*opened)->step(everything);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error(), full);
    }
  }
  EXPECT_EQ(descriptors(), before);
}

TEST_F(MergeTest, GoesOnAfterAShortWrite) {
  // At its limit a file takes part of a write, here of the last one; only who
  // goes on to write the rest notices.
  std::vector<run> runs(1);
  for (int i = 0; i < 100; ++i)
    runs[0].records.push_back(
      record_of(i, numbered(link_type::ethernet, 1, 9999)));
  const auto inputs = write(runs);
  ASSERT_TRUE(run_merge(inputs));
  const auto whole = test::read_file(pcap);
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto room = whole.size() - 10;
  const rlimit limited{room, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  const auto result = run_merge(inputs);
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "write " + pcap.string() + ": File too large");
  EXPECT_TRUE(test::read_file(pcap) == whole.substr(0, room));
}

TEST_F(MergeTest, SaysThatItCannotCreate) {
  options.pcap = directory / "no/such/directory";
  const auto result = run_merge({});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "create " + options.pcap.string() + ": No such file or directory");
}

TEST_F(MergeTest, LeavesNothingOpenWhenAbandoned) {
  std::mt19937 random{11};
  const auto inputs = write(random_runs(random, 5, false, true));
  options.pcapng = pcapng;
  const auto before = descriptors();
  for (const auto budget : {std::size_t{0}, std::size_t{100'000}, everything}) {
    auto opened = merge::open(posix_files(), inputs, options);
    ASSERT_TRUE(opened);
    ASSERT_TRUE((*opened)->step(budget));
    if (budget == 0) {
      EXPECT_GT(descriptors(), before);
    }
  }
  EXPECT_EQ(descriptors(), before);
}

} // namespace

} // namespace edgecap::capture

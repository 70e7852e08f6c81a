#include "http/download.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <string>
#include <unordered_map>

using namespace edgecap::http;

namespace {

using headers_type = std::unordered_map<std::string, std::string>;

const representation file{1000, "abc", "application/vnd.tcpdump.pcap",
                          "pcap_1.pcap"};

download_answer ask(headers_type headers, const representation& of = file,
                    method verb = method::get) {
  request asked;
  asked.method = verb;
  asked.headers = std::move(headers);
  return answer_download(asked, of);
}

/// Value of a header that is there at most once; empty if it is not.
std::string header(const download_answer& from, const std::string& name) {
  std::string result;
  auto times = 0;
  for (const auto& [key, value] : from.head.headers)
    if (key == name) {
      result = value;
      ++times;
    }
  EXPECT_LE(times, 1) << name;
  return result;
}

void expect_whole(const download_answer& x, std::uint64_t size = 1000) {
  EXPECT_EQ(x.head.status, 200);
  EXPECT_TRUE(x.has_slice);
  EXPECT_EQ(x.slice, (byte_slice{0, size}));
  EXPECT_EQ(header(x, "Content-Range"), "");
}

void expect_failure(const download_answer& x, int status, int error_code) {
  EXPECT_EQ(x.head.status, status);
  EXPECT_FALSE(x.has_slice);
  EXPECT_EQ(x.head.content_type, "application/json");
  const auto body = nlohmann::json::parse(x.head.body);
  EXPECT_EQ(body.at("success"), false);
  EXPECT_EQ(body.at("errors").at(0).at("code"), error_code);
}

} // namespace

TEST(DownloadTest, SendsTheWholeFile) {
  const auto x = ask({});
  expect_whole(x);
  EXPECT_EQ(x.head.content_type, "application/vnd.tcpdump.pcap");
  EXPECT_EQ(x.head.body, "");
  EXPECT_EQ(header(x, "ETag"), "\"abc\"");
  EXPECT_EQ(header(x, "Accept-Ranges"), "bytes");
  EXPECT_EQ(header(x, "Content-Disposition"),
            "attachment; filename=\"pcap_1.pcap\"");
}

TEST(DownloadTest, SendsAnEmptyFile) {
  expect_whole(ask({}, {0, "e", "x/y", "z"}), 0);
}

// -- ranges -------------------------------------------------------------------

TEST(DownloadTest, SendsOneRange) {
  struct row {
    const char* range;
    byte_slice slice;
    const char* content_range;
  };
  for (const auto& x : {
         row{"bytes=0-0", {0, 1}, "bytes 0-0/1000"},
         row{"bytes=0-999", {0, 1000}, "bytes 0-999/1000"},
         row{"bytes=10-19", {10, 10}, "bytes 10-19/1000"},
         row{"bytes=0-", {0, 1000}, "bytes 0-999/1000"},
         row{"bytes=999-", {999, 1}, "bytes 999-999/1000"},
         row{"bytes=990-5000", {990, 10}, "bytes 990-999/1000"},
         row{"bytes=1-99999999999999999999", {1, 999}, "bytes 1-999/1000"},
         row{"bytes=-1", {999, 1}, "bytes 999-999/1000"},
         row{"bytes=-1000", {0, 1000}, "bytes 0-999/1000"},
         row{"bytes=-99999999999999999999", {0, 1000}, "bytes 0-999/1000"},
         row{"BYTES=5-6", {5, 2}, "bytes 5-6/1000"},
         row{" \tbytes= 5-6 ", {5, 2}, "bytes 5-6/1000"},
         row{"bytes=0005-0006", {5, 2}, "bytes 5-6/1000"},
       }) {
    const auto answer = ask({{"range", x.range}});
    EXPECT_EQ(answer.head.status, 206) << x.range;
    EXPECT_TRUE(answer.has_slice) << x.range;
    EXPECT_EQ(answer.slice, x.slice) << x.range;
    EXPECT_EQ(header(answer, "Content-Range"), x.content_range);
    EXPECT_EQ(header(answer, "ETag"), "\"abc\"");
    EXPECT_EQ(answer.head.content_type, file.content_type);
  }
}

TEST(DownloadTest, IgnoresRangesThatItNeedNotUnderstand) {
  for (const auto* range : {"",
                            "bytes",
                            "bytes=",
                            "bytes=-",
                            "bytes=5",
                            "bytes=5-4",
                            "bytes=--5",
                            "bytes=a-b",
                            "bytes=0-x",
                            "bytes=x-0",
                            "bytes=-x",
                            "bytes=+1-2",
                            "bytes=1 - 2",
                            "bytes=0-1,4-5",
                            "bytes=,0-1",
                            "bytes 0-1",
                            "items=0-1",
                            "bytes =0-1",
                            "0-1",
                            "bytes=0x0-0x1",
                            "bytes=1.0-2"})
    expect_whole(ask({{"range", range}}));
}

TEST(DownloadTest, RefusesRangesBeyondTheFile) {
  for (const auto* range : {"bytes=1000-", "bytes=1000-1000", "bytes=5000-6000",
                            "bytes=99999999999999999999-", "bytes=-0"}) {
    const auto x = ask({{"range", range}});
    expect_failure(x, 416, code::range_not_satisfiable);
    EXPECT_EQ(header(x, "Content-Range"), "bytes */1000") << range;
    EXPECT_EQ(header(x, "ETag"), "\"abc\"");
  }
  for (const auto* range : {"bytes=0-", "bytes=0-0", "bytes=-1"}) {
    const auto x = ask({{"range", range}}, {0, "e", "x/y", "z"});
    expect_failure(x, 416, code::range_not_satisfiable);
    EXPECT_EQ(header(x, "Content-Range"), "bytes */0") << range;
  }
}

TEST(DownloadTest, AddressesTheLargestFile) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  const auto x = ask({{"range", "bytes=18446744073709551614-"}},
                     {most, "abc", "x/y", "z"});
  EXPECT_EQ(x.head.status, 206);
  EXPECT_EQ(x.slice, (byte_slice{most - 1, 1}));
}

TEST(DownloadTest, SendsAPartOnlyOfTheFileThatIfRangeNames) {
  const auto with = [](const char* validator) {
    return ask({{"range", "bytes=0-9"}, {"if-range", validator}});
  };
  EXPECT_EQ(with("\"abc\"").head.status, 206);
  EXPECT_EQ(with(" \"abc\" ").head.status, 206);
  for (const auto* other :
       {"\"xyz\"", "W/\"abc\"", "abc", "*", "Thu, 01 Jan 2026 00:00:00 GMT"})
    expect_whole(with(other));
  // Not even a range that would be refused counts then.
  expect_whole(ask({{"range", "bytes=5000-"}, {"if-range", "\"xyz\""}}));
}

TEST(DownloadTest, IgnoresRangesOfHead) {
  expect_whole(ask({{"range", "bytes=0-9"}}, file, method::head));
  expect_whole(ask({{"range", "bytes=5000-"}}, file, method::head));
}

// -- preconditions ------------------------------------------------------------

TEST(DownloadTest, SaysThatNothingChanged) {
  for (const auto verb : {method::get, method::head})
    for (const auto* tags :
         {"\"abc\"", "W/\"abc\"", "*", " * ", "\"x\", \"abc\"",
          "\"x\",W/\"abc\" , \"y\"", ",,\"abc\""}) {
      const auto x
        = ask({{"if-none-match", tags}, {"range", "bytes=5000-"}}, file, verb);
      EXPECT_EQ(x.head.status, 304) << tags;
      EXPECT_FALSE(x.has_slice);
      EXPECT_EQ(x.head.body, "");
      EXPECT_EQ(x.head.content_type, "");
      EXPECT_EQ(header(x, "ETag"), "\"abc\"");
    }
  for (const auto* tags : {"\"xyz\"", "abc", "\"ABC\"", "w/\"abc\"", "\"abc\"x",
                           "\"x\" \"abc\"", ","})
    expect_whole(ask({{"if-none-match", tags}}));
}

TEST(DownloadTest, RefusesAnotherFileThanIfMatchNames) {
  for (const auto* tags : {"\"abc\"", "*", "\"x\", \"abc\""})
    expect_whole(ask({{"if-match", tags}}));
  for (const auto* tags : {"\"xyz\"", "W/\"abc\"", "abc", ","}) {
    const auto x = ask({{"if-match", tags}});
    expect_failure(x, 412, code::precondition_failed);
    EXPECT_EQ(header(x, "ETag"), "\"abc\"");
  }
  // Before everything else.
  expect_failure(ask({{"if-match", "\"xyz\""},
                      {"if-none-match", "\"abc\""},
                      {"range", "bytes=5000-"}}),
                 412, code::precondition_failed);
  EXPECT_EQ(ask({{"if-match", "\"abc\""}, {"range", "bytes=0-9"}}).head.status,
            206);
}

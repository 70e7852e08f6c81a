// Each case is framed whole, byte by byte and cut once at every position: the
// outcome must not depend on how TCP segments the bytes.
#include "http/request_framer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <random>
#include <string>
#include <vector>

using namespace edgecap::http;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace {

constexpr framer_limits small_limits{32, 256, 8, 64};

/// What became of some input.
struct outcome {
  std::vector<framed_request> requests;
  int error_status = 0; ///< 0 if there was no error.
  int error_code = 0;
  bool unfinished = false;
};

bool same(const framed_request& a, const framed_request& b) {
  return a.method == b.method && a.path == b.path && a.query == b.query
         && a.headers == b.headers && a.forwarded_for == b.forwarded_for
         && a.body == b.body && a.keep_alive == b.keep_alive;
}

bool operator==(const outcome& a, const outcome& b) {
  return std::equal(a.requests.begin(), a.requests.end(), b.requests.begin(),
                    b.requests.end(), same)
         && a.error_status == b.error_status && a.error_code == b.error_code
         && a.unfinished == b.unfinished;
}

std::ostream& operator<<(std::ostream& out, const outcome& value) {
  return out << value.requests.size() << " requests, error "
             << value.error_status << '/' << value.error_code
             << (value.unfinished ? ", unfinished" : "");
}

outcome frame(const std::vector<std::string>& parts,
              framer_limits limits = {}) {
  request_framer framer(limits);
  outcome result;
  for (const auto& part : parts) {
    if (!framer.append(part)) {
      ADD_FAILURE() << "the framer takes no more";
      return result;
    }
    for (;;) {
      framed_request request;
      const auto status = framer.next(request);
      if (status == request_framer::status::failed) {
        result.error_status = framer.error().status;
        result.error_code = framer.error().code;
        EXPECT_FALSE(framer.error().message.empty());
        return result;
      }
      if (status == request_framer::status::need_more)
        break;
      result.requests.push_back(std::move(request));
    }
  }
  result.unfinished = framer.begun();
  return result;
}

/// Frames in many segmentations, expects all to agree.
outcome frame_all_ways(const std::string& bytes, framer_limits limits = {}) {
  const auto whole = frame({bytes}, limits);
  std::vector<std::string> single;
  for (const auto c : bytes)
    single.emplace_back(1, c);
  EXPECT_EQ(frame(single, limits), whole) << "byte by byte: " << bytes;
  for (std::size_t i = 1; i < bytes.size(); ++i)
    EXPECT_EQ(frame({bytes.substr(0, i), bytes.substr(i)}, limits), whole)
      << "cut at " << i << ": " << bytes;
  return whole;
}

framed_request accepted(const std::string& bytes, framer_limits limits = {}) {
  auto result = frame_all_ways(bytes, limits);
  EXPECT_EQ(result.error_status, 0) << bytes;
  if (result.requests.size() != 1) {
    ADD_FAILURE() << result.requests.size() << " requests: " << bytes;
    return {};
  }
  return result.requests.front();
}

/// A request with these header lines, each with its CR LF.
std::string with_headers(const std::string& lines) {
  return "GET /x HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
}

} // namespace

// -- what is accepted ---------------------------------------------------------

TEST(RequestFramerTest, FramesAMinimalRequest) {
  const auto request = accepted("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(request.method, method::get);
  EXPECT_EQ(request.path, "/");
  EXPECT_EQ(request.query, "");
  EXPECT_THAT(request.headers, IsEmpty());
  EXPECT_EQ(request.body, "");
  EXPECT_TRUE(request.keep_alive);
}

TEST(RequestFramerTest, KnowsTheMethodsOfTheApi) {
  EXPECT_EQ(accepted("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").method,
            method::head);
  EXPECT_EQ(accepted("POST / HTTP/1.1\r\nHost: a\r\n\r\n").method,
            method::post);
  EXPECT_EQ(accepted("PUT / HTTP/1.1\r\nHost: a\r\n\r\n").method, method::put);
  EXPECT_EQ(accepted("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n").method,
            method::patch);
  EXPECT_EQ(accepted("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").method,
            method::del);
  EXPECT_EQ(accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").method,
            method::options);
}

TEST(RequestFramerTest, SplitsTheTargetAtTheFirstQuestionMark) {
  const auto request
    = accepted("GET /a%20b/c?d=e?f&g HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(request.path, "/a%20b/c");
  EXPECT_EQ(request.query, "d=e?f&g");
}

TEST(RequestFramerTest, TakesTheAbsoluteForm) {
  const auto request
    = accepted("GET HTTP://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(request.path, "/x");
  EXPECT_EQ(request.query, "y");
  EXPECT_EQ(accepted("GET https://b HTTP/1.1\r\nHost: a\r\n\r\n").path, "/");
  const auto no_path
    = accepted("GET http://[::1]?y HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(no_path.path, "/");
  EXPECT_EQ(no_path.query, "y");
}

TEST(RequestFramerTest, TakesABodyByItsLength) {
  const std::string body("\n\r\0\xff\r\n", 6);
  EXPECT_EQ(
    accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n" + body)
      .body,
    body);
}

TEST(RequestFramerTest, TakesLeadingZeros) {
  EXPECT_EQ(accepted("POST / HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 00000000000000000000003\r\n\r\nabc")
              .body,
            "abc");
}

TEST(RequestFramerTest, PassesAllowedHeadersOnInLowerCaseAndTrimmed) {
  const auto request
    = accepted(with_headers("AUTHORIZATION: \t Bearer x \t\r\nX-Foo: bar\r\n"
                            "Cookie: a=b\r\nAccept: foo\r\nx-auth-key:k\r\n"
                            "Range:\r\n"));
  EXPECT_THAT(request.headers,
              UnorderedElementsAre(Pair("authorization", "Bearer x"),
                                   Pair("x-auth-key", "k"), Pair("range", "")));
}

TEST(RequestFramerTest, JoinsWhatIsForwardedForEachRequest) {
  const auto result = frame_all_ways(
    with_headers("X-Forwarded-For: a, b\r\nx-forwarded-for:  c \r\n")
    + with_headers(""));
  ASSERT_EQ(result.requests.size(), 2u);
  EXPECT_EQ(result.requests[0].forwarded_for, "a, b,c");
  EXPECT_THAT(result.requests[0].headers, IsEmpty());
  EXPECT_EQ(result.requests[1].forwarded_for, "");
}

TEST(RequestFramerTest, ToleratesOneEmptyLineBeforeARequest) {
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(frame_all_ways("\r\n" + request).requests.size(), 1u);
  EXPECT_EQ(frame_all_ways(request + "\r\n" + request).requests.size(), 2u);
  EXPECT_EQ(frame_all_ways("\r\n\r\n" + request).error_status, 400);
}

TEST(RequestFramerTest, AnEmptyLineAloneBeginsNoRequest) {
  EXPECT_EQ(frame_all_ways("\r\n"), outcome{});
}

TEST(RequestFramerTest, TakesAnyHostThatIsOne) {
  for (const auto* host : {"", "a", "a.example:80", "a:", "192.0.2.1:1",
                           "[2001:db8::1]:80", "[::]", "%61", "a_b"})
    accepted("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
}

TEST(RequestFramerTest, RefusesWhatFollowsARequestAndIsNone) {
  for (const std::string& rest :
       {std::string(3, '\0'), std::string("x\ny"), std::string("\r\n\r\n")}) {
    const auto result
      = frame_all_ways("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + rest);
    EXPECT_EQ(result.requests.size(), 1u);
    EXPECT_EQ(result.error_status, 400);
  }
}

TEST(RequestFramerTest, HonoursConnection) {
  EXPECT_FALSE(
    accepted(with_headers("Connection: close, keep-alive\r\n")).keep_alive);
  EXPECT_FALSE(
    accepted(with_headers("Connection: keep-alive, close\r\n")).keep_alive);
  EXPECT_FALSE(accepted(with_headers("Connection: close\r\n")).keep_alive);
  EXPECT_FALSE(accepted(with_headers("Connection: x , CLOSE\r\n")).keep_alive);
  EXPECT_FALSE(
    accepted(with_headers("Connection: close\r\nConnection: keep-alive\r\n"))
      .keep_alive);
  EXPECT_TRUE(accepted(with_headers("Connection: closed\r\n")).keep_alive);
  EXPECT_TRUE(accepted(with_headers("Connection:\r\n")).keep_alive);
}

TEST(RequestFramerTest, ClosesAfterHttp10UnlessAsked) {
  EXPECT_FALSE(accepted("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(
    accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

TEST(RequestFramerTest, FramesPipelinedRequestsInOrder) {
  const auto result
    = frame_all_ways("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
                     "abcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                     "GET /3 HTTP/1.1\r\nHost: a\r\nRange: x\r\n\r\nGET");
  ASSERT_EQ(result.requests.size(), 3u);
  EXPECT_EQ(result.requests[0].path, "/1");
  EXPECT_EQ(result.requests[0].body, "abc");
  EXPECT_EQ(result.requests[1].path, "/2");
  EXPECT_THAT(result.requests[1].headers, IsEmpty());
  EXPECT_EQ(result.requests[2].path, "/3");
  EXPECT_TRUE(result.unfinished);
}

// -- what is refused ----------------------------------------------------------

struct refusal {
  const char* why;
  std::string bytes;
  int status;
};

std::ostream& operator<<(std::ostream& out, const refusal& value) {
  return out << value.why;
}

class RequestFramerRefusalTest : public testing::TestWithParam<refusal> {};

TEST_P(RequestFramerRefusalTest, Refuses) {
  const auto result = frame_all_ways(GetParam().bytes);
  EXPECT_EQ(result.error_status, GetParam().status);
  EXPECT_THAT(result.requests, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
  RequestLine, RequestFramerRefusalTest,
  testing::Values(
    refusal{"no version", "GET /\r\n\r\n", 400},
    refusal{"empty version", "GET / \r\n\r\n", 400},
    refusal{"half a version", "GET / HTT\r\n\r\n", 400},
    refusal{"lower-case version", "GET / http/1.1\r\n\r\n", 400},
    refusal{"blank after version", "GET / HTTP/1.1 \r\n\r\n", 400},
    refusal{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    refusal{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
    refusal{"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", 505},
    refusal{"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    refusal{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    refusal{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    refusal{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    refusal{"no method", " / HTTP/1.1\r\n\r\n", 400},
    refusal{"bad method", "G(T / HTTP/1.1\r\n\r\n", 400},
    refusal{"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"blank in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"query alone", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"asterisk with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"obs-text in target", "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"authority form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"brace", "GET /{a} HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"quote in query", "GET /?\"a\" HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"DEL in target", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"user info", "GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"no authority", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"port alone", "GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"other scheme", "GET ftp://h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    refusal{"NUL", std::string("GET /\0 HTTP/1.1\r\n\r\n", 19), 400},
    refusal{"NULs", std::string(50, '\0'), 400},
    refusal{"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00", 7), 400},
    refusal{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
    refusal{"LF first", "\nGET / HTTP/1.1\r\n", 400},
    refusal{"bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
    refusal{"two CRs", "GET / HTTP/1.1\r\r\n", 400}));

INSTANTIATE_TEST_SUITE_P(
  Headers, RequestFramerRefusalTest,
  testing::Values(
    refusal{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    refusal{"two Hosts", with_headers("host: a\r\n"), 400},
    refusal{"two Hosts on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
            400},
    refusal{"bad Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    refusal{"port of letters", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
    refusal{"two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
    refusal{"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
    refusal{"empty brackets", "GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400},
    refusal{"text after brackets", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n",
            400},
    refusal{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    refusal{"user info in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    refusal{"blank in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    refusal{"no colon", with_headers("abc\r\n"), 400},
    refusal{"no name", with_headers(": abc\r\n"), 400},
    refusal{"blank before colon", with_headers("Range : x\r\n"), 400},
    refusal{"blank in name", with_headers("Ra nge: x\r\n"), 400},
    refusal{"obs-fold", with_headers("Range: x\r\n y\r\n"), 400},
    refusal{"fold first", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    refusal{"control character", with_headers("X: a\x01z\r\n"), 400},
    refusal{"DEL", with_headers("X: a\x7f\r\n"), 400},
    refusal{"bare LF in value", with_headers("X: a\nb: c\r\n"), 400},
    refusal{"bare CR in value", with_headers("X: a\rb: c\r\n"), 400},
    refusal{"repeated Authorization",
            with_headers("Authorization: a\r\nauthorization: a\r\n"), 400},
    refusal{"repeated Range", with_headers("Range: a\r\nRange: b\r\n"), 400},
    refusal{"expectation", with_headers("Expect: tea\r\n"), 417}));

INSTANTIATE_TEST_SUITE_P(
  Bodies, RequestFramerRefusalTest,
  testing::Values(
    refusal{"chunked",
            with_headers("Transfer-Encoding: chunked\r\n")
              + "5\r\nhello\r\n0\r\n\r\n",
            411},
    refusal{"chunked last",
            with_headers("Transfer-Encoding: gzip, Chunked\r\n"), 411},
    refusal{"another coding", with_headers("Transfer-Encoding: gzip\r\n"), 400},
    refusal{"identity", with_headers("Transfer-Encoding: identity\r\n"), 400},
    refusal{"empty coding", with_headers("Transfer-Encoding:\r\n"), 400},
    refusal{"nearly chunked", with_headers("Transfer-Encoding: xchunked\r\n"),
            400},
    refusal{"quoted", with_headers("Transfer-Encoding: \"chunked\"\r\n"), 400},
    refusal{"chunked first",
            with_headers("Transfer-Encoding: chunked, identity\r\n"), 400},
    refusal{"chunked first, in two lines",
            with_headers("Transfer-Encoding: chunked\r\n"
                         "Transfer-Encoding: identity\r\n"),
            400},
    refusal{"chunked twice",
            with_headers("Transfer-Encoding: chunked, chunked\r\n"), 400},
    refusal{"chunked twice, in two lines",
            with_headers("Transfer-Encoding: chunked\r\n"
                         "transfer-encoding: chunked\r\n"),
            400},
    refusal{"vertical tab before chunked",
            with_headers("Transfer-Encoding: \x0b"
                         "chunked\r\n"),
            400},
    refusal{"blank before the colon of a coding",
            with_headers("Transfer-Encoding : chunked\r\n"), 400},
    refusal{"coding on 1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    refusal{"length and coding",
            with_headers("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            400},
    refusal{"coding and length",
            with_headers("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            400},
    refusal{"two lengths",
            with_headers("Content-Length: 3\r\nContent-Length: 4\r\n"), 400},
    refusal{"equal lengths",
            with_headers("Content-Length: 3\r\nContent-Length: 3\r\n"), 400},
    refusal{"list of lengths", with_headers("Content-Length: 3, 3\r\n"), 400},
    refusal{"empty length", with_headers("Content-Length:\r\n"), 400},
    refusal{"signed length", with_headers("Content-Length: +3\r\n"), 400},
    refusal{"negative length", with_headers("Content-Length: -1\r\n"), 400},
    refusal{"hexadecimal length", with_headers("Content-Length: 0x3\r\n"), 400},
    refusal{"trailing letters", with_headers("Content-Length: 3abc\r\n"), 400},
    refusal{"letters", with_headers("Content-Length: abc\r\n"), 400},
    refusal{"body over the limit", with_headers("Content-Length: 65537\r\n"),
            413},
    refusal{"8 GiB", with_headers("Content-Length: 8589934592\r\n"), 413},
    refusal{"2^64 + 3",
            with_headers("Content-Length: 18446744073709551619\r\n"), 413}));

// -- limits -------------------------------------------------------------------

TEST(RequestFramerLimitTest, BoundsTheTarget) {
  const auto request = [](std::size_t size) {
    return "GET /" + std::string(size - 1, 'a')
           + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_EQ(accepted(request(32), small_limits).path.size(), 32u);
  EXPECT_EQ(frame_all_ways(request(33), small_limits).error_status, 414);
}

TEST(RequestFramerLimitTest, BoundsARequestLineWithoutEnd) {
  EXPECT_EQ(
    frame_all_ways("GET /" + std::string(100, 'a'), small_limits).error_status,
    414);
}

TEST(RequestFramerLimitTest, RefusesALongLineForItsLengthWhateverItHolds) {
  const std::string many(100, 'a');
  EXPECT_EQ(frame_all_ways(many + " / HTTP/1.1\r\n", small_limits).error_status,
            414);
  EXPECT_EQ(frame_all_ways("GET / " + many + "\r\n", small_limits).error_status,
            414);
  EXPECT_EQ(
    frame_all_ways("GET /" + many + "\nHost: a", small_limits).error_status,
    414);
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(
    frame_all_ways(start + ' ' + std::string(300, 'a') + "\r\n", small_limits)
      .error_status,
    431);
  EXPECT_EQ(frame_all_ways(start + std::string(300, 'a') + '\0', small_limits)
              .error_status,
            431);
}

TEST(RequestFramerLimitTest, BoundsTheHead) {
  const auto request = [](std::size_t size) {
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    return start + std::string(size - start.size() - 4, 'a') + "\r\n\r\n";
  };
  EXPECT_EQ(accepted(request(256), small_limits).path, "/");
  EXPECT_EQ(frame_all_ways(request(257), small_limits).error_status, 431);
  EXPECT_EQ(frame_all_ways("GET / HTTP/1.1\r\nX: " + std::string(300, 'a'),
                           small_limits)
              .error_status,
            431);
}

TEST(RequestFramerLimitTest, BoundsTheNumberOfHeaders) {
  std::string lines;
  for (auto i = 0; i < 7; ++i)
    lines += "X: a\r\n";
  accepted(with_headers(lines), small_limits);
  EXPECT_EQ(
    frame_all_ways(with_headers(lines + "X: a\r\n"), small_limits).error_status,
    431);
}

TEST(RequestFramerLimitTest, BoundsTheBody) {
  const auto body = std::string(64, 'b');
  EXPECT_EQ(
    accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n" + body,
             small_limits)
      .body,
    body);
  EXPECT_EQ(frame_all_ways(with_headers("Content-Length: 65\r\n"), small_limits)
              .error_status,
            413);
}

TEST(RequestFramerLimitTest, BoundsWhatWaits) {
  request_framer framer(small_limits);
  EXPECT_EQ(framer.capacity(), 256 + 64 + request_framer::max_append);
  EXPECT_TRUE(framer.append(std::string(framer.capacity(), 'a')));
  EXPECT_FALSE(framer.append("a"));
  EXPECT_EQ(framer.size(), framer.capacity());
}

// -- what is told meanwhile ---------------------------------------------------

TEST(RequestFramerTest, TellsOnceThatAContinueIsDue) {
  request_framer framer({});
  framed_request request;
  ASSERT_TRUE(framer.append("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                            "Expect: 100-Continue\r\n\r\n"));
  EXPECT_EQ(framer.next(request), request_framer::status::need_more);
  EXPECT_TRUE(framer.in_body());
  EXPECT_EQ(framer.method_name(), "PUT");
  EXPECT_TRUE(framer.take_continue());
  EXPECT_FALSE(framer.take_continue());
  ASSERT_TRUE(framer.append("ab"));
  EXPECT_EQ(framer.next(request), request_framer::status::complete);
  EXPECT_FALSE(framer.begun());
}

TEST(RequestFramerTest, SkipsAContinueThatNobodyAwaits) {
  for (const auto* version : {"1.1", "1.0"}) {
    request_framer framer({});
    framed_request request;
    const auto early = std::string(version) == "1.1" ? "a" : "";
    ASSERT_TRUE(framer.append(std::string("PUT / HTTP/") + version
                              + "\r\nHost: a\r\nContent-Length: 2\r\n"
                                "Expect: 100-continue\r\n\r\n"
                              + early));
    EXPECT_EQ(framer.next(request), request_framer::status::need_more);
    EXPECT_FALSE(framer.take_continue()) << version;
  }
}

TEST(RequestFramerTest, StaysFailed) {
  request_framer framer({});
  framed_request request;
  ASSERT_TRUE(framer.append("BREW / HTTP/1.1\r\n"));
  EXPECT_EQ(framer.next(request), request_framer::status::failed);
  ASSERT_TRUE(framer.append("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(framer.next(request), request_framer::status::failed);
  EXPECT_EQ(framer.error().code, code::unknown_method);
}

// -- random input -------------------------------------------------------------

// Mutates requests at random; the seed is fixed, so that a failure repeats.
// Cuts must not matter, and nothing may be read or kept beyond the limits.
TEST(RequestFramerTest, DoesNotDependOnSegmentationForRandomInput) {
  std::mt19937 random(20260817);
  const auto below = [&random](std::size_t limit) {
    return static_cast<std::size_t>(random() % limit);
  };
  const std::vector<std::string> seeds{
    "GET /a?b=c HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
    "chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"};
  const std::string alphabet = std::string("\0\t\n\r :;,/?%#A5\x7f\xff", 16);
  for (auto round = 0; round < 2000; ++round) {
    auto bytes = seeds[below(seeds.size())] + seeds[below(seeds.size())];
    for (auto edits = below(4); edits > 0; --edits) {
      const auto at = below(bytes.size());
      if (below(2) == 0)
        bytes[at] = alphabet[below(alphabet.size())];
      else
        bytes.erase(at, below(8));
      if (bytes.empty())
        bytes = "G";
    }
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto size = 1 + below(20);
      parts.push_back(bytes.substr(at, size));
      at += size;
    }
    ASSERT_EQ(frame(parts, small_limits), frame({bytes}, small_limits))
      << bytes;
  }
}

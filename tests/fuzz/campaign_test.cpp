// The campaign judges the daemon; here a server that does what the test says
// shows that it finds faults, and none where there is none.
#include "capture/descriptor.hpp"
#include "tests/fuzz/campaign/answer.hpp"
#include "tests/fuzz/campaign/player.hpp"
#include "tests/fuzz/campaign/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <sstream>
#include <string>
#include <thread>

namespace edgecap::fuzz {
namespace {

using testing::HasSubstr;

const std::string success
  = R"({"result":1,"success":true,"errors":[],"messages":[]})";
const std::string failure
  = R"({"result":null,"success":false,"errors":[{"code":7003,"message":"x"}],"messages":[]})";

/// An answer as edgecap writes it.
std::string written(const std::string& status, const std::string& headers,
                    const std::string& body,
                    const std::string& connection = "keep-alive") {
  return "HTTP/1.1 " + status + "\r\nDate: now\r\n" + headers
         + "Content-Length: " + std::to_string(body.size())
         + "\r\nConnection: " + connection + "\r\n\r\n" + body;
}

const std::string json_type = "Content-Type: application/json\r\n";
const std::string bodyless
  = "HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: keep-alive\r\n\r\n";

std::string broken_rule(const std::string& bytes) {
  const auto result = parse_answer(bytes, to_head::no, true);
  return result.what == parsed::status::broken ? result.why : "";
}

std::string contract_fault(const std::string& bytes) {
  const auto result = parse_answer(bytes, to_head::no, true);
  EXPECT_EQ(result.what, parsed::status::complete) << result.why;
  return fault_of(result.got);
}

// -- HTTP/1.1
// -------------------------------------------------------------------

TEST(CampaignParserTest, TakesAnAnswerApart) {
  const auto bytes = written("200 OK", json_type, success);
  const auto result = parse_answer(bytes + "HTTP/1.1 ", to_head::no, false);
  ASSERT_EQ(result.what, parsed::status::complete) << result.why;
  EXPECT_EQ(result.size, bytes.size());
  EXPECT_EQ(result.got.status, 200);
  EXPECT_EQ(result.got.body, success);
  EXPECT_EQ(result.got.header("content-type"), "application/json");
  EXPECT_FALSE(result.got.closes());
}

TEST(CampaignParserTest, WaitsForWhatIsMissing) {
  const auto bytes = written("200 OK", json_type, success);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto part = bytes.substr(0, i);
    EXPECT_EQ(parse_answer(part, to_head::no, false).what,
              parsed::status::need_more)
      << i;
    if (i > 0) {
      EXPECT_THAT(broken_rule(part), HasSubstr("is cut")) << i;
    }
  }
}

TEST(CampaignParserTest, KnowsAnswersWithoutBody) {
  EXPECT_EQ(broken_rule(bodyless), "");
  const auto bytes = written("200 OK", json_type, success);
  const auto only_head = bytes.substr(0, bytes.size() - success.size());
  for (const auto to : {to_head::yes, to_head::unknown}) {
    const auto result = parse_answer(only_head + only_head, to, false);
    EXPECT_EQ(result.what, parsed::status::complete);
    EXPECT_EQ(result.size, only_head.size());
  }
  EXPECT_EQ(parse_answer(bytes, to_head::unknown, false).size, bytes.size());
}

TEST(CampaignParserTest, LeavesStreamsAlone) {
  const std::string begin = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: "
                            "application/vnd.tcpdump.pcap\r\n";
  for (const auto* framing : {"Transfer-Encoding: chunked\r\n", ""}) {
    const auto bytes = begin + framing + "Connection: close\r\n\r\n";
    const auto result = parse_answer(bytes + "5\r\n", to_head::no, false);
    EXPECT_EQ(result.what, parsed::status::complete) << result.why;
    EXPECT_TRUE(result.got.streams);
    EXPECT_EQ(result.size, bytes.size());
  }
}

TEST(CampaignParserTest, FindsBrokenFraming) {
  const std::string end = "Connection: close\r\n\r\n";
  const std::string begin = "HTTP/1.1 200 OK\r\nDate: now\r\n";
  for (const auto& bytes : {
         std::string{"HTTP/1.0 200 OK\r\n\r\n"},
         std::string{"HTTP/1.1 20 OK\r\n\r\n"},
         std::string{"<html>\r\n\r\n"},
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + end,
         begin + end,
         begin + "Content-Length: 0\r\nContent-Length: 0\r\n" + end,
         begin + "Content-Length: x\r\n" + end,
         begin + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" + end,
         begin + "Content-Length: 0\r\nConnection: maybe\r\n\r\n",
         begin + "Content-Length: 0\r\nX: a\rb\r\n" + end,
         begin + "Content-Length: 0\r\nX y: a\r\n" + end,
         "HTTP/1.1 204 No Content\r\nDate: now\r\nContent-Length: 0\r\n" + end,
       })
    EXPECT_NE(broken_rule(bytes), "") << bytes;
}

// -- the contract
// ---------------------------------------------------------------

TEST(CampaignContractTest, AcceptsWhatIsDocumented) {
  EXPECT_EQ(contract_fault(written("200 OK", json_type, success)), "");
  EXPECT_EQ(contract_fault(written("404 Not Found", json_type, failure)), "");
  EXPECT_EQ(contract_fault(bodyless), "");
  EXPECT_EQ(contract_fault(
              written("206 Partial Content",
                      "Content-Type: application/x-pcapng\r\nETag: \"x\"\r\n"
                      "Content-Range: bytes 3-5/10\r\n",
                      "abc")),
            "");
}

TEST(CampaignContractTest, FindsWhatIsNot) {
  const std::string type = "Content-Type: application/x-pcapng\r\n";
  for (const auto& bytes : {
         written("500 Internal Server Error", json_type, failure),
         written("409 Conflict", json_type, failure),
         written("200 OK", json_type, failure),
         written("404 Not Found", json_type, success),
         written("404 Not Found", json_type, "{}"),
         written("404 Not Found", json_type, "Not found"),
         written("404 Not Found", "Content-Type: text/plain\r\n", failure),
         written(
           "404 Not Found", json_type,
           R"({"result":null,"success":false,"errors":[],"messages":[]})"),
         written("404 Not Found", json_type,
                 R"({"result":null,"success":false,)"
                 R"("errors":[{"code":999,"message":"x"}],"messages":[]})"),
         written("405 Method Not Allowed", json_type, failure),
         written("416 Range Not Satisfiable", json_type, failure),
         written("429 Too Many Requests", json_type, failure),
         written("200 OK", "Content-Type: text/html\r\n", "<html>"),
         written("200 OK", type + "ETag: \"x\"\r\n", "no capture"),
         written("206 Partial Content",
                 type + "ETag: \"x\"\r\nContent-Range: bytes 3-6/10\r\n",
                 "abc"),
       })
    EXPECT_NE(contract_fault(bytes), "") << bytes;
}

// -- scenarios
// ------------------------------------------------------------------

std::string text_of(const scenario& what) {
  std::ostringstream out;
  write_scenario(out, what);
  return out.str();
}

TEST(CampaignScenarioTest, IsTheSameForTheSameSeedAndFromItsFile) {
  const std::vector<std::string> corpus{"GET / HTTP/1.1\r\n\r\n", "POST"};
  for (std::uint64_t i = 0; i < 300; ++i) {
    const auto text = text_of(make_scenario({7, i}, corpus));
    EXPECT_EQ(text, text_of(make_scenario({7, i}, corpus))) << i;
    EXPECT_NE(text, text_of(make_scenario({8, i}, corpus))) << i;
    std::istringstream in{text};
    EXPECT_EQ(text_of(read_scenario(in)), text) << i;
  }
}

TEST(CampaignScenarioTest, RefusesFilesThatAreNone) {
  for (const auto* text : {"", "end never\n", "end wait\nrequests 1\n",
                           "end wait\nrequests 1\nexchanges 1\nsegments 1\n"
                           "bytes 5\nab\n"}) {
    std::istringstream in{text};
    EXPECT_THROW(read_scenario(in), std::runtime_error) << text;
  }
}

// -- playing
// --------------------------------------------------------------------

/// Answers one client with fixed bytes, then closes when the client does.
class fixed_server {
public:
  explicit fixed_server(std::string bytes)
    : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&name);
    socklen_t size = sizeof name;
    if (::bind(listening_.get(), address, size) != 0
        || ::listen(listening_.get(), 1) != 0
        || ::getsockname(listening_.get(), address, &size) != 0)
      ADD_FAILURE() << "no server";
    port_ = ntohs(name.sin_port);
    thread_ = std::thread{[this, bytes = std::move(bytes)] {
      capture::unique_descriptor client{
        ::accept(listening_.get(), nullptr, nullptr)};
      ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      std::array<char, 4096> swallowed{};
      while (::recv(client.get(), swallowed.data(), swallowed.size(), 0) > 0) {
      }
    }};
  }

  ~fixed_server() {
    thread_.join();
  }

  std::uint16_t port() const {
    return port_;
  }

private:
  capture::unique_descriptor listening_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

/// Asks once, awaiting one answer, and says what is wrong with it.
std::string played(const std::string& server_bytes,
                   std::chrono::milliseconds patience
                   = std::chrono::seconds{20}) {
  const fixed_server server{server_bytes};
  scenario what;
  what.exchanges.push_back({{"GET / HT", "TP/1.1\r\n\r\n"}, {false}});
  return play(what, {server.port(), patience, "", ""}, 0).fault;
}

TEST(CampaignPlayerTest, FindsNoFaultInGoodAnswers) {
  EXPECT_EQ(played(written("200 OK", json_type, success)), "");
  EXPECT_EQ(played(written("404 Not Found", json_type, failure, "close")), "");
  EXPECT_EQ(played("HTTP/1.1 100 Continue\r\n\r\n"
                   + written("200 OK", json_type, success)),
            "");
}

TEST(CampaignPlayerTest, FindsBadAnswers) {
  EXPECT_THAT(played("garbage\r\n\r\n"), HasSubstr("not HTTP/1.1"));
  EXPECT_THAT(played(written("500 Internal Server Error", json_type, failure)),
              HasSubstr("500"));
}

TEST(CampaignPlayerTest, FindsWhatFollowsAClose) {
  EXPECT_THAT(played(written("200 OK", json_type, success, "close")
                     + written("200 OK", json_type, success)),
              HasSubstr("more after"));
}

TEST(CampaignPlayerTest, FindsAHang) {
  EXPECT_THAT(played("", std::chrono::milliseconds{50}), HasSubstr("hangs"));
}

} // namespace
} // namespace edgecap::fuzz

// The frontend over real loopback connections. Tests wait for answers, closed
// connections or statistics, never for time to pass; the timeouts under test
// are configured short.
#include "http/errors.hpp"
#include "http/front.hpp"
#include "http/live_stream.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/scripted_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace edgecap::http;
using namespace std::chrono_literals;
using edgecap::test::http_answer;
using edgecap::test::http_client;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr auto patience = 20s;

/// Waits until something is so.
void eventually(const char* what, const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error(std::string("never happened: ") + what);
    std::this_thread::yield();
  }
}

std::size_t entries_of(const char* directory) {
  const std::filesystem::directory_iterator all(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t open_descriptors() {
  return entries_of("/proc/self/fd");
}

std::size_t running_threads() {
  return entries_of("/proc/self/task");
}

/// Replies that handlers have put aside, for the test to answer.
class waiting_room {
public:
  void put(reply which) {
    const std::lock_guard<std::mutex> lock(mutex_);
    replies_.push_back(std::make_unique<reply>(std::move(which)));
    changed_.notify_all();
  }

  /// The oldest reply; waits for it.
  std::unique_ptr<reply> take() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, patience,
                           [this] { return !replies_.empty(); }))
      throw std::runtime_error("no request comes");
    auto result = std::move(replies_.front());
    replies_.pop_front();
    return result;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<reply>> replies_;
};

response text(std::string body, int status = 200) {
  response answer;
  answer.status = status;
  answer.content_type = "text/plain";
  answer.body = std::move(body);
  return answer;
}

constexpr std::uint64_t sparse_bytes = 200u << 20;
constexpr std::uint64_t marker_offset = 150u << 20;
const std::string marker = "a marker in the sparse file";

/// A file of 200 MB that takes no room, with a marker in it.
std::shared_ptr<const int> sparse_file() {
  const auto fd = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(sparse_bytes)) != 0
      || ::pwrite(fd, marker.data(), marker.size(),
                  static_cast<off_t>(marker_offset))
           != static_cast<ssize_t>(marker.size()))
    throw std::runtime_error("make a sparse file");
  return {new int(fd), [](const int* owned) {
            ::close(*owned);
            delete owned;
          }};
}

/// Describes a request as the handler saw it.
std::string describe(const request& asked) {
  nlohmann::json seen;
  seen["method"] = static_cast<int>(asked.method);
  seen["path"] = asked.path;
  seen["params"] = asked.params;
  seen["query"] = asked.query;
  seen["headers"] = asked.headers;
  seen["body"] = asked.body;
  seen["client_address"] = asked.client_address;
  return seen.dump();
}

class FrontTest : public testing::Test {
protected:
  using observed = std::tuple<std::string, std::string, int>;

  std::vector<route> routes() {
    const auto say = [](std::string what) {
      return [what](const request&, reply to) { to.send(text(what)); };
    };
    const auto echo
      = [](const request& asked, reply to) { to.send(text(describe(asked))); };
    return {
      {method::get, "/hello", say("hello")},
      {method::get, "/items/:id", echo},
      {method::get, "/items/special", say("special")},
      {method::del, "/items/:id", echo},
      {method::post, "/echo", echo},
      {method::get, "/later",
       [this](const request&, reply to) { later.put(std::move(to)); }},
      {method::get, "/file",
       [this](const request&, reply to) {
         to.send_file(text(""), {file, 0, sparse_bytes});
       }},
      {method::get, "/live",
       [](const request&, reply to) {
         auto body = std::make_shared<live_stream>(1u << 20, nullptr);
         body->begin("header");
         body->take(edgecap::test::make_batch(1));
         body->end(true);
         to.send_live(text("ignored"), body);
       }},
      {method::get, "/slice",
       [this](const request&, reply to) {
         to.send_file(text("ignored", 206),
                      {file, marker_offset, marker.size()});
       }},
      {method::get, "/big",
       [](const request&, reply to) {
         to.send(text(std::string(8u << 20, 'b')));
       }},
      {method::get, "/medium",
       [](const request&, reply to) {
         to.send(text(std::string(64u << 10, 'm')));
       }},
      {method::get, "/block",
       [this](const request&, reply to) {
         blocked.set_value();
         unblock.get_future().wait_for(patience);
         to.send(text("unblocked"));
       }},
      {method::get, "/nothing",
       [](const request&, reply to) {
         response answer;
         answer.status = 204;
         to.send(std::move(answer));
       }},
      {method::get, "/throw",
       [](const request&, const reply&) {
         throw std::runtime_error("secret");
       }},
      {method::get, "/throw-int",
       [](const request&, const reply&) { throw 42; }},
      {method::get, "/forget", [](const request&, const reply&) {}},
      {method::get, "/split",
       [](const request&, reply to) {
         auto answer = text("x");
         answer.headers.emplace_back("Location", "a\r\nSet-Cookie: b");
         to.send(std::move(answer));
       }},
      {method::get, "/own-length",
       [](const request&, reply to) {
         auto answer = text("x");
         answer.headers.emplace_back("content-length", "5");
         to.send(std::move(answer));
       }},
    };
  }

  void start() {
    server = std::make_unique<front>(
      options, routes(),
      [this](const std::string& name, const std::string& pattern, int status,
             std::chrono::nanoseconds duration) {
        EXPECT_GE(duration.count(), 0);
        const std::lock_guard<std::mutex> lock(mutex_);
        observed_.emplace_back(name, pattern, status);
      });
  }

  http_client connect(int receive_buffer_bytes = 0) {
    return http_client(server->port(), options.address, receive_buffer_bytes);
  }

  std::vector<observed> observations() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return observed_;
  }

  void expect_failure(const http_answer& answer, int status, int code) {
    EXPECT_EQ(answer.status, status) << answer.head;
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
    const auto envelope = nlohmann::json::parse(answer.body);
    EXPECT_TRUE(envelope.at("result").is_null());
    EXPECT_EQ(envelope.at("success"), false);
    EXPECT_TRUE(envelope.at("messages").is_array());
    EXPECT_EQ(envelope.at("errors").at(0).at("code"), code);
  }

  void expect_hello() {
    auto client = connect();
    EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
  }

  front_options options;
  waiting_room later;
  std::promise<void> blocked; ///< A handler blocks its thread,
  std::promise<void> unblock; ///< and is to go on.
  std::shared_ptr<const int> file = sparse_file();

private:
  std::mutex mutex_;
  std::vector<observed> observed_;

protected:
  /// Last, as its threads use all others.
  std::unique_ptr<front> server;
};

} // namespace

// -- requests and answers -----------------------------------------------------

TEST_F(FrontTest, AnswersAndKeepsTheConnection) {
  start();
  auto client = connect();
  for (auto i = 0; i < 3; ++i) {
    const auto answer = client.ask("GET", "/hello");
    EXPECT_EQ(answer.head.substr(0, answer.head.find('\r')), "HTTP/1.1 200 OK");
    EXPECT_EQ(answer.headers.at("content-type"), "text/plain");
    EXPECT_EQ(answer.headers.at("content-length"), "5");
    EXPECT_EQ(answer.headers.at("connection"), "keep-alive");
    EXPECT_THAT(answer.headers.at("date"),
                testing::MatchesRegex("[A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z]"
                                      "[a-z] 20[0-9][0-9] [0-9:]+ GMT"));
    EXPECT_EQ(answer.body, "hello");
  }
  EXPECT_EQ(server->stats().connections_accepted, 1u);
  EXPECT_EQ(server->stats().requests, 3u);
}

TEST_F(FrontTest, GivesHandlersTheWholeRequest) {
  start();
  auto client = connect();
  const auto answer = client.ask("DELETE", "/items/a%2Fb%20c?x=1&y=a+b&x=2",
                                 "X-Auth-Key: k\r\nAccept: foo\r\nCookie: c\r\n"
                                 "CONTENT-TYPE: no such type\r\n",
                                 "some\r\nbody");
  const auto seen = nlohmann::json::parse(answer.body);
  EXPECT_EQ(seen.at("method"), static_cast<int>(method::del));
  EXPECT_EQ(seen.at("path"), "/items/a%2Fb%20c");
  EXPECT_EQ(seen.at("params"), (nlohmann::json{{"id", "a/b c"}}));
  EXPECT_EQ(seen.at("query").dump(), R"([["x","1"],["y","a b"],["x","2"]])");
  EXPECT_EQ(
    seen.at("headers"),
    (nlohmann::json{{"x-auth-key", "k"}, {"content-type", "no such type"}}));
  EXPECT_EQ(seen.at("body"), "some\r\nbody");
  EXPECT_EQ(seen.at("client_address"), "127.0.0.1");
}

TEST_F(FrontTest, BelievesATrustedProxyWithEachRequest) {
  options.trusted_proxies = {"127.0.0.1"};
  start();
  auto client = connect();
  const auto seen_with = [&client](const std::string& headers) {
    const auto answer = client.ask("GET", "/items/1", headers);
    return nlohmann::json::parse(answer.body);
  };
  const auto seen = seen_with("X-Forwarded-For: 192.0.2.1\r\n"
                              "x-forwarded-for: 2001:db8::1\r\n");
  EXPECT_EQ(seen.at("client_address"), "2001:db8::1");
  EXPECT_THAT(seen.at("headers"), IsEmpty());
  // The next request of a proxy's connection is another client's.
  EXPECT_EQ(seen_with("X-Forwarded-For: 192.0.2.2\r\n").at("client_address"),
            "192.0.2.2");
  EXPECT_EQ(seen_with("").at("client_address"), "127.0.0.1");
}

TEST_F(FrontTest, BelievesNobodyElse) {
  options.trusted_proxies = {"127.0.0.2"};
  start();
  auto client = connect();
  const auto answer
    = client.ask("GET", "/items/1", "X-Forwarded-For: 127.0.0.2\r\n");
  EXPECT_EQ(nlohmann::json::parse(answer.body).at("client_address"),
            "127.0.0.1");
}

TEST_F(FrontTest, TakesRequestsInAnySegments) {
  start();
  auto client = connect();
  client.send_segments({"PO", "ST /echo HT", "TP/1.1\r",
                        "\nHost: a\r\nContent-", "Length: 6\r\n\r", "\nab",
                        "cd", "ef"});
  EXPECT_THAT(client.read_answer().body, HasSubstr("\"body\":\"abcdef\""));
}

TEST_F(FrontTest, AnswersFromAnotherThread) {
  start();
  auto client = connect();
  for (auto i = 0; i < 3; ++i) {
    client.request("GET", "/later");
    std::thread([to = later.take()] { to->send(text("late")); }).join();
    EXPECT_EQ(client.read_answer().body, "late");
  }
}

TEST_F(FrontTest, SendsLargeBodies) {
  start();
  auto client = connect();
  const auto answer = client.ask("GET", "/big");
  EXPECT_EQ(answer.body, std::string(8u << 20, 'b'));
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
}

TEST_F(FrontTest, SendsSlicesOfFiles) {
  start();
  auto client = connect();
  for (auto i = 0; i < 3; ++i) {
    const auto answer = client.ask("GET", "/slice");
    EXPECT_EQ(answer.status, 206);
    EXPECT_EQ(answer.headers.at("content-length"),
              std::to_string(marker.size()));
    EXPECT_EQ(answer.body, marker);
  }
}

TEST_F(FrontTest, AnswersHeadLikeGetWithoutBody) {
  start();
  auto client = connect();
  for (const auto* path : {"/hello", "/slice", "/big", "/no-such-route"}) {
    auto get = client.ask("GET", path);
    auto head = client.ask("HEAD", path);
    get.headers.erase("date");
    head.headers.erase("date");
    EXPECT_EQ(head.status, get.status) << path;
    EXPECT_EQ(head.headers, get.headers) << path;
  }
}

TEST_F(FrontTest, SendsNoLengthWithoutABody) {
  start();
  auto client = connect();
  const auto answer = client.ask("GET", "/nothing");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.headers.count("content-length"), 0u);
  EXPECT_EQ(answer.headers.count("content-type"), 0u);
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
}

TEST_F(FrontTest, ClosesWhenAsked) {
  start();
  auto client = connect();
  client.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.read_answer().headers.at("connection"), "close");
  EXPECT_EQ(client.read_until_close(), "");
}

TEST_F(FrontTest, ClosesAfterHttp10UnlessAskedToStay) {
  start();
  auto stays = connect();
  stays.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(stays.read_answer().headers.at("connection"), "keep-alive");
  stays.send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_EQ(stays.read_answer().headers.at("connection"), "close");
  EXPECT_EQ(stays.read_until_close(), "");
}

TEST_F(FrontTest, AnswersAClientThatHasClosedItsSide) {
  start();
  auto client = connect();
  client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  client.half_close();
  const auto to = later.take();
  eventually("the half-close is seen", [&] { return to->peer_gone(); });
  to->send(text("late"));
  EXPECT_EQ(client.read_answer().body, "late");
  EXPECT_EQ(client.read_answer().body, "hello");
  EXPECT_EQ(client.read_until_close(), "");
}

TEST_F(FrontTest, InvitesABodyThatAwaitsIt) {
  start();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
              "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("body");
  EXPECT_EQ(client.read_answer().status, 200);
}

// -- routing ------------------------------------------------------------------

TEST_F(FrontTest, PrefersALiteralSegment) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask("GET", "/items/special").body, "special");
  EXPECT_THAT(client.ask("GET", "/items/other").body,
              HasSubstr(R"("params":{"id":"other"})"));
  EXPECT_THAT(client.ask("DELETE", "/items/special").body,
              HasSubstr(R"("params":{"id":"special"})"));
}

TEST_F(FrontTest, IgnoresRepeatedAndTrailingSlashes) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask("GET", "//hello/").body, "hello");
  EXPECT_EQ(client.ask("GET", "/items///special").body, "special");
}

TEST_F(FrontTest, SaysThatThereIsNoRoute) {
  start();
  auto client = connect();
  for (const auto* path : {"/", "/none", "/hello/more", "/items", "/Hello",
                           "/%68ello", "/items/..", "/\x7e"})
    if (std::string(path) != "/items/..")
      expect_failure(client.ask("GET", path), 404, code::no_route);
  EXPECT_THAT(client.ask("GET", "/items/..").body, HasSubstr(R"("id":"..")"))
    << "dots are no path to climb";
}

TEST_F(FrontTest, NamesTheMethodsThatAreAllowed) {
  start();
  auto client = connect();
  const auto answer = client.ask("POST", "/items/1");
  expect_failure(answer, 405, code::method_not_allowed);
  EXPECT_EQ(answer.headers.at("allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(client.ask("OPTIONS", "/echo").headers.at("allow"), "POST");
  EXPECT_EQ(client.ask("HEAD", "/echo").status, 405);
  EXPECT_EQ(client.ask("OPTIONS", "*").headers.at("allow"),
            "GET, HEAD, POST, DELETE");
  for (const auto* other : {"PUT", "PATCH", "DELETE", "OPTIONS"})
    expect_failure(client.ask(other, "/hello"), 405, code::method_not_allowed);
}

TEST_F(FrontTest, RefusesBadEscapes) {
  start();
  auto client = connect();
  for (const auto* path : {"/items/%zz", "/%", "/%6", "/none/%%41", "/%u0041"})
    expect_failure(client.ask("GET", path), 400, code::bad_request);
  expect_failure(client.ask("GET", "/hello?a=%"), 400, code::bad_query);
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
}

TEST_F(FrontTest, RefusesTwoEqualRoutes) {
  auto twice = routes();
  twice.push_back(twice.front());
  EXPECT_THROW(front(options, twice, nullptr), std::runtime_error);
}

// Pistache's router recurses once for each slash in a run.
TEST_F(FrontTest, SurvivesManySlashes) {
  options.max_target_bytes = 200'000;
  options.max_header_bytes = 250'000;
  start();
  auto client = connect();
  expect_failure(client.ask("GET", std::string(150'000, '/') + "none"), 404,
                 code::no_route);
  EXPECT_EQ(client.ask("GET", std::string(150'000, '/') + "hello").body,
            "hello");
}

// -- refusals -----------------------------------------------------------------

TEST_F(FrontTest, AnswersAFramingErrorOnceAndCloses) {
  start();
  auto client = connect();
  // To a parser that starts anew after an error, the rest is a request.
  client.send_segments(
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3x\r\n\r\n",
     "GET /items/SMUGGLED HTTP/1.1\r\nHost: a\r\n\r\n"});
  const auto answer = client.read_answer();
  expect_failure(answer, 400, code::bad_request);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  client.half_close();
  EXPECT_EQ(client.read_until_close(), "");
  EXPECT_EQ(server->stats().requests, 0u);
  EXPECT_EQ(server->stats().requests_refused, 1u);
}

TEST_F(FrontTest, RefusesEachFaultWithItsStatus) {
  start();
  const auto refused = [this](const std::string& bytes) {
    auto client = connect();
    client.send(bytes);
    return client.read_answer();
  };
  const std::string host = "\r\nHost: a\r\n";
  expect_failure(refused("GET / HTTP/2.0\r\n"), 505, code::bad_version);
  expect_failure(refused("BREW / HTTP/1.1\r\n"), 501, code::unknown_method);
  expect_failure(refused("GET / HTTP/1.1\nHost: a\n\n"), 400,
                 code::bad_request);
  expect_failure(refused("GET / HTTP/1.1\r\n\r\n"), 400, code::bad_request);
  expect_failure(
    refused("GET /" + std::string(3000, 'a') + " HTTP/1.1" + host + "\r\n"),
    414, code::target_too_long);
  expect_failure(refused("GET / HTTP/1.1" + host
                         + "X: " + std::string(20000, 'a') + "\r\n\r\n"),
                 431, code::headers_too_large);
  expect_failure(
    refused("PUT / HTTP/1.1" + host + "Content-Length: 99999999\r\n\r\n"), 413,
    code::body_too_large);
  expect_failure(refused("PUT / HTTP/1.1" + host + "Expect: tea\r\n\r\n"), 417,
                 code::expectation_failed);
}

// With Pistache's parser this input occupies an I/O thread for ever.
TEST_F(FrontTest, RefusesAChunkedBodyThatIsSplitAtItsEnd) {
  options.threads = 1;
  start();
  auto client = connect();
  client.send_segments({"POST /echo HTTP/1.1\r\nHost: a\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r",
                        "\n0\r\n\r\n"});
  expect_failure(client.read_answer(), 411, code::length_required);
  expect_hello();
}

// The client is not told in the middle of its sending: a reset would take the
// answer away before it is read.
TEST_F(FrontTest, LetsAClientFinishSendingWhatIsRefused) {
  start();
  auto client = connect();
  client.request("PUT", "/echo", "", std::string(500'000, 'x'));
  expect_failure(client.read_answer(), 413, code::body_too_large);
}

TEST_F(FrontTest, EndsAClientThatSendsOnAfterARefusal) {
  start();
  auto client = connect();
  std::string endless;
  endless.resize(50'000'000, 'x');
  EXPECT_THROW(client.request("PUT", "/echo", "", endless), std::system_error);
  expect_hello();
}

TEST_F(FrontTest, TellsTheObserverOfEveryAnswer) {
  start();
  auto client = connect();
  client.ask("GET", "/items/1");
  client.ask("GET", "/none");
  client.ask("POST", "/hello");
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
  client.read_answer(true);
  auto other = connect();
  other.send("BREW / HTTP/1.1\r\n");
  other.read_answer();
  EXPECT_THAT(observations(),
              ElementsAre(observed{"GET", "/items/:id", 200},
                          observed{"GET", "", 404}, observed{"POST", "", 405},
                          observed{"HEAD", "", 400}, observed{"", "", 501}));
}

// -- handlers that fail -------------------------------------------------------

TEST_F(FrontTest, Answers500ForAHandlerThatFails) {
  start();
  auto client = connect();
  for (const auto* path :
       {"/throw", "/throw-int", "/forget", "/split", "/own-length"}) {
    const auto answer = client.ask("GET", path);
    expect_failure(answer, 500, code::internal);
    EXPECT_EQ(answer.headers.count("set-cookie"), 0u);
    EXPECT_THAT(answer.body, testing::Not(HasSubstr("secret")));
  }
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
  eventually("the requests are over",
             [this] { return server->stats().in_flight == 0; });
}

// -- pipelining ---------------------------------------------------------------

TEST_F(FrontTest, AnswersPipelinedRequestsInOrder) {
  start();
  auto client = connect();
  const std::string rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send("GET /items/1" + rest + "GET /later" + rest + "GET /big" + rest
              + "GET /items/2" + rest);
  EXPECT_THAT(client.read_answer().body, HasSubstr(R"("id":"1")"));
  later.take()->send(text("late"));
  EXPECT_EQ(client.read_answer().body, "late");
  EXPECT_EQ(client.read_answer().body.size(), 8u << 20);
  EXPECT_THAT(client.read_answer().body, HasSubstr(R"("id":"2")"));
}

TEST_F(FrontTest, ClosesInsteadOfDroppingWhatIsSentTooFarAhead) {
  options.max_header_bytes = 1024;
  options.max_body_bytes = 1024;
  start();
  auto client = connect();
  const std::string hello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
  std::string ahead = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  while (ahead.size() < 100'000)
    ahead += hello;
  client.send_segments({ahead});
  const auto to = later.take();
  // Answered only once the I/O thread has read all, or some would fit again.
  eventually("all input is read", [&] {
    auto probe = connect();
    return probe.ask("GET", "/hello").status == 200;
  });
  to->send(text("late"));
  auto answer = client.read_answer();
  EXPECT_EQ(answer.body, "late");
  while (answer.headers.at("connection") == "keep-alive")
    answer = client.read_answer();
  EXPECT_EQ(client.read_until_close(), "");
}

TEST_F(FrontTest, ServesALongRunOfRequestsOnOneConnection) {
  start();
  auto client = connect();
  for (auto i = 0; i < 2500; ++i)
    ASSERT_EQ(client.ask("GET", "/hello").headers.at("connection"),
              "keep-alive");
}

// -- limits -------------------------------------------------------------------

TEST_F(FrontTest, RefusesConnectionsOverTheLimit) {
  options.max_connections = 2;
  start();
  auto first = connect();
  auto second = connect();
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  EXPECT_EQ(second.ask("GET", "/hello").status, 200);
  auto third = connect();
  const auto answer = third.read_answer();
  expect_failure(answer, 503, code::overloaded);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(answer.headers.at("connection"), "close");
  third.half_close();
  EXPECT_EQ(third.read_until_close(), "");
  EXPECT_EQ(server->stats().connections_refused, 1u);
  first.close();
  eventually("there is room again",
             [this] { return server->stats().connections_open < 2; });
  expect_hello();
}

TEST_F(FrontTest, RefusesConnectionsOverTheLimitOfTheirAddress) {
  options.address = "::";
  options.max_connections_per_address = 2;
  options.is_proxy = [](const std::string&) { return false; };
  start();
  http_client first(server->port(), "127.0.0.1");
  http_client second(server->port(), "127.0.0.1");
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  EXPECT_EQ(second.ask("GET", "/hello").status, 200);
  http_client third(server->port(), "127.0.0.1");
  const auto answer = third.read_answer();
  expect_failure(answer, 503, code::overloaded);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(answer.headers.at("connection"), "close");
  http_client elsewhere(server->port(), "::1");
  EXPECT_EQ(elsewhere.ask("GET", "/hello").status, 200);
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  EXPECT_EQ(server->stats().connections_refused, 1u);
  third.close();
  second.close();
  eventually("there is room again",
             [this] { return server->stats().connections_open == 2; });
  http_client fourth(server->port(), "127.0.0.1");
  EXPECT_EQ(fourth.ask("GET", "/hello").status, 200);
}

// Telling many costs descriptors, so that most are just closed.
TEST_F(FrontTest, EndsAllConnectionsOverTheLimitOfTheirAddress) {
  options.max_connections_per_address = 1;
  options.is_proxy = [](const std::string&) { return false; };
  start();
  auto first = connect();
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  std::vector<http_client> others;
  for (auto i = 0; i < 40; ++i)
    others.push_back(connect());
  for (auto& other : others) {
    other.half_close();
    EXPECT_THAT(other.read_until_close(),
                testing::AnyOf(IsEmpty(), testing::StartsWith("HTTP/1.1 503")));
  }
  EXPECT_EQ(server->stats().connections_refused, 40u);
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
}

TEST_F(FrontTest, CountsNoConnectionsOfAProxy) {
  options.max_connections_per_address = 1;
  start();
  auto first = connect();
  auto second = connect();
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  EXPECT_EQ(second.ask("GET", "/hello").status, 200);
}

TEST_F(FrontTest, CountsNoConnectionsOfATrustedProxy) {
  options.max_connections_per_address = 1;
  options.is_proxy = [](const std::string&) { return false; };
  options.trusted_proxies = {"127.0.0.1"};
  start();
  auto first = connect();
  auto second = connect();
  EXPECT_EQ(first.ask("GET", "/hello").status, 200);
  EXPECT_EQ(second.ask("GET", "/hello").status, 200);
}

TEST_F(FrontTest, RefusesRequestsOverTheLimit) {
  options.max_in_flight = 1;
  start();
  auto waiting = connect();
  waiting.request("GET", "/later");
  const auto to = later.take();
  auto client = connect();
  const auto answer = client.ask("GET", "/hello");
  expect_failure(answer, 503, code::overloaded);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  eventually("the refused request is over",
             [this] { return server->stats().in_flight == 1; });
  to->send(text("late"));
  EXPECT_EQ(waiting.read_answer().body, "late");
  eventually("the request is over",
             [this] { return server->stats().in_flight == 0; });
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
}

TEST_F(FrontTest, RefusesDownloadsOverTheLimit) {
  options.max_downloads = 1;
  start();
  auto stuck = connect();
  stuck.request("GET", "/file");
  stuck.read_some();
  auto client = connect();
  const auto answer = client.ask("GET", "/slice");
  expect_failure(answer, 503, code::overloaded);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(client.ask("HEAD", "/slice").status, 206) << "sends no body";
  stuck.reset();
  eventually("the download has ended",
             [this] { return server->stats().bodies_open == 0; });
  EXPECT_EQ(client.ask("GET", "/slice").body, marker);
}

TEST_F(FrontTest, FreesADownloadBeforeItsClientKnowsThatItIsOver) {
  options.max_downloads = 1;
  start();
  auto client = connect();
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(client.ask("GET", "/slice").status, 206) << "download " << i;
}

// -- timeouts -----------------------------------------------------------------

TEST_F(FrontTest, EndsAHeaderThatDoesNotComeInTime) {
  options.header_timeout = 100ms;
  start();
  auto client = connect();
  client.send("GET /hello HT");
  const auto answer = client.read_answer();
  expect_failure(answer, 408, code::request_timeout);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  client.half_close();
  EXPECT_EQ(client.read_until_close(), "");
  EXPECT_EQ(server->stats().timed_out, 1u);
  EXPECT_THAT(observations(), ElementsAre(observed{"", "", 408}));
}

TEST_F(FrontTest, EndsASecondHeaderThatDoesNotComeInTime) {
  options.header_timeout = 100ms;
  start();
  auto client = connect();
  client.ask("GET", "/hello");
  client.send("GET /hello HT");
  expect_failure(client.read_answer(), 408, code::request_timeout);
}

TEST_F(FrontTest, EndsABodyThatDoesNotComeInTime) {
  options.body_timeout = 100ms;
  start();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
  expect_failure(client.read_answer(), 408, code::request_timeout);
  EXPECT_THAT(observations(), ElementsAre(observed{"POST", "", 408}));
}

TEST_F(FrontTest, EndsASilentConnectionSilently) {
  options.header_timeout = 100ms;
  start();
  auto client = connect();
  EXPECT_EQ(client.read_until_close(), "");
  EXPECT_EQ(server->stats().timed_out, 1u);
  EXPECT_THAT(observations(), IsEmpty());
}

TEST_F(FrontTest, EndsAnIdleConnectionSilently) {
  options.keep_alive_timeout = 100ms;
  start();
  auto client = connect();
  client.ask("GET", "/hello");
  EXPECT_EQ(client.read_until_close(), "");
  EXPECT_EQ(server->stats().timed_out, 1u);
}

TEST_F(FrontTest, DoesNotTimeOutARequestThatIsBeingServed) {
  options.header_timeout = options.body_timeout = 20ms;
  options.keep_alive_timeout = 20ms;
  start();
  auto client = connect();
  client.request("GET", "/later");
  const auto to = later.take();
  auto silent = connect();
  EXPECT_EQ(silent.read_until_close(), "") << "meanwhile timeouts pass";
  to->send(text("late"));
  EXPECT_EQ(client.read_answer().body, "late");
}

// The client has sent in time, but the only I/O thread was busy.
TEST_F(FrontTest, DoesNotBlameAClientForALateThread) {
  options.threads = 1;
  options.header_timeout = 500ms;
  start();
  auto client = connect();
  auto silent = connect();
  auto busy = connect();
  eventually("all are connected",
             [this] { return server->stats().connections_open == 3; });
  busy.request("GET", "/block");
  ASSERT_EQ(blocked.get_future().wait_for(patience), std::future_status::ready);
  client.request("GET", "/hello");
  EXPECT_EQ(silent.read_until_close(), "") << "meanwhile the timeout passes";
  unblock.set_value();
  EXPECT_EQ(busy.read_answer().status, 200);
  EXPECT_EQ(client.read_answer().body, "hello");
}

// -- slow readers and downloads -----------------------------------------------

TEST_F(FrontTest, AnswersWhileManyDownloadsStandStill) {
  options.threads = 1;
  start();
  expect_hello();
  eventually("the first connection has ended",
             [this] { return server->stats().connections_open == 0; });
  const auto descriptors = open_descriptors();
  std::vector<http_client> stuck;
  for (auto i = 0; i < 50; ++i) {
    stuck.push_back(connect(4096));
    stuck.back().request("GET", "/file");
    stuck.back().read_some();
  }
  EXPECT_EQ(server->stats().bodies_open, 50u);
  for (auto i = 0; i < 50; ++i)
    expect_hello();
  for (auto& client : stuck)
    client.reset();
  eventually("the downloads have ended", [this] {
    return server->stats().bodies_open == 0
           && server->stats().connections_open == 0;
  });
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(FrontTest, SendsAWholeDownload) {
  start();
  auto client = connect();
  const auto answer = client.ask("GET", "/file");
  ASSERT_EQ(answer.body.size(), sparse_bytes);
  EXPECT_EQ(answer.body.substr(marker_offset, marker.size()), marker);
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
}

TEST_F(FrontTest, EndsADownloadWhoseFileWasCutShort) {
  start();
  auto client = connect();
  client.request("GET", "/file");
  client.read_some();
  ASSERT_EQ(::ftruncate(*file, 1), 0);
  client.read_until_close();
  expect_hello();
}

TEST_F(FrontTest, EndsAClientThatDoesNotRead) {
  options.stall_timeout = 100ms;
  start();
  auto client = connect(4096);
  client.request("GET", "/file");
  eventually("the client is given up",
             [this] { return server->stats().stalled == 1; });
  eventually("its connection has ended",
             [this] { return server->stats().connections_open == 0; });
}

// Answers to a client that never reads stop being made, and then it is ended.
TEST_F(FrontTest, BoundsTheAnswersToAClientThatDoesNotRead) {
  options.stall_timeout = 200ms;
  options.max_in_flight = 1;
  start();
  auto client = connect(4096);
  std::string asks;
  while (asks.size() < 60'000)
    asks += "GET /medium HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(asks);
  eventually("the client is given up", [this] {
    const auto now = server->stats();
    return now.requests > 0 && now.connections_open == 0;
  });
  // The kernel takes a few megabytes, 60 kB of requests ask for 120.
  EXPECT_LT(server->stats().requests, 500u);
}

// -- clients that go ----------------------------------------------------------

TEST_F(FrontTest, KnowsWhenTheClientHasGone) {
  start();
  auto client = connect();
  client.request("GET", "/later");
  const auto to = later.take();
  EXPECT_FALSE(to->peer_gone());
  client.reset();
  eventually("the client has gone", [&] { return to->peer_gone(); });
  to->send(text("late"));
  expect_hello();
}

// The number of a closed descriptor is given to the next connection at once.
TEST_F(FrontTest, NeverSendsAnAnswerToAnotherClient) {
  options.threads = 1;
  start();
  for (auto i = 0; i < 200; ++i) {
    auto client = connect();
    client.request("GET", "/later");
    const auto to = later.take();
    client.reset();
    eventually("the client has gone", [&] { return to->peer_gone(); });
    auto next = connect();
    next.request("GET", "/later");
    const auto next_to = later.take();
    to->send(text("wrong"));
    next_to->send(text("right"));
    ASSERT_EQ(next.read_answer().body, "right");
  }
}

TEST_F(FrontTest, IgnoresSigpipe) {
  ::signal(SIGPIPE, SIG_DFL);
  start();
  struct sigaction current {};
  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &current), 0);
  EXPECT_EQ(current.sa_handler, SIG_IGN);
}

// -- live bodies --------------------------------------------------------------

TEST_F(FrontTest, SendsALiveBodyInChunksAndCloses) {
  start();
  auto client = connect();
  client.request("GET", "/live");
  const auto all = client.read_until_close();
  EXPECT_THAT(all, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(all, testing::Not(HasSubstr("Content-Length")));
  EXPECT_THAT(all, HasSubstr("\r\n\r\n6\r\nheader\r\n4c\r\n"));
  EXPECT_THAT(all, testing::EndsWith("\r\n0\r\nEdgecap-Packets-Sent: 1\r\n"
                                     "Edgecap-Packets-Dropped: 0\r\n\r\n"));
}

TEST_F(FrontTest, EndsALiveBodyWithTheConnectionForOldClients) {
  start();
  auto client = connect();
  client.send("GET /live HTTP/1.0\r\n\r\n");
  const auto all = client.read_until_close();
  EXPECT_THAT(all, testing::Not(HasSubstr("chunked")));
  const auto body = all.substr(all.find("\r\n\r\n") + 4);
  EXPECT_EQ(body.substr(0, 6), "header");
  EXPECT_EQ(body.size(), 6u + edgecap::test::make_batch(1).size_bytes());
}

TEST_F(FrontTest, HasNoLiveBodyForHead) {
  start();
  auto client = connect();
  client.request("HEAD", "/live");
  const auto all = client.read_until_close();
  EXPECT_THAT(all, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(all, testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(all, testing::Not(HasSubstr("header\r\n4c")));
}

TEST_F(FrontTest, CountsLiveBodiesAsDownloads) {
  options.max_downloads = 1;
  start();
  auto first = connect();
  first.request("GET", "/later");
  const auto body = std::make_shared<live_stream>(1u << 20, nullptr);
  later.take()->send_live(text(""), body);
  eventually("the first is open",
             [this] { return server->stats().bodies_open == 1; });
  auto second = connect();
  second.request("GET", "/later");
  const auto refused = std::make_shared<live_stream>(1u << 20, nullptr);
  later.take()->send_live(text(""), refused);
  expect_failure(second.read_answer(), 503, code::overloaded);
  EXPECT_FALSE(refused->take(edgecap::test::make_batch(1)));
  body->end(true);
  first.read_until_close();
  eventually("it is over", [this] { return server->stats().bodies_open == 0; });
}

// -- the end ------------------------------------------------------------------

TEST_F(FrontTest, Drains) {
  start();
  auto idle = connect();
  idle.ask("GET", "/hello");
  auto silent = connect();
  auto waiting = connect();
  waiting.request("GET", "/later");
  const auto to = later.take();
  // One segment: with the first answer, the server has the second request's
  // first line.
  auto begun = connect();
  begun.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\n");
  begun.read_answer();
  eventually("all are connected",
             [this] { return server->stats().connections_open == 4; });
  EXPECT_FALSE(server->drain(0ms));
  EXPECT_EQ(idle.read_until_close(), "");
  EXPECT_EQ(silent.read_until_close(), "");
  begun.send("Host: a\r\n\r\n");
  const auto refused = begun.read_answer();
  expect_failure(refused, 503, code::shutting_down);
  EXPECT_EQ(refused.headers.at("connection"), "close");
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  auto late = connect();
  expect_failure(late.ask("GET", "/hello"), 503, code::shutting_down);
  std::thread answers([&to] { to->send(text("late")); });
  EXPECT_TRUE(server->drain(patience));
  answers.join();
  const auto answer = waiting.read_answer();
  EXPECT_EQ(answer.body, "late");
  EXPECT_EQ(answer.headers.at("connection"), "close");
}

TEST_F(FrontTest, DrainsBodies) {
  start();
  auto client = connect();
  client.request("GET", "/file");
  const auto first = client.read_some();
  EXPECT_FALSE(server->drain(0ms));
  std::thread reads([&] { client.read_until_close(); });
  EXPECT_TRUE(server->drain(patience));
  reads.join();
}

TEST_F(FrontTest, TakesAnswersAfterItsEnd) {
  start();
  auto client = connect();
  client.request("GET", "/later");
  auto to = later.take();
  server.reset();
  EXPECT_EQ(client.read_until_close(), "");
  to->send(text("too late"));
}

TEST_F(FrontTest, EndsWithDownloadsOpen) {
  start();
  auto client = connect(4096);
  client.request("GET", "/file");
  client.read_some();
  server.reset();
  EXPECT_LT(client.read_until_close().size(), sparse_bytes);
}

TEST_F(FrontTest, LeavesNothingBehind) {
  start();
  server.reset(); // Once for what a process opens only once.
  const auto descriptors = open_descriptors();
  const auto threads = running_threads();
  for (auto i = 0; i < 50; ++i) {
    start();
    auto idle = connect();
    idle.ask("GET", "/hello");
    auto reads = connect();
    reads.request("GET", "/file");
    reads.read_some();
    auto waits = connect();
    waits.request("GET", "/later");
    const auto to = later.take();
    server.reset();
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(running_threads(), threads);
}

TEST_F(FrontTest, OpensNothingThatAProgramItStartsWouldInherit) {
  const auto inherited = [] {
    std::vector<std::string> result;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      const auto fd = std::stoi(entry.path().filename());
      const auto flags = ::fcntl(fd, F_GETFD);
      std::error_code gone;
      if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
        result.push_back(std::to_string(fd) + " "
                         + std::filesystem::read_symlink(entry, gone).string());
    }
    return result;
  };
  const auto before = inherited();
  start();
  auto client = connect();
  client.request("GET", "/file");
  client.read_some();
  EXPECT_EQ(inherited(), before);
}

// -- addresses ----------------------------------------------------------------

TEST_F(FrontTest, SaysWhyItCannotListen) {
  start();
  const auto message = [](front_options where) -> std::string {
    try {
      front(std::move(where), {}, nullptr);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "nothing";
  };
  options.port = server->port();
  EXPECT_EQ(message(options),
            "listen on 127.0.0.1:" + std::to_string(options.port)
              + ": Address already in use");
  options.address = "localhost";
  options.port = 1;
  EXPECT_EQ(message(options),
            "listen on localhost:1: not an IPv4 or IPv6 address");
  options.address = "2001:db8::1";
  EXPECT_EQ(message(options),
            "listen on [2001:db8::1]:1: Cannot assign requested address");
}

TEST_F(FrontTest, ListensOnIpv6) {
  options.address = "::1";
  start();
  EXPECT_NE(server->port(), 0);
  auto client = connect();
  EXPECT_THAT(client.ask("GET", "/items/1").body,
              HasSubstr(R"("client_address":"::1")"));
}

TEST_F(FrontTest, ShowsIpv4ClientsOfAnIpv6SocketAsSuch) {
  options.address = "::";
  start();
  http_client client(server->port(), "127.0.0.1");
  EXPECT_THAT(client.ask("GET", "/items/1").body,
              HasSubstr(R"("client_address":"127.0.0.1")"));
}

TEST_F(FrontTest, AcceptsABurstOfConnections) {
  start();
  std::vector<http_client> clients;
  for (auto i = 0; i < 400; ++i)
    clients.push_back(connect());
  for (auto& client : clients)
    client.request("GET", "/hello");
  for (auto& client : clients)
    EXPECT_EQ(client.read_answer().body, "hello");
}

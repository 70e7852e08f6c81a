// The API between a request and the engine: replies go to memory, the engine
// is played by typed actors that do as the test says, time is simulated.
#include "http/handlers.hpp"
#include "http/secret.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/captured_log.hpp"
#include "tests/support/scripted_source.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <any>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace edgecap;
using namespace edgecap::http;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace {

const std::string account = "023e105f4ecef8ad9ca31a8372d0c353";
const std::string other_account = "ffffffffffffffffffffffffffffffff";
const std::string job_id = "0123456789abcdef0123456789abcdef";

const std::string create_body = R"({"type":"simple","system":"lab",)"
                                R"("time_limit":60,"packet_limit":100,)"
                                R"("filter_v1":{"protocol":6}})";

/// Wrong credentials until an address is blocked.
constexpr auto guesses = 20;

// -- doubles ------------------------------------------------------------------

/// What came back on one request.
struct answered {
  int times = 0;
  response head;
  std::optional<file_slice> file;
  std::shared_ptr<live_body> live;

  json body() const {
    return json::parse(head.body);
  }

  int code() const {
    return body().at("errors").at(0).at("code");
  }

  std::string header(const std::string& name) const {
    for (const auto& [key, value] : head.headers)
      if (key == name)
        return value;
    return "<none>";
  }
};

class memory_channel : public reply_channel {
public:
  explicit memory_channel(std::shared_ptr<answered> to) : to_(std::move(to)) {}

  void send(response answer) override {
    ++to_->times;
    to_->head = std::move(answer);
  }

  void send_file(response head, file_slice body) override {
    send(std::move(head));
    to_->file = std::move(body);
  }

  void send_live(response head, std::shared_ptr<live_body> body) override {
    send(std::move(head));
    to_->live = std::move(body);
  }

  bool peer_gone() const override {
    return false;
  }

private:
  std::shared_ptr<answered> to_;
};

/// What one actor of the engine is told to do, and what it was asked.
struct script {
  std::vector<std::string> calls;
  std::optional<caf::error> error; ///< Answers this.
  bool silent = false;             ///< Never answers.
  std::vector<std::any> promises;  ///< Of those that wait for ever.

  template <class T, class Self>
  caf::result<T> answer(Self* self, std::string call, T value) {
    calls.push_back(std::move(call));
    if (silent) {
      auto promise = self->template make_response_promise<T>();
      promises.emplace_back(promise);
      return promise;
    }
    if (error)
      return *error;
    return value;
  }
};

struct registry_script : script {
  follower_ptr follower;
  job_spec spec;
  list_query query;
  std::string key;
  bool replayed = false;
  job_record record;
  std::shared_ptr<job_page> page = std::make_shared<job_page>();
  savefile file;
  engine_stats stats;
  std::vector<node_status> nodes;
};

struct limiter_script : script {
  admission given{true, 1200, 1199, 300, 0};
};

struct storage_facts_script : script {
  storage_stats stats;
};

job_registry_actor::behavior_type
fake_registry(job_registry_actor::pointer self,
              std::shared_ptr<registry_script> st) {
  return {
    [](atom::resume) { return caf::ok_atom_v; },
    [=](atom::create, const job_spec& spec, const std::string& key) {
      st->spec = spec;
      st->key = key;
      return st->answer(self, "create", creation{st->record, st->replayed});
    },
    [=](atom::get, const std::string& who, const std::string& id) {
      return st->answer(self, "get " + who + ' ' + id, st->record);
    },
    [=](atom::list, const list_query& query) {
      st->query = query;
      return st->answer(self, "list", shared_job_page{st->page});
    },
    [=](atom::stop, const std::string& who, const std::string& id) {
      return st->answer(self, "stop " + who + ' ' + id, st->record);
    },
    [=](atom::erase, const std::string& who, const std::string& id) {
      return st->answer(self, "erase " + who + ' ' + id, caf::ok_atom{});
    },
    [=](atom::download, const std::string& who, const std::string& id,
        savefile_format format) {
      const auto pcapng = format == savefile_format::pcapng;
      return st->answer(
        self, "download " + who + ' ' + id + (pcapng ? " pcapng" : " pcap"),
        st->file);
    },
    [=](atom::follow, const std::string& who, const std::string& id,
        const follower_ptr& packets) {
      st->follower = packets;
      return st->answer(self, "follow " + who + ' ' + id, caf::ok_atom{});
    },
    [=](atom::stats) { return st->answer(self, "stats", st->stats); },
    [](atom::limits, const registry_limits&) { return caf::ok_atom_v; },
    [=](atom::shutdown) {
      return st->answer(self, "shutdown", caf::ok_atom{});
    },
    [](atom::progress, const job_record&) {},
    [](atom::finished, const job_record&, bool) {},
    [](atom::tick) {},
    [](atom::expired, const std::string&) {},
  };
}

rate_limiter_actor::behavior_type
fake_limiter(rate_limiter_actor::pointer self,
             std::shared_ptr<limiter_script> st) {
  return {
    [=](atom::acquire, const std::string& who, allowance kind) {
      EXPECT_EQ(kind, allowance::general);
      return st->answer(self, who, st->given);
    },
    [](atom::refund, const std::string&, allowance, std::uint64_t) {},
    [](atom::resume, const std::vector<spent_allowance>&) {},
    [](atom::limits, const rate_limiter_options&) { return caf::ok_atom_v; },
    [](atom::tick) {},
  };
}

storage_actor::behavior_type
fake_disk(storage_actor::pointer self,
          std::shared_ptr<storage_facts_script> st) {
  // The API asks storage for its figures and for nothing else.
  const auto refuse = [] { return make_error(errc::invalid_options, "asked"); };
  return {
    [=](atom::resume) -> caf::result<resumption> { return refuse(); },
    [=](atom::insert, const job_record&,
        const std::string&) -> caf::result<caf::ok_atom> { return refuse(); },
    [=](atom::recall, const std::string&,
        const std::string&) -> caf::result<job_record> { return refuse(); },
    [](atom::progress, const job_record&, std::uint32_t) {},
    [](atom::limits, const storage_limits&) { return caf::ok_atom_v; },
    [=](atom::stop, const std::string&,
        const std::string&) -> caf::result<job_record> { return refuse(); },
    [](atom::refund, const std::string&) {},
    [](atom::inspect) {},
    [](atom::damaged, const std::string&) {},
    [](atom::renew) {},
    [=](atom::append, const std::string&, std::uint32_t,
        const capture::packet_batch&) -> caf::result<caf::ok_atom> {
      return refuse();
    },
    [=](atom::seal, const job_record&) -> caf::result<job_record> {
      return refuse();
    },
    [=](atom::fail, const job_record&) -> caf::result<job_record> {
      return refuse();
    },
    [=](atom::get, const std::string&,
        const std::string&) -> caf::result<job_record> { return refuse(); },
    [=](atom::list, const list_query&) -> caf::result<shared_job_page> {
      return refuse();
    },
    [=](atom::erase, const std::string&,
        const std::string&) -> caf::result<caf::ok_atom> { return refuse(); },
    [=](atom::download, const std::string&, const std::string&,
        savefile_format) -> caf::result<savefile> { return refuse(); },
    [=](atom::stats) { return st->answer(self, "stats", st->stats); },
    [](atom::work) {},
    [](atom::expired, const expiry_sink_actor&) {},
    [](atom::sweep, std::uint64_t) {},
  };
}

fleet_actor::behavior_type fake_fleet(fleet_actor::pointer self,
                                      std::shared_ptr<registry_script> st) {
  return {
    [](atom::challenge) { return std::string{}; },
    [](atom::hello, const node_hello&, const node_proof&, const node_actor&) {
      return node_welcome{};
    },
    [](atom::watch, const node_watcher_actor&) {
      return std::vector<node_offer>{};
    },
    [=](atom::list) { return st->answer(self, "nodes", st->nodes); },
    [](atom::tick) {},
  };
}

// -- fixture ------------------------------------------------------------------

using handler_of_api = void (api::*)(const request&, reply);

struct operation {
  const char* name;
  handler_of_api handle;
  right needed;
  bool of_a_job;
  const char* action; ///< In the audit log; empty if it is not audited.
};

const operation operations[] = {
  {"create", &api::create, right::write, false, "create"},
  {"list", &api::list, right::read, false, ""},
  {"get", &api::get, right::read, true, ""},
  {"stop", &api::stop, right::write, true, "stop"},
  {"erase", &api::erase, right::write, true, "delete"},
  {"download", &api::download, right::download, true, "download"},
  {"stream", &api::stream, right::download, true, "stream"},
  {"nodes", &api::nodes, right::read, false, ""},
};

class HandlersTest : public test::actor_fixture {
public:
  static api_rules rules() {
    api_rules result;
    result.credentials
      = {{account, "all", "", hash_secret("all"), true, true, true},
         {account, "reader", "", hash_secret("read"), true, false, false},
         {account, "writer", "", hash_secret("write"), false, true, false},
         {account, "loader", "", hash_secret("download"), false, false, true},
         {other_account, "stranger", "", hash_secret("stranger"), true, true,
          true}};
    result.systems = {"lab"};
    result.auth.max_failures = guesses;
    return result;
  }

  HandlersTest() {
    engine->record.id = job_id;
    engine->record.spec.account_id = account;
    engine->record.spec.system = "lab";
    engine->record.spec.packet_limit = 100;
    engine->file = {std::make_shared<const int>(-1), 1000, "tag"};
    registry = spawn(fake_registry, engine);
    limiter = spawn(fake_limiter, gate);
    storage = spawn(fake_disk, disk);
    fleet = spawn(fake_fleet, engine);
    api_options options;
    static_cast<api_rules&>(options) = rules();
    options.version = "1.2.3";
    options.auth_clock = [this] { return time_of_guesses; };
    aut = std::make_shared<api>(
      sys, engine_handles{registry, limiter, storage, fleet},
      std::move(options));
  }

  void TearDown() override {
    engine->promises.clear(); // A kept promise keeps its actor.
    gate->promises.clear();
    disk->promises.clear();
    aut.reset();
    registry = nullptr;
    limiter = nullptr;
    storage = nullptr;
    fleet = nullptr;
    test::actor_fixture::TearDown();
  }

  static request make_request(const operation& what,
                              const std::string& token = "all") {
    request result;
    result.params["account_id"] = account;
    if (what.of_a_job)
      result.params["pcap_id"] = job_id;
    if (!token.empty())
      result.headers["authorization"] = "Bearer " + token;
    result.client_address = "192.0.2.1";
    result.body = create_body;
    return result;
  }

  /// Calls, delivers nothing.
  std::shared_ptr<answered> begin(handler_of_api handle, const request& asked) {
    auto result = std::make_shared<answered>();
    ((*aut).*handle)(asked, reply{std::make_unique<memory_channel>(result)});
    return result;
  }

  /// Calls and runs; the answer must be there then, once.
  answered call(handler_of_api handle, const request& asked) {
    const auto result = begin(handle, asked);
    run();
    EXPECT_EQ(result->times, 1);
    return *result;
  }

  answered call(const operation& what, const std::string& token = "all") {
    SCOPED_TRACE(what.name);
    return call(what.handle, make_request(what, token));
  }

  /// A refusal's status and code, in whole envelopes only.
  static std::pair<int, int> refusal(const answered& x) {
    EXPECT_EQ(x.head.content_type, "application/json");
    const auto body = x.body();
    EXPECT_EQ(body.size(), 4u);
    EXPECT_EQ(body.at("result"), nullptr);
    EXPECT_EQ(body.at("success"), false);
    EXPECT_EQ(body.at("messages"), json::array());
    return {x.head.status, x.code()};
  }

  std::shared_ptr<registry_script> engine = std::make_shared<registry_script>();
  std::shared_ptr<limiter_script> gate = std::make_shared<limiter_script>();
  std::shared_ptr<storage_facts_script> disk
    = std::make_shared<storage_facts_script>();
  test::captured_log log;
  std::chrono::steady_clock::time_point time_of_guesses;
  job_registry_actor registry;
  rate_limiter_actor limiter;
  storage_actor storage;
  fleet_actor fleet;
  std::shared_ptr<api> aut;
};

const operation& create_call = operations[0];
const operation& list_call = operations[1];
const operation& get_call = operations[2];
const operation& stop_call = operations[3];
const operation& download_call = operations[5];
const operation& stream_call = operations[6];
const operation& nodes_call = operations[7];

using status_and_code = std::pair<int, int>;

} // namespace

// -- rules that change --------------------------------------------------------

TEST_F(HandlersTest, KnowsAnotherCredentialFromTheNextRequestOn) {
  auto other = rules();
  other.credentials[0].secret_hash = hash_secret("new");
  aut->set_rules(other);
  EXPECT_EQ(refusal(call(get_call, "all")), status_and_code(403, 10000));
  EXPECT_EQ(call(get_call, "new").head.status, 200);
  EXPECT_EQ(call(get_call, "read").head.status, 200) << "this one stayed";
}

TEST_F(HandlersTest, KnowsAnotherRightFromTheNextRequestOn) {
  auto other = rules();
  other.credentials[0].download = false;
  aut->set_rules(other);
  EXPECT_EQ(refusal(call(download_call)), status_and_code(403, 10001));
}

TEST_F(HandlersTest, AnswersARequestByTheRulesThatLetItIn) {
  const auto under_way = begin(get_call.handle, make_request(get_call));
  aut->set_rules({});
  run();
  EXPECT_EQ(under_way->times, 1);
  EXPECT_EQ(under_way->head.status, 200);
  EXPECT_EQ(refusal(call(get_call)), status_and_code(403, 10000));
}

TEST_F(HandlersTest, ChecksACaptureByLimitsThatChange) {
  auto other = rules();
  other.max_packet_limit = 99;
  const auto asked = make_request(create_call);
  EXPECT_EQ(call(create_call.handle, asked).head.status, 200);
  aut->set_rules(other);
  EXPECT_EQ(call(create_call.handle, asked).head.status, 400);
}

TEST_F(HandlersTest, BlocksGuessersByLimitsThatChange) {
  auto other = rules();
  other.auth.max_failures = 1;
  aut->set_rules(other);
  EXPECT_EQ(refusal(call(get_call, "wrong")), status_and_code(403, 10000));
  EXPECT_EQ(refusal(call(get_call, "wrong")), status_and_code(429, 20309));
}

// -- who may ask --------------------------------------------------------------

TEST_F(HandlersTest, TurnsAwayThoseWhoFailToAuthenticate) {
  const auto guess = [this] { return call(get_call, "wrong"); };
  for (auto i = 0; i < guesses; ++i)
    EXPECT_EQ(refusal(guess()), status_and_code(403, 10000));
  EXPECT_EQ(log.events("auth-blocked").size(), 1u);
  for (const auto& what : operations) {
    // The answer does not tell whether the secret would have done.
    for (const auto* token : {"wrong", "all"}) {
      const auto x = call(what, token);
      EXPECT_EQ(refusal(x), status_and_code(429, 20309));
      EXPECT_EQ(x.header("Retry-After"), "1");
      EXPECT_EQ(x.header("retry-after-ms"), "1000");
    }
  }
  EXPECT_THAT(engine->calls, IsEmpty());
  EXPECT_THAT(gate->calls, IsEmpty()) << "no allowance is used up";
  auto other = make_request(get_call);
  other.client_address = "192.0.2.2";
  EXPECT_EQ(call(get_call.handle, other).head.status, 200);
  time_of_guesses += 1s;
  EXPECT_EQ(call(get_call).head.status, 200);
  // The success has made nothing good.
  EXPECT_EQ(refusal(guess()), status_and_code(403, 10000));
  EXPECT_EQ(guess().header("Retry-After"), "2");
}

TEST_F(HandlersTest, TakesOnlyWrongSecretsForGuesses) {
  for (auto i = 0; i < 2 * guesses; ++i) {
    EXPECT_EQ(refusal(call(get_call, "")), status_and_code(400, 9106));
    EXPECT_EQ(refusal(call(get_call, "stranger")), status_and_code(403, 10000));
    EXPECT_EQ(refusal(call(get_call, "write")), status_and_code(403, 10001));
  }
  EXPECT_EQ(call(get_call).head.status, 200);
}

TEST_F(HandlersTest, AuthenticatesBeforeEverythingElse) {
  for (const auto& what : operations) {
    SCOPED_TRACE(what.name);
    auto asked = make_request(what, "");
    asked.params["account_id"] = "no id";
    asked.params["pcap_id"] = "no id";
    asked.body = "no json";
    asked.query = {{"page", "x"}, {"format", "x"}};
    EXPECT_EQ(refusal(call(what.handle, asked)), status_and_code(400, 9106));
    asked.headers["authorization"] = "Bearer wrong";
    EXPECT_EQ(refusal(call(what.handle, asked)), status_and_code(403, 10000));
  }
  EXPECT_THAT(gate->calls, IsEmpty()) << "whoever is nobody uses up nothing";
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, AsksForTheRightOfEachOperation) {
  for (const auto& what : operations)
    for (const auto* token : {"read", "write", "download", "stranger"}) {
      SCOPED_TRACE(std::string{what.name} + " by " + token);
      engine->calls.clear();
      const auto x = call(what, token);
      if (to_string(what.needed) == token) {
        EXPECT_LT(x.head.status, 300);
        EXPECT_EQ(engine->calls.size(), 1u);
        continue;
      }
      EXPECT_EQ(
        refusal(x),
        status_and_code(403, token == std::string{"stranger"} ? 10000 : 10001));
      EXPECT_THAT(engine->calls, IsEmpty());
    }
}

TEST_F(HandlersTest, KnowsNoRouteForIdsThatAreNone) {
  for (const auto& what : operations) {
    SCOPED_TRACE(what.name);
    auto asked = make_request(what);
    asked.params["account_id"][0] = 'X';
    EXPECT_EQ(refusal(call(what.handle, asked)), status_and_code(404, 7003));
    if (!what.of_a_job)
      continue;
    asked = make_request(what);
    asked.params["pcap_id"] += '0';
    EXPECT_EQ(refusal(call(what.handle, asked)), status_and_code(404, 7003));
  }
  EXPECT_THAT(gate->calls, IsEmpty());
  EXPECT_THAT(engine->calls, IsEmpty());
}

// -- allowances ---------------------------------------------------------------

TEST_F(HandlersTest, ShowsTheGeneralAllowance) {
  gate->given = {true, 1200, 7, 300, 0};
  for (const auto& what : operations) {
    const auto x = call(what);
    EXPECT_EQ(x.header("Ratelimit"), "\"default\";r=7;t=300") << what.name;
    EXPECT_EQ(x.header("Ratelimit-Policy"), "\"default\";q=1200;w=300");
  }
  EXPECT_EQ(gate->calls,
            std::vector<std::string>(std::size(operations), account));
}

TEST_F(HandlersTest, RefusesBeyondTheGeneralAllowance) {
  gate->given = {false, 1200, 0, 300, 1500};
  for (const auto& what : operations) {
    const auto x = call(what);
    EXPECT_EQ(refusal(x), status_and_code(429, 20300)) << what.name;
    EXPECT_EQ(x.header("Retry-After"), "2");
    EXPECT_EQ(x.header("retry-after-ms"), "1500");
    EXPECT_EQ(x.header("Ratelimit"), "\"default\";r=0;t=2");
    EXPECT_EQ(x.header("Ratelimit-Policy"), "\"default\";q=1200;w=300");
  }
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, RefusesBeyondTheCollectAllowance) {
  engine->error = make_rate_limited("one per minute", {1, 60, 59'001});
  const auto x = call(create_call);
  EXPECT_EQ(refusal(x), status_and_code(429, 20300));
  EXPECT_EQ(x.header("Retry-After"), "60");
  EXPECT_EQ(x.header("retry-after-ms"), "59001");
  EXPECT_EQ(x.header("Ratelimit"), "\"default\";r=0;t=60");
  EXPECT_EQ(x.header("Ratelimit-Policy"), "\"default\";q=1;w=60");
  EXPECT_EQ(x.body().at("errors").at(0).at("message"), "one per minute");
}

TEST_F(HandlersTest, SaysSoIfTheLimiterFails) {
  gate->error = make_error(errc::shutting_down, "ending");
  EXPECT_EQ(refusal(call(list_call)), status_and_code(503, 20303));
  EXPECT_THAT(engine->calls, IsEmpty());
}

// -- each operation -----------------------------------------------------------

TEST_F(HandlersTest, CreatesACapture) {
  auto asked = make_request(create_call);
  asked.body.insert(1, R"("colo":"x",)");
  const auto x = call(create_call.handle, asked);
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.head.content_type, "application/json");
  EXPECT_EQ(x.body().at("result").at("id"), job_id);
  EXPECT_EQ(x.body().at("messages").at(0).at("source").at("pointer"), "/colo");
  EXPECT_EQ(engine->spec.account_id, account);
  EXPECT_EQ(engine->spec.type, "simple");
  EXPECT_EQ(engine->spec.system, "lab");
  EXPECT_EQ(engine->spec.time_limit_s, 60u);
  EXPECT_EQ(engine->spec.packet_limit, 100u);
  EXPECT_EQ(engine->spec.filter.protocol, 6);
}

TEST_F(HandlersTest, RefusesABadBodyWithoutAskingTheEngine) {
  auto asked = make_request(create_call);
  asked.body = "{}";
  const auto x = call(create_call.handle, asked);
  EXPECT_EQ(refusal(x), status_and_code(400, 20101));
  EXPECT_EQ(x.body().at("errors").size(), 4u);
  EXPECT_THAT(engine->calls, IsEmpty()) << "it must not use up the allowance";
}

TEST_F(HandlersTest, PassesTheIdempotencyKeyOn) {
  auto asked = make_request(create_call);
  EXPECT_EQ(call(create_call.handle, asked).header("Idempotency-Replayed"),
            "<none>");
  EXPECT_EQ(engine->key, "");
  asked.headers["idempotency-key"] = "\"abc\"";
  engine->replayed = true;
  const auto x = call(create_call.handle, asked);
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.header("Idempotency-Replayed"), "true");
  EXPECT_EQ(x.body().at("result").at("id"), job_id);
  EXPECT_EQ(engine->key, "abc");
  EXPECT_THAT(log.text(), HasSubstr("\"replayed\":true"));
}

TEST_F(HandlersTest, RefusesABadIdempotencyKeyWithoutAskingTheEngine) {
  auto asked = make_request(create_call);
  asked.headers["idempotency-key"] = "a b";
  EXPECT_EQ(refusal(call(create_call.handle, asked)),
            status_and_code(400, 20108));
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, RefusesAKeyOfAnotherRequest) {
  engine->error = make_error(errc::key_reused, "another request's");
  const auto x = call(create_call);
  EXPECT_EQ(refusal(x), status_and_code(422, 20109));
  EXPECT_EQ(x.body().at("errors").at(0).at("message"), "another request's");
}

TEST_F(HandlersTest, ValidatesWithoutCreating) {
  auto asked = make_request(create_call);
  asked.query = {{"validate_only", "true"}};
  asked.headers["idempotency-key"] = "abc";
  asked.body.insert(1, R"("colo":"x",)");
  const auto x = call(create_call.handle, asked);
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("result"), json::parse(R"({
    "type": "simple", "system": "lab", "filter_v1": {"protocol": 6},
    "time_limit": 60, "packet_limit": 100})"));
  EXPECT_EQ(x.body().at("success"), true);
  EXPECT_EQ(x.body().at("messages").at(0).at("source").at("pointer"), "/colo");
  EXPECT_THAT(engine->calls, IsEmpty());
  EXPECT_THAT(gate->calls, ElementsAre(account)) << "a call as any other";
  EXPECT_THAT(log.text(), Not(HasSubstr("audit")));
  asked.query = {{"validate_only", "false"}};
  EXPECT_EQ(call(create_call.handle, asked).body().at("result").at("id"),
            job_id);
  EXPECT_THAT(engine->calls, ElementsAre("create"));
}

TEST_F(HandlersTest, ValidatesAllThatCanBeWrong) {
  auto asked = make_request(create_call);
  asked.query = {{"validate_only", "true"}};
  asked.headers["idempotency-key"] = "";
  asked.body = R"({"type":"simple","system":"none","time_limit":0})";
  const auto x = call(create_call.handle, asked);
  EXPECT_EQ(refusal(x), status_and_code(400, 20108));
  std::vector<int> codes;
  const auto body = x.body();
  for (const auto& error : body.at("errors"))
    codes.push_back(error.at("code"));
  EXPECT_THAT(codes, ElementsAre(20108, 20107, 20103, 20101));
  EXPECT_THAT(engine->calls, IsEmpty());
  // The rights of a create are needed, too.
  asked = make_request(create_call, "read");
  asked.query = {{"validate_only", "true"}};
  EXPECT_EQ(refusal(call(create_call.handle, asked)),
            status_and_code(403, 10001));
}

TEST_F(HandlersTest, KnowsTwoValuesOfValidateOnly) {
  for (const std::string value : {"", "1", "True", "yes", " true"}) {
    auto asked = make_request(create_call);
    asked.query = {{"validate_only", value}};
    const auto x = call(create_call.handle, asked);
    EXPECT_EQ(refusal(x), status_and_code(400, 20105)) << value;
    EXPECT_EQ(x.body().at("errors").at(0).at("message"),
              "validate_only is '" + value + "'; it must be false or true");
  }
  auto asked = make_request(create_call);
  asked.query = {{"validate_only", "true"}, {"validate_only", "true"}};
  EXPECT_EQ(refusal(call(create_call.handle, asked)),
            status_and_code(400, 20105));
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, ShowsTheDescriptionToEverybody) {
  const auto x = call(&api::openapi, request{});
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("info").at("title"), "edgecap");
  EXPECT_THAT(gate->calls, IsEmpty());
}

TEST_F(HandlersTest, ListsWhatTheQueryAsksFor) {
  engine->page->jobs = {engine->record};
  engine->page->total_count = 21;
  auto asked = make_request(list_call);
  asked.query = {{"page", "2"}, {"per_page", "20"}, {"status", "pending"}};
  const auto x = call(list_call.handle, asked);
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("result").at(0).at("id"), job_id);
  EXPECT_EQ(x.body().at("result_info"), json::parse(R"({
    "page": 2, "per_page": 20, "count": 1, "total_count": 21,
    "total_pages": 2})"));
  EXPECT_EQ(engine->query.account_id, account);
  EXPECT_EQ(engine->query.page, 2u);
  EXPECT_EQ(engine->query.per_page, 20u);
  EXPECT_EQ(engine->query.status, "pending");
  engine->calls.clear();
  asked.query = {{"page", "0"}, {"per_page", "51"}};
  const auto bad = call(list_call.handle, asked);
  EXPECT_EQ(refusal(bad), status_and_code(400, 20105));
  EXPECT_EQ(bad.body().at("errors").size(), 2u);
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, GetsStopsAndErases) {
  const auto got = call(get_call);
  EXPECT_EQ(got.head.status, 200);
  EXPECT_EQ(got.body().at("result").at("id"), job_id);
  for (const auto& what : {stop_call, operations[4]}) {
    const auto x = call(what);
    EXPECT_EQ(x.head.status, 204) << what.name;
    EXPECT_EQ(x.header("Cache-Control"), "no-store");
    EXPECT_EQ(x.head.body, "");
    EXPECT_EQ(x.head.content_type, "");
  }
  const auto of_job = ' ' + account + ' ' + job_id;
  EXPECT_THAT(engine->calls,
              ElementsAre("get" + of_job, "stop" + of_job, "erase" + of_job));
}

TEST_F(HandlersTest, DownloadsAFile) {
  auto asked = make_request(download_call);
  asked.headers["range"] = "bytes=10-19";
  const auto part = call(download_call.handle, asked);
  EXPECT_EQ(part.head.status, 206);
  ASSERT_TRUE(part.file);
  EXPECT_EQ(part.file->descriptor, engine->file.descriptor);
  EXPECT_EQ(part.file->offset, 10u);
  EXPECT_EQ(part.file->length, 10u);
  EXPECT_EQ(part.head.content_type, "application/vnd.tcpdump.pcap");
  EXPECT_EQ(part.header("Content-Range"), "bytes 10-19/1000");
  EXPECT_EQ(part.header("Cache-Control"), "private, no-cache");
  EXPECT_EQ(part.header("Content-Disposition"),
            "attachment; filename=\"pcap_" + job_id + ".pcap\"");
  asked = make_request(download_call);
  asked.query = {{"format", "pcapng"}};
  const auto other = call(download_call.handle, asked);
  EXPECT_EQ(other.head.status, 200);
  EXPECT_EQ(other.head.content_type, "application/x-pcapng");
  ASSERT_TRUE(other.file);
  EXPECT_EQ(other.file->length, 1000u);
  EXPECT_EQ(other.header("Content-Disposition"),
            "attachment; filename=\"pcap_" + job_id + ".pcapng\"");
  const auto of_job = "download " + account + ' ' + job_id;
  EXPECT_THAT(engine->calls, ElementsAre(of_job + " pcap", of_job + " pcapng"));
}

TEST_F(HandlersTest, DownloadsNothingIfNothingIsToBeSent) {
  auto asked = make_request(download_call);
  asked.headers["if-none-match"] = "\"tag\"";
  const auto same = call(download_call.handle, asked);
  EXPECT_EQ(same.head.status, 304);
  EXPECT_EQ(same.header("Cache-Control"), "private, no-cache");
  EXPECT_FALSE(same.file);
  asked = make_request(download_call);
  asked.headers["range"] = "bytes=1000-";
  EXPECT_EQ(refusal(call(download_call.handle, asked)),
            status_and_code(416, 20203));
  engine->calls.clear();
  asked.query = {{"format", "tar"}};
  EXPECT_EQ(refusal(call(download_call.handle, asked)),
            status_and_code(400, 20105));
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, RefusesAParameterThatIsGivenTwice) {
  auto asked = make_request(list_call);
  asked.query = {{"page", "1"}, {"tag", "a"}, {"tag", "b"}, {"page", "1"}};
  const auto refused = call(list_call.handle, asked);
  EXPECT_EQ(refusal(refused), status_and_code(400, 20105));
  EXPECT_THAT(refused.head.body, HasSubstr("page is given 2 times"));
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, StreamsARunningCapture) {
  const auto x = call(stream_call);
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.head.content_type, "application/vnd.tcpdump.pcap");
  EXPECT_EQ(x.header("Cache-Control"), "no-store");
  EXPECT_EQ(x.header("X-Accel-Buffering"), "no");
  EXPECT_EQ(x.header("Trailer"),
            "Edgecap-Packets-Sent, Edgecap-Packets-Dropped");
  EXPECT_THAT(engine->calls, ElementsAre("follow " + account + ' ' + job_id));
  ASSERT_TRUE(x.live);
  ASSERT_TRUE(engine->follower);
  // What the job shows is what the client is sent.
  const auto batch = test::make_batch(3);
  EXPECT_TRUE(engine->follower->take(batch));
  body_piece piece;
  ASSERT_EQ(x.live->next(piece), live_state::piece);
  EXPECT_EQ(piece.data, batch.data());
  engine->follower->end(true);
  x.live->finished(true);
  EXPECT_FALSE(engine->follower->take(batch));
  const auto ends = log.events("stream-ended");
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].at("packets"), 3);
  EXPECT_EQ(ends[0].at("job"), job_id);
  const auto scraped = call(&api::scrape, {});
  EXPECT_THAT(scraped.head.body,
              HasSubstr("edgecap_stream_packets_total{outcome=\"sent\"} 3"));
}

TEST_F(HandlersTest, LetsGoOfAStreamThatIsRefused) {
  engine->error = make_error(errc::not_running, "is over");
  const auto x = call(stream_call);
  EXPECT_EQ(refusal(x), status_and_code(404, 20205));
  EXPECT_FALSE(x.live);
  EXPECT_FALSE(engine->follower->take(test::make_batch(1)));
  EXPECT_THAT(log.events("stream-ended"), IsEmpty());
}

TEST_F(HandlersTest, ShowsTheNodes) {
  auto& node = engine->nodes.emplace_back();
  node.name = "edge-1";
  node.connected = true;
  const auto x = call(nodes_call, "read");
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("result").at(0).at("name"), "edge-1");
  const auto scraped = call(&api::scrape, {});
  EXPECT_THAT(scraped.head.body,
              HasSubstr("edgecap_node_up{node=\"edge-1\",colo=\"\"} 1"));
}

TEST_F(HandlersTest, HasNoBuckets) {
  auto asked = make_request(list_call);
  EXPECT_EQ(refusal(call(&api::ownership, asked)), status_and_code(400, 20106));
  asked.headers.clear();
  EXPECT_EQ(refusal(call(&api::ownership, asked)), status_and_code(400, 9106));
}

// -- an engine that fails -----------------------------------------------------

TEST_F(HandlersTest, TranslatesEveryRefusalOfTheEngine) {
  const std::pair<errc, status_and_code> rows[] = {
    {errc::unknown_job, {404, 20200}},
    {errc::unknown_system, {400, 20107}},
    {errc::too_many_jobs, {503, 20301}},
    {errc::not_ready, {404, 20201}},
    {errc::no_savefile, {404, 20202}},
    {errc::storage_unavailable, {503, 20304}},
    {errc::storage_full, {507, 20305}},
    {errc::storage_lost, {503, 20304}},
    {errc::quota_reached, {507, 20310}},
    {errc::no_interface, {500, 20307}},
    {errc::shutting_down, {503, 20303}},
    {errc::invalid_options, {500, 20307}},
  };
  for (const auto& [error, expected] : rows)
    for (const auto& what : operations) {
      engine->error = make_error(error, "a text");
      const auto x = call(what);
      EXPECT_EQ(refusal(x), expected) << what.name << ' ' << to_string(error);
      EXPECT_EQ(x.header("Retry-After"),
                expected.first == 503 ? "5" : "<none>");
    }
}

TEST_F(HandlersTest, LogsWhatItHides) {
  engine->error = make_error(errc::storage_unavailable, "open /srv/x: EIO");
  const auto x = call(stop_call);
  EXPECT_THAT(x.head.body, Not(HasSubstr("/srv/x")));
  const auto lines = log.events("http-engine-failed");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("error"), "open /srv/x: EIO");
  EXPECT_EQ(lines[0].at("job"), job_id);
  engine->error = make_error(errc::unknown_job, "no such job");
  EXPECT_THAT(call(stop_call).head.body, HasSubstr("no such job"));
  EXPECT_EQ(log.events("http-engine-failed").size(), 1u);
}

TEST_F(HandlersTest, AnswersForAnEngineThatDoesNot) {
  engine->silent = true;
  for (const auto& what : operations) {
    SCOPED_TRACE(what.name);
    const auto x = begin(what.handle, make_request(what));
    advance(9s);
    EXPECT_EQ(x->times, 0);
    advance(2s);
    ASSERT_EQ(x->times, 1);
    EXPECT_EQ(refusal(*x), status_and_code(504, 20306));
  }
}

TEST_F(HandlersTest, AnswersForALimiterThatDoesNot) {
  gate->silent = true;
  const auto x = begin(get_call.handle, make_request(get_call));
  advance(11s);
  ASSERT_EQ(x->times, 1);
  EXPECT_EQ(refusal(*x), status_and_code(504, 20306));
  EXPECT_THAT(engine->calls, IsEmpty());
}

TEST_F(HandlersTest, AnswersForAnEngineThatDied) {
  self->send_exit(registry, caf::exit_reason::kill);
  run();
  EXPECT_EQ(refusal(call(get_call)), status_and_code(500, 20307));
  EXPECT_EQ(log.events("http-engine-failed").size(), 1u);
}

// -- the audit log ------------------------------------------------------------

TEST_F(HandlersTest, AuditsWhatChangesOrShowsPackets) {
  for (const auto& what : operations) {
    SCOPED_TRACE(what.name);
    const auto before = log.events("audit").size();
    const auto x = call(what);
    const auto lines = log.events("audit");
    if (what.action == std::string{}) {
      EXPECT_EQ(lines.size(), before);
      continue;
    }
    ASSERT_EQ(lines.size(), before + 1);
    json expected{{"event", "audit"},    {"action", what.action},
                  {"outcome", "done"},   {"account", account},
                  {"credential", "all"}, {"client", "192.0.2.1"},
                  {"job", job_id},       {"status", x.head.status}};
    if (what.action == std::string{"create"}) {
      expected["system"] = "lab";
      expected["filter"] = R"({"protocol":6})";
    }
    if (what.action == std::string{"download"})
      expected["bytes"] = 1000;
    EXPECT_EQ(lines.back(), expected);
  }
}

TEST_F(HandlersTest, AuditsRefusalsWithoutSecrets) {
  const auto last = [&] { return log.events("audit").back(); };
  call(stop_call, "s3cret-token");
  EXPECT_EQ(last(), json({{"event", "audit"},
                          {"action", "stop"},
                          {"outcome", "refused"},
                          {"account", account},
                          {"credential", ""},
                          {"client", "192.0.2.1"},
                          {"job", job_id},
                          {"status", 403},
                          {"code", 10000}}));
  EXPECT_THAT(log.text(), Not(HasSubstr("s3cret-token")));
  call(download_call, "read");
  EXPECT_EQ(last().at("credential"), "reader");
  EXPECT_EQ(last().at("code"), 10001);
  EXPECT_FALSE(last().contains("bytes"));
  engine->error = make_rate_limited("one per minute", {1, 60, 1});
  call(create_call);
  EXPECT_EQ(last().at("status"), 429);
  EXPECT_EQ(last().at("code"), 20300);
  EXPECT_EQ(last().at("job"), "");
  EXPECT_EQ(last().at("system"), "lab");
  gate->given.granted = false;
  call(create_call);
  EXPECT_EQ(last().at("status"), 429);
  EXPECT_FALSE(last().contains("system")) << "the body was not looked at";
}

// -- probes -------------------------------------------------------------------

TEST_F(HandlersTest, IsHealthyWhateverTheEngineDoes) {
  engine->silent = disk->silent = gate->silent = true;
  const auto x = call(&api::healthz, {});
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("result"),
            json({{"status", "ok"}, {"version", "1.2.3"}}));
}

TEST_F(HandlersTest, IsReadyIfEngineAndStorageAnswer) {
  const auto x = call(&api::readyz, {});
  EXPECT_EQ(x.head.status, 200);
  EXPECT_EQ(x.body().at("result").at("status"), "ready");
  EXPECT_EQ(x.body().at("result").at("storage").at("status"), "ok");
  disk->stats.full = true;
  disk->stats.free_bytes = 5;
  const auto full = call(&api::readyz, {});
  EXPECT_EQ(full.head.status, 200) << "reads and deletes are served";
  EXPECT_EQ(
    full.body().at("result").at("storage"),
    json(
      {{"status", "full"}, {"free_bytes", 5}, {"captures", 0}, {"bytes", 0}}));
  EXPECT_THAT(gate->calls, IsEmpty());
  const std::pair<script*, int> parts[]
    = {{engine.get(), code::engine_timeout},
       {disk.get(), code::storage_unavailable}};
  for (const auto& [broken, error_code] : parts) {
    broken->error = make_error(errc::storage_unavailable, "secret detail");
    const auto failed = call(&api::readyz, {});
    EXPECT_EQ(refusal(failed), status_and_code(503, error_code));
    EXPECT_THAT(failed.head.body, Not(HasSubstr("secret detail")));
    broken->error = make_error(errc::storage_lost, "it is gone");
    EXPECT_EQ(call(&api::readyz, {}).head.body.find("it is gone")
                != std::string::npos,
              broken == disk.get());
    broken->error.reset();
    broken->silent = true;
    const auto late = begin(&api::readyz, {});
    advance(1900ms);
    EXPECT_EQ(late->times, 0);
    advance(200ms);
    ASSERT_EQ(late->times, 1);
    EXPECT_EQ(refusal(*late), status_and_code(503, error_code));
    broken->silent = false;
  }
}

TEST_F(HandlersTest, IsScrapedWithWhatIsKnown) {
  engine->stats.jobs_created = 5;
  disk->stats.jobs = 3;
  aut->observe("GET", "/readyz", 200, 1ms);
  aut->set_front_stats([] {
    front_stats facts;
    facts.in_flight = 7;
    return facts;
  });
  const auto all = call(&api::scrape, {});
  EXPECT_EQ(all.head.status, 200);
  EXPECT_EQ(all.head.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(all.head.body, HasSubstr("\nedgecap_captures_created_total 5"));
  EXPECT_THAT(all.head.body, HasSubstr("\nedgecap_storage_captures 3"));
  EXPECT_THAT(all.head.body, HasSubstr("\nedgecap_http_requests_in_flight 7"));
  EXPECT_THAT(all.head.body, HasSubstr("route=\"/readyz\""));
  EXPECT_THAT(gate->calls, IsEmpty());
  aut->set_front_stats(nullptr);
  disk->error = make_error(errc::storage_unavailable, "broken");
  engine->silent = true;
  const auto little = begin(&api::scrape, {});
  advance(5s);
  ASSERT_EQ(little->times, 1);
  EXPECT_EQ(little->head.status, 200);
  EXPECT_THAT(little->head.body, HasSubstr("edgecap_build_info"));
  EXPECT_THAT(little->head.body, Not(HasSubstr("edgecap_captures")));
  EXPECT_THAT(little->head.body, Not(HasSubstr("edgecap_storage")));
  EXPECT_THAT(little->head.body, Not(HasSubstr("in_flight")));
}

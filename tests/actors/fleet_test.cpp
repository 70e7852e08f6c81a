#include "actors/actor_support.hpp"
#include "actors/fleet.hpp"
#include "tests/support/actor_fixture.hpp"

namespace edgecap::test {

using namespace std::chrono_literals;

namespace {

/// A node in another process, as far as the fleet sees it.
struct far_node {
  unix_ns ahead = 0; ///< What its clock shows more than ours.
  bool silent = false;
  int asked = 0; ///< For its pulse.
  std::vector<caf::typed_response_promise<node_pulse>> kept;
};

node_actor::behavior_type fake_node(node_actor::pointer self,
                                    std::shared_ptr<far_node> st,
                                    std::function<unix_ns()> clock) {
  return {
    [=](atom::pulse) -> caf::result<node_pulse> {
      ++st->asked;
      if (st->silent) {
        st->kept.push_back(self->make_response_promise<node_pulse>());
        return st->kept.back();
      }
      node_pulse result;
      result.now = clock() + st->ahead;
      result.interfaces = std::vector<std::string>{"eth0"};
      result.samplers = 3;
      return result;
    },
    [](atom::survey, const std::string&) {
      return std::vector<sampler_spec>{};
    },
    [](atom::sample, const sampler_spec&, const batch_sink_actor&)
      -> caf::result<sampler_actor> { return caf::sec::invalid_argument; },
    [](atom::sample, const sampler_spec&, std::int64_t, const batch_sink_actor&)
      -> caf::result<sampler_actor> { return caf::sec::invalid_argument; },
    // From the test: it answers what it was asked while it was silent.
    [=](atom::shutdown) {
      for (auto& each : std::exchange(st->kept, {})) {
        node_pulse result;
        result.now = clock() + st->ahead;
        each.deliver(std::move(result));
      }
      return caf::ok_atom_v;
    },
  };
}

/// Whoever wants to know of nodes, and what he was told.
node_watcher_actor::behavior_type
watcher(node_watcher_actor::pointer,
        std::shared_ptr<std::vector<std::string>> told) {
  return {
    [=](atom::joined, const node_offer& node) {
      told->push_back("joined " + node.name + " "
                      + std::to_string(node.clock_offset_ns));
    },
    [=](atom::left, const std::string& name, const std::string& why) {
      told->push_back("left " + name + ": " + why);
    },
  };
}

using strings = std::vector<std::string>;

class Fleet : public actor_fixture {
protected:
  Fleet() {
    options.own.name = "collector";
    options.own.version = "1.2.3";
    options.max_nodes = 2;
    options.wall_clock = [this] { return now(); };
  }

  void TearDown() override {
    far->kept.clear();
    told.reset();
    aut = nullptr;
    node = nullptr;
    actor_fixture::TearDown();
  }

  void start(const node_actor& own = {}) {
    aut = spawn(fleet, options, own);
  }

  node_actor spawn_node() {
    return spawn(fake_node, far, options.wall_clock);
  }

  caf::expected<node_welcome> hello(const std::string& name,
                                    const node_actor& handle) {
    node_hello said;
    said.name = name;
    said.colo = "ams01";
    said.version = "1.2.4";
    return ask<node_welcome>(aut, atom::hello_v, said, proof, handle);
  }

  std::vector<node_offer> watch() {
    auto who = spawn(watcher, told);
    auto answer = ask<std::vector<node_offer>>(aut, atom::watch_v, who);
    EXPECT_TRUE(answer);
    return answer ? *answer : std::vector<node_offer>{};
  }

  std::vector<node_status> list() {
    auto answer = ask<std::vector<node_status>>(aut, atom::list_v);
    EXPECT_TRUE(answer);
    return answer ? *answer : std::vector<node_status>{};
  }

  /// The node answers what it was asked while it was silent.
  void answer() {
    send_as(self, node, atom::shutdown_v);
    run();
  }

  node_status status_of(const std::string& name) {
    for (const auto& x : list())
      if (x.name == name)
        return x;
    ADD_FAILURE() << "there is no node " << name;
    return {};
  }

  node_proof proof;
  fleet_options options;
  std::shared_ptr<far_node> far = std::make_shared<far_node>();
  std::shared_ptr<strings> told = std::make_shared<strings>();
  node_actor node;
  fleet_actor aut;
};

} // namespace

TEST_F(Fleet, OffersTheNodeOfItsOwnProcessAtOnce) {
  node = spawn_node();
  start(node);
  const auto offers = watch();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].name, "collector");
  EXPECT_EQ(offers[0].handle, node);
  EXPECT_EQ(offers[0].clock_offset_ns, 0);
  EXPECT_TRUE(status_of("collector").local);
}

TEST_F(Fleet, AsksTheNodeOfItsOwnProcessSeldom) {
  node = spawn_node();
  start(node);
  run();
  EXPECT_EQ(far->asked, 1);
  advance(1min, 1s);
  EXPECT_EQ(far->asked, 1 + 6);
}

// A daemon that has nothing to do wakes for nothing.
TEST_F(Fleet, TicksOftenOnlyWhileThereIsAnotherNode) {
  const auto until_tick = [this] {
    auto& clock = sched.clock();
    return clock.schedule().begin()->first - clock.now();
  };
  node = spawn_node();
  start(node);
  run();
  advance(10s, 10s);
  EXPECT_EQ(until_tick(), options.own_pulse_interval);
  EXPECT_EQ(status_of("collector").last_seen, now());
  advance(3s, 3s);
  EXPECT_EQ(status_of("collector").last_seen, now());
  auto other = spawn_node();
  ASSERT_TRUE(hello("edge-1", other));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(until_tick(), options.pulse_interval);
    advance(1s, 1s);
  }
  self->send_exit(other, caf::exit_reason::kill);
  run();
  advance(5s, 1s);
  EXPECT_GT(until_tick(), options.pulse_interval);
}

TEST_F(Fleet, OffersANodeOnceItsClockIsKnown) {
  far->ahead = 5'000'000'000;
  start();
  EXPECT_TRUE(watch().empty());
  node = spawn_node();
  const auto welcome = hello("edge-1", node);
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->version, "1.2.3");
  run();
  EXPECT_EQ(*told, (strings{"joined edge-1 5000000000"}));
  const auto offers = watch();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].clock_offset_ns, 5'000'000'000);
  const auto status = status_of("edge-1");
  EXPECT_TRUE(status.connected);
  EXPECT_FALSE(status.local);
  EXPECT_EQ(status.colo, "ams01");
  EXPECT_EQ(status.version, "1.2.4");
  EXPECT_EQ(status.last_seen, now());
  EXPECT_EQ(status.clock->offset_ns, 5'000'000'000);
  EXPECT_EQ(status.pulse->samplers, 3u);
  EXPECT_EQ(status.pulse->interfaces, strings{"eth0"});
}

TEST_F(Fleet, BelievesNoDateThatNoSavefileCanHave) {
  start();
  node = spawn_node();
  far->ahead = unix_ns{1} << 62;
  ASSERT_TRUE(hello("edge-1", node));
  const auto offers = watch();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].clock_offset_ns, 0);
  EXPECT_FALSE(status_of("edge-1").clock) << "nobody knows";
  far->ahead = 0;
  advance(2s, 1s);
  EXPECT_TRUE(status_of("edge-1").clock);
}

TEST_F(Fleet, RefusesWhoBreaksTheRules) {
  start();
  node = spawn_node();
  const auto refused = failure_of(hello("a b", node));
  EXPECT_EQ(refused.code, errc::node_refused);
  EXPECT_EQ(refused.text.find("node a b is refused: its name is not"), 0u)
    << refused.text;
  EXPECT_EQ(failure_of(hello("edge-1", {})).code, errc::node_refused);
  EXPECT_TRUE(list().empty());
}

TEST_F(Fleet, TakesNobodyWhoDoesNotProveHisName) {
  // A proof is right if it repeats the challenge; the certificate is the name.
  options.verify =
    [](const node_proof& x,
       const std::string& challenge) -> tl::expected<std::string, std::string> {
    if (x.signature != challenge)
      return tl::unexpected<std::string>{"it has not signed"};
    return x.certificate;
  };
  start();
  node = spawn_node();
  const auto refusal
    = [this] { return failure_of(hello("edge-1", node)).text; };
  EXPECT_EQ(refusal(), "node edge-1 is refused: it has not asked what to sign, "
                       "or too long ago");
  const auto sign
    = [this] { proof.signature = *ask<std::string>(aut, atom::challenge_v); };
  sign();
  proof.signature += '0';
  EXPECT_EQ(refusal(), "node edge-1 is refused: it has not signed");
  sign();
  proof.certificate = "edge-2";
  EXPECT_EQ(refusal(), "node edge-1 is refused: its certificate is of edge-2");
  sign();
  proof.certificate = std::string(max_certificate_bytes + 1, 'x');
  EXPECT_EQ(refusal(),
            "node edge-1 is refused: its certificate or signature is "
            "too long");
  proof.certificate = "edge-1";
  sign();
  advance(request_timeout, 1s);
  EXPECT_EQ(refusal(), "node edge-1 is refused: it has not asked what to sign, "
                       "or too long ago");
  sign();
  EXPECT_TRUE(hello("edge-1", node));
  EXPECT_EQ(refusal(), "node edge-1 is refused: it has not asked what to sign, "
                       "or too long ago")
    << "a proof serves once";
}

TEST_F(Fleet, RefusesTheCollectorsOwnName) {
  node = spawn_node();
  start(node);
  EXPECT_EQ(failure_of(hello("collector", spawn_node())).text,
            "node collector is refused: the collector itself has this name");
}

TEST_F(Fleet, ForgetsTheNodeThatIsLostForLongest) {
  start();
  const auto first = spawn_node();
  ASSERT_TRUE(hello("first", first));
  advance(1s);
  const auto second = spawn_node();
  ASSERT_TRUE(hello("second", second));
  EXPECT_EQ(failure_of(hello("third", spawn_node())).text,
            "node third is refused: the limit of 2 nodes is reached");
  self->send_exit(first, caf::exit_reason::kill);
  run();
  EXPECT_TRUE(hello("third", spawn_node()));
  EXPECT_EQ(list().size(), 2u);
  EXPECT_TRUE(status_of("second").connected);
}

TEST_F(Fleet, SaysWhenTheConnectionToANodeIsGone) {
  start();
  node = spawn_node();
  ASSERT_TRUE(hello("edge-1", node));
  watch();
  self->send_exit(node, caf::exit_reason::remote_link_unreachable);
  run();
  EXPECT_EQ(*told, (strings{"left edge-1: its connection is gone"}));
  const auto status = status_of("edge-1");
  EXPECT_FALSE(status.connected);
  EXPECT_EQ(status.lost, "its connection is gone");
  EXPECT_TRUE(watch().empty());
}

TEST_F(Fleet, SaysWhenANodeIsSilentForTooLong) {
  start();
  node = spawn_node();
  ASSERT_TRUE(hello("edge-1", node));
  watch();
  far->silent = true;
  advance(options.lost_after - 1s, 100ms);
  EXPECT_TRUE(told->empty());
  advance(2s, 100ms);
  EXPECT_EQ(*told, (strings{"left edge-1: it has not answered for 15000 ms"}));
  EXPECT_EQ(far->kept.size(), 1u) << "once is enough";
  // It was only slow.
  told->clear();
  answer();
  run();
  ASSERT_EQ(told->size(), 1u);
  EXPECT_EQ(told->at(0).find("joined edge-1"), 0u);
  EXPECT_TRUE(status_of("edge-1").connected);
  EXPECT_EQ(status_of("edge-1").lost, "");
}

TEST_F(Fleet, KeepsANodeWhoseAnswersAreSlowerThanOtherRequests) {
  options.lost_after = 10min;
  start();
  node = spawn_node();
  far->ahead = 5'000'000'000;
  ASSERT_TRUE(hello("edge-1", node));
  watch();
  far->silent = true;
  for (int i = 0; i < 50; ++i) {
    advance(30s, 1s);
    ASSERT_FALSE(far->kept.empty());
    far->kept.erase(far->kept.begin() + 1, far->kept.end()); // the link is slow
    const auto before = far->asked;
    answer();
    advance(1s);
    EXPECT_EQ(status_of("edge-1").last_seen, now() - 1'000'000'000);
    EXPECT_EQ(far->asked, before + 1);
  }
  EXPECT_TRUE(told->empty());
  EXPECT_TRUE(status_of("edge-1").connected);
  EXPECT_TRUE(status_of("edge-1").clock);
}

TEST_F(Fleet, TakesANodeBackThatDialsWhileAnAnswerIsMissing) {
  start();
  node = spawn_node();
  ASSERT_TRUE(hello("edge-1", node));
  watch();
  far->silent = true;
  advance(1s);
  ASSERT_EQ(far->kept.size(), 1u);
  self->send_exit(node, caf::exit_reason::remote_link_unreachable);
  run();
  far->silent = false;
  far->kept.clear();
  told->clear();
  const auto gone = caf::actor_cast<caf::weak_actor_ptr>(node);
  node = nullptr;
  EXPECT_FALSE(gone.lock()) << "the question would keep it for ever";
  node = spawn_node();
  ASSERT_TRUE(hello("edge-1", node));
  run();
  EXPECT_EQ(*told, (strings{"joined edge-1 0"}));
  advance(1min, 1s);
  EXPECT_TRUE(status_of("edge-1").connected);
}

TEST_F(Fleet, TakesTheNewerOfTwoWithOneName) {
  start();
  node = spawn_node();
  ASSERT_TRUE(hello("edge-1", node));
  watch();
  const auto newer = spawn_node();
  ASSERT_TRUE(hello("edge-1", newer));
  run();
  EXPECT_EQ(*told,
            (strings{"left edge-1: it has dialled again", "joined edge-1 0"}));
  // What becomes of the older one is nobody's business any more.
  self->send_exit(node, caf::exit_reason::kill);
  run();
  EXPECT_EQ(told->size(), 2u);
  EXPECT_EQ(watch().at(0).handle, newer);
}

TEST_F(Fleet, ForgetsWatchersThatAreGone) {
  start();
  watch();
  ASSERT_EQ(state_of<fleet_state>(aut).watchers.size(), 1u);
  self->send_exit(state_of<fleet_state>(aut).watchers[0],
                  caf::exit_reason::kill);
  run();
  EXPECT_TRUE(state_of<fleet_state>(aut).watchers.empty());
}

TEST_F(Fleet, QuitsOnImpossibleOptions) {
  const auto refused = [this](auto change) {
    auto bad = options;
    change(bad);
    return validate(bad) != caf::none;
  };
  EXPECT_FALSE(validate(options));
  EXPECT_TRUE(refused([](auto& x) { x.max_nodes = 0; }));
  EXPECT_TRUE(refused([](auto& x) { x.pulse_interval = 0ms; }));
  EXPECT_TRUE(refused([](auto& x) { x.own_pulse_interval = 0ms; }));
  EXPECT_TRUE(refused([](auto& x) { x.lost_after = x.pulse_interval; }));
  EXPECT_TRUE(refused([](auto& x) { x.wall_clock = {}; }));
  options.max_nodes = 0;
  start();
  EXPECT_TRUE(dead(aut));
}

} // namespace edgecap::test

#include "actors/actor_support.hpp"
#include "actors/uplink.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/captured_log.hpp"

#include <set>

namespace edgecap::test {

using namespace std::chrono_literals;

namespace {

/// What the network and the collector do.
struct far_side {
  bool reachable = true;
  bool refuses = false;
  bool other_program = false;
  std::uint32_t protocol = node_protocol; ///< The newest that it understands.
  reception_actor collector;
  int dials = 0;
  int challenges = 0;
  node_proof proof; ///< The last one.
  std::vector<node_hello> heard;
};

reception_actor::behavior_type fake_collector(reception_actor::pointer,
                                              std::shared_ptr<far_side> st) {
  return {
    [=](atom::challenge) {
      ++st->challenges;
      return std::string{"what to sign"};
    },
    [=](atom::hello, const node_hello& said, const node_proof& proof,
        const node_actor&) -> caf::result<node_welcome> {
      st->heard.push_back(said);
      st->proof = proof;
      if (st->refuses)
        return make_error(errc::node_refused, "refused");
      if (said.protocol > st->protocol)
        return make_error(errc::node_refused,
                          "node edge-1 is refused: it speaks protocol "
                            + std::to_string(said.protocol));
      return node_welcome{said.protocol, "9"};
    },
  };
}

/// Answers `connect` as CAF's middleman does.
caf::behavior fake_dialer(caf::event_based_actor* self,
                          std::shared_ptr<far_side> st) {
  return {
    [=](caf::connect_atom, const std::string& host,
        std::uint16_t port) -> caf::result<caf::node_id, caf::strong_actor_ptr,
                                           std::set<std::string>> {
      EXPECT_EQ(host, "127.0.0.1");
      EXPECT_EQ(port, 8788);
      ++st->dials;
      if (!st->reachable)
        return caf::sec::cannot_connect_to_node;
      auto interfaces = self->system().message_types(st->collector);
      if (st->other_program)
        interfaces = {"(@atom)->()"};
      return caf::result<caf::node_id, caf::strong_actor_ptr,
                         std::set<std::string>>{
        self->node(), caf::actor_cast<caf::strong_actor_ptr>(st->collector),
        interfaces};
    }};
}

class Uplink : public actor_fixture {
protected:
  Uplink() {
    options.hello.name = "edge-1";
    options.host = "127.0.0.1";
    options.port = 8788;
    options.first_pause = 1s;
    options.longest_pause = 4s;
  }

  void TearDown() override {
    net->collector = nullptr;
    actor_fixture::TearDown();
  }

  void start_collector() {
    net->collector = spawn(fake_collector, net);
  }

  uplink_actor start() {
    auto aut = spawn(uplink, options, node_actor{}, dialer());
    run();
    return aut;
  }

  caf::actor dialer() {
    return spawn(fake_dialer, net);
  }

  uplink_options options;
  std::shared_ptr<far_side> net = std::make_shared<far_side>();
  captured_log log;
};

} // namespace

TEST_F(Uplink, DialsAndSaysHello) {
  start_collector();
  start();
  ASSERT_EQ(net->heard.size(), 1u);
  EXPECT_EQ(net->heard[0].name, "edge-1");
  advance(1min, 1s);
  EXPECT_EQ(net->dials, 1) << "connected is connected";
  EXPECT_EQ(log.events("collector-connected").size(), 1u);
}

TEST_F(Uplink, ProvesWhoItIs) {
  options.prove = [](const std::string& challenge) {
    return node_proof{"certificate", challenge + ", signed"};
  };
  start_collector();
  start();
  EXPECT_EQ(net->challenges, 1);
  EXPECT_EQ(net->proof.certificate, "certificate");
  EXPECT_EQ(net->proof.signature, "what to sign, signed");
  EXPECT_EQ(log.events("collector-connected").size(), 1u);
}

TEST_F(Uplink, DialsEverLessOftenWhileNobodyAnswers) {
  start_collector();
  net->reachable = false;
  start();
  EXPECT_EQ(net->dials, 1);
  advance(1500ms);
  EXPECT_EQ(net->dials, 2) << "after 1 to 1.5 s";
  advance(3s);
  EXPECT_EQ(net->dials, 3) << "after 2 to 3 s more";
  EXPECT_EQ(log.events("collector-not-connected").size(), 1u)
    << "tried for ever, said once";
  net->reachable = true;
  advance(options.longest_pause);
  EXPECT_EQ(net->heard.size(), 1u);
}

TEST_F(Uplink, WaitsNoLongerThanTheLongestPauseWhateverChanceAdds) {
  start_collector();
  net->reachable = false;
  start();
  constexpr auto hop = 10ms;
  const auto until_next_dial = [&] {
    auto pause = 0ms;
    for (const auto before = net->dials; net->dials == before; pause += hop)
      advance(hop);
    return pause;
  };
  advance(1min, hop);
  until_next_dial();
  std::set<std::chrono::milliseconds> pauses;
  for (int i = 0; i < 100; ++i) {
    const auto pause = until_next_dial();
    EXPECT_LE(pause.count(), options.longest_pause.count());
    EXPECT_GE(pause.count(), options.longest_pause.count() / 2);
    pauses.insert(pause);
  }
  EXPECT_GT(pauses.size(), 10u) << "a fleet does not dial in step";
}

TEST_F(Uplink, DialsAgainWhenTheCollectorIsLost) {
  start_collector();
  start();
  self->send_exit(net->collector, caf::exit_reason::remote_link_unreachable);
  run();
  start_collector();
  advance(1500ms);
  EXPECT_EQ(net->heard.size(), 2u);
  EXPECT_EQ(log.events("collector-not-connected").size(), 1u);
  EXPECT_EQ(log.events("collector-connected").size(), 2u);
}

TEST_F(Uplink, DialsAgainWhenItIsRefused) {
  start_collector();
  net->refuses = true;
  start();
  EXPECT_EQ(net->heard.size(), 1u);
  advance(1500ms);
  EXPECT_EQ(net->heard.size(), 2u);
  net->refuses = false;
  advance(3s);
  EXPECT_EQ(net->heard.size(), 3u);
  EXPECT_EQ(net->heard.back().protocol, node_protocol)
    << "its protocol was not why";
  EXPECT_EQ(log.events("collector-connected").size(), 1u);
}

TEST_F(Uplink, SpeaksTheProtocolOfAnOlderCollector) {
  options.prove = [](const std::string& challenge) {
    return node_proof{"certificate", challenge};
  };
  start_collector();
  net->protocol = node_protocol - 1;
  start();
  ASSERT_EQ(net->heard.size(), 2u);
  EXPECT_EQ(net->heard[0].protocol, node_protocol);
  EXPECT_EQ(net->heard[1].protocol, node_protocol - 1);
  EXPECT_EQ(net->challenges, 2) << "each is good for once";
  EXPECT_EQ(net->dials, 1);
  EXPECT_EQ(log.events("collector-connected").size(), 1u);
  EXPECT_TRUE(log.events("collector-not-connected").empty());
  // The next one may be newer.
  self->send_exit(net->collector, caf::exit_reason::remote_link_unreachable);
  run();
  net->protocol = node_protocol;
  start_collector();
  advance(1500ms);
  ASSERT_EQ(net->heard.size(), 3u);
  EXPECT_EQ(net->heard[2].protocol, node_protocol);
}

TEST_F(Uplink, GivesUpWhenNoProtocolIsUnderstood) {
  start_collector();
  net->protocol = oldest_node_protocol - 1;
  start();
  const std::size_t each = node_protocol - oldest_node_protocol + 1;
  EXPECT_EQ(net->heard.size(), each) << "once in each that it speaks";
  EXPECT_EQ(log.events("collector-not-connected").size(), 1u);
  advance(1500ms);
  EXPECT_EQ(net->heard.size(), 2 * each);
}

TEST_F(Uplink, SaysNothingToWhatIsNoCollector) {
  start_collector();
  net->other_program = true;
  start();
  EXPECT_TRUE(net->heard.empty());
  EXPECT_EQ(log.events("collector-not-connected").size(), 1u);
}

TEST_F(Uplink, QuitsOnImpossibleOptions) {
  const auto refused = [this](auto change) {
    auto bad = options;
    change(bad);
    return validate(bad) != caf::none;
  };
  EXPECT_FALSE(validate(options));
  EXPECT_TRUE(refused([](auto& x) { x.host.clear(); }));
  EXPECT_TRUE(refused([](auto& x) { x.port = 0; }));
  EXPECT_TRUE(refused([](auto& x) { x.first_pause = 0ms; }));
  EXPECT_TRUE(refused([](auto& x) { x.longest_pause = 1ms; }));
  EXPECT_TRUE(refused([](auto& x) { x.hello.name = "a b"; }));
  options.port = 0;
  EXPECT_TRUE(dead(start()));
}

} // namespace edgecap::test

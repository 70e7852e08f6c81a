#include "actors/actor_support.hpp"
#include "tests/support/engine_fixture.hpp"
#include "tests/support/recording_follower.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Jobs over several nodes. An edge is in the test's own process; a connection
// that breaks is played by what the collector sees of it: all handles of the
// edge are gone, with the reason that CAF gives then.
namespace edgecap::test {

using namespace std::chrono_literals;

namespace {

/// A node of an older build: its samplers answer at once, with news or without.
struct old_node_state {
  std::vector<std::string> interfaces;
  std::size_t asked = 0;   ///< For counters, all of them together.
  interface_report report; ///< What each answers.
};

using old_node_ptr = std::shared_ptr<old_node_state>;

sampler_actor::behavior_type old_sampler(sampler_actor::pointer self,
                                         const old_node_ptr& st,
                                         const sampler_spec& spec,
                                         const batch_sink_actor& sink) {
  self->send(sink, atom::opened_v, spec.run, capture::link_type::ethernet);
  return {
    [](atom::credit, std::uint64_t) {},
    [=](atom::stop) {
      self->send(sink, atom::ended_v, spec.run, st->report);
      self->quit();
    },
    [=](atom::stats) {
      ++st->asked;
      return st->report;
    },
    [](atom::progress) {},
    [](atom::opened, capture::link_type) {},
    [](atom::batch, const capture::packet_batch&) {},
    [](atom::ended, const capture::source_end&) {},
  };
}

node_actor::behavior_type old_node(node_actor::pointer self,
                                   const old_node_ptr& st) {
  const auto sample
    = [=](const sampler_spec& spec, const batch_sink_actor& sink) {
        return self->spawn(old_sampler, st, spec, sink);
      };
  return {
    [](atom::pulse) { return node_pulse{}; },
    [=](atom::survey, const std::string&) {
      std::vector<sampler_spec> result;
      for (const auto& interface : st->interfaces)
        result.emplace_back().interface = interface;
      return result;
    },
    [=](atom::sample, const sampler_spec& spec, const batch_sink_actor& sink) {
      return sample(spec, sink);
    },
    [=](atom::sample, const sampler_spec& spec, std::int64_t,
        const batch_sink_actor& sink) { return sample(spec, sink); },
    [](atom::shutdown) { return caf::ok_atom_v; },
  };
}

/// A node whose sampler delivers before its handle is known: two batches, the
/// second one when it has the credit for that.
struct eager_node_state {
  capture::packet_batch batch;
  caf::typed_response_promise<sampler_actor> kept; ///< The handle.
  sampler_actor handle;
};

using eager_node_ptr = std::shared_ptr<eager_node_state>;

sampler_actor::behavior_type
eager_sampler(sampler_actor::stateful_pointer<std::uint64_t> self,
              const eager_node_ptr& st, const sampler_spec& spec,
              const batch_sink_actor& sink) {
  self->state = spec.credit_bytes - st->batch.size_bytes();
  self->send(sink, atom::opened_v, spec.run, capture::link_type::ethernet);
  self->send(sink, atom::batch_v, spec.run, st->batch);
  return {
    [=](atom::credit, std::uint64_t bytes) {
      self->state += bytes;
      if (self->state >= st->batch.size_bytes())
        self->send(sink, atom::batch_v, spec.run, st->batch);
    },
    [=](atom::stop) {
      self->send(sink, atom::ended_v, spec.run, interface_report{});
      self->quit();
    },
    [](atom::stats) { return interface_report{}; },
    [](atom::progress) {},
    [](atom::opened, capture::link_type) {},
    [](atom::batch, const capture::packet_batch&) {},
    [](atom::ended, const capture::source_end&) {},
  };
}

node_actor::behavior_type eager_node(node_actor::pointer self,
                                     const eager_node_ptr& st) {
  const auto sample
    = [=](const sampler_spec& spec, const batch_sink_actor& sink) {
        st->handle = self->spawn(eager_sampler, st, spec, sink);
        st->kept = self->make_response_promise<sampler_actor>();
        return st->kept;
      };
  return {
    [](atom::pulse) { return node_pulse{}; },
    [](atom::survey, const std::string&) {
      std::vector<sampler_spec> result(1);
      result[0].interface = "eth0";
      return result;
    },
    [=](atom::sample, const sampler_spec& spec, const batch_sink_actor& sink) {
      return sample(spec, sink);
    },
    [=](atom::sample, const sampler_spec& spec, std::int64_t,
        const batch_sink_actor& sink) { return sample(spec, sink); },
    // From the test: the handle arrives.
    [=](atom::shutdown) {
      st->kept.deliver(std::exchange(st->handle, nullptr));
      return caf::ok_atom_v;
    },
  };
}

/// What stands before a node and may stand still, as its process may: questions
/// wait until it goes on.
struct gate_state {
  enum class course { open, surveys_only, shut };

  course now = course::open;
  std::vector<std::function<void()>> waiting;

  bool lets_through(bool survey) const {
    return now == course::open || (survey && now == course::surveys_only);
  }

  /// It stands still, but for a question for its interfaces if that is said.
  void shut(bool but_for_surveys = false) {
    now = but_for_surveys ? course::surveys_only : course::shut;
  }
};

using gate_ptr = std::shared_ptr<gate_state>;

/// A promise that was kept, to be used.
template <class Promise>
Promise answer_of(const Promise& kept) {
  return kept;
}

node_actor::behavior_type gate(node_actor::pointer self, const gate_ptr& st,
                               const node_actor& to) {
  const auto pass = [st](bool survey, const std::function<void()>& go) {
    if (st->lets_through(survey))
      go();
    else
      st->waiting.push_back(go);
  };
  return {
    [=](atom::pulse) {
      auto answer = self->make_response_promise<node_pulse>();
      pass(false, [=] { answer_of(answer).delegate(to, atom::pulse_v); });
      return answer;
    },
    [=](atom::survey, const std::string& system) {
      auto answer = self->make_response_promise<std::vector<sampler_spec>>();
      pass(true,
           [=] { answer_of(answer).delegate(to, atom::survey_v, system); });
      return answer;
    },
    [=](atom::sample, const sampler_spec& spec, const batch_sink_actor& sink) {
      auto answer = self->make_response_promise<sampler_actor>();
      pass(false,
           [=] { answer_of(answer).delegate(to, atom::sample_v, spec, sink); });
      return answer;
    },
    [=](atom::sample, const sampler_spec& spec, std::int64_t correction,
        const batch_sink_actor& sink) {
      auto answer = self->make_response_promise<sampler_actor>();
      pass(false, [=] {
        answer_of(answer).delegate(to, atom::sample_v, spec, correction, sink);
      });
      return answer;
    },
    // From the test: it goes on, with what was asked first.
    [=](atom::shutdown) {
      st->now = gate_state::course::open;
      for (const auto& go : std::exchange(st->waiting, {}))
        go();
      return caf::ok_atom_v;
    },
  };
}

class EngineNodes : public engine_fixture {
protected:
  /// A machine of its own.
  struct edge {
    std::string name;
    scripted_host host;
    node_actor node;
    node_actor gate; ///< What the collector sees of it, if not the node.
    gate_ptr still = std::make_shared<gate_state>();
    std::int64_t ahead = 0; ///< What its clock shows more.
    std::string colo;
    std::uint32_t protocol = node_protocol;
  };

  void TearDown() override {
    for (auto* x : {&one, &two}) {
      x->node = nullptr;
      x->gate = nullptr;
      x->still->waiting.clear();
    }
    engine_fixture::TearDown();
  }

  void start(edge& x, const std::string& name,
             const std::string& system = "lab",
             const std::vector<std::string>& interfaces = {"eth0"}) {
    x.name = name;
    node_options options;
    options.name = name;
    options.systems[system] = {{"*", 1, 160, false}};
    options.open_source = x.host.factory();
    options.list_interfaces = [interfaces] {
      return capture::expected<std::vector<std::string>>{interfaces};
    };
    options.wall_clock = [this, &x] { return now() + x.ahead; };
    x.node = spawn(node, options);
  }

  /// A node that can stand still.
  void start_gated(edge& x, const std::string& name) {
    start(x, name);
    x.gate = spawn(gate, x.still, x.node);
  }

  void wake(const edge& x) {
    send_as(self, x.gate, atom::shutdown_v);
    run();
  }

  void dial(const edge& x) {
    if (!registry)
      start_engine();
    node_hello said;
    said.name = x.name;
    said.colo = x.colo;
    said.protocol = x.protocol;
    EXPECT_TRUE(ask<node_welcome>(fleet, atom::hello_v, said, node_proof{},
                                  x.gate ? x.gate : x.node));
    run();
  }

  /// The connection to an edge breaks.
  void cut(const edge& x) {
    const auto samplers = state_of<node_state>(x.node).samplers;
    for (const auto& sampler : samplers)
      self->send_exit(sampler, caf::exit_reason::remote_link_unreachable);
    for (const auto& node : {x.node, x.gate})
      if (node)
        self->send_exit(node, caf::exit_reason::remote_link_unreachable);
    run();
  }

  /// No collector captures itself.
  void start_collector() {
    start_engine();
    self->send_exit(local, caf::exit_reason::kill);
    run();
  }

  /// What a job says of its last time on a node, if it has been there.
  static std::optional<interface_report> line_of(const job_record& record,
                                                 const std::string& node) {
    const auto i
      = std::find_if(record.interfaces.rbegin(), record.interfaces.rend(),
                     [&](const auto& x) { return x.node == node; });
    if (i == record.interfaces.rend())
      return std::nullopt;
    return *i;
  }

  edge one;
  edge two;
};

} // namespace

TEST_F(EngineNodes, CapturesOnEveryNode) {
  start(one, "edge-1");
  start(two, "edge-2");
  dial(one);
  dial(two);
  const auto job = create(spec(10));
  host.on("eth0").deliver_packets(2);
  one.host.on("eth0").deliver_packets(3);
  two.host.on("eth0").deliver_packets(100);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.packets_captured, 10u) << "the limit is one for all";
  EXPECT_EQ(line_of(record, "edge-1")->packets_captured, 3u);
  EXPECT_EQ(line_of(record, "edge-2")->packets_captured, 5u);
  EXPECT_EQ(disk->packets(job.id), 10u);
}

TEST_F(EngineNodes, CapturesOnTheNodesThatTheClientChose) {
  start(one, "edge-1");
  start(two, "edge-2");
  one.colo = "ams01";
  dial(one);
  auto wanted = spec(10);
  for (const auto* name : {"ams01", "edge-1"}) {
    wanted.colo_name = name;
    const auto job = create(wanted);
    dial(two); // neither does one that joins later
    const auto record = get(job.id);
    EXPECT_EQ(record.spec.colo_name, name);
    ASSERT_EQ(record.interfaces.size(), 1u);
    EXPECT_EQ(record.interfaces[0].node, "edge-1");
  }
}

TEST_F(EngineNodes, FailsIfNoNodeIsTheChosenOne) {
  start(one, "edge-1");
  dial(one);
  auto wanted = spec(10);
  wanted.colo_name = "fra01";
  const auto record = get(create(wanted).id);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::node_lost);
  EXPECT_EQ(record.error_message, "no node can capture: no node that is "
                                  "connected is or stands in fra01");
}

TEST_F(EngineNodes, LeavesOutANodeWithoutTheSystem) {
  start(one, "edge-1", "other");
  dial(one);
  const auto job = create(spec(10));
  EXPECT_FALSE(line_of(get(job.id), "edge-1"));
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
}

TEST_F(EngineNodes, FailsWithoutANode) {
  start_collector();
  const auto job = create(spec(10));
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::node_lost);
  EXPECT_EQ(record.error_message, "no node can capture: no node is connected");
}

TEST_F(EngineNodes, FailsIfNoNodeHasTheSystem) {
  start_collector();
  start(one, "edge-1", "other");
  dial(one);
  const auto record = get(create(spec(10)).id);
  EXPECT_EQ(record.reason, end_reason::node_lost);
  EXPECT_EQ(record.error_message,
            "no node can capture: node edge-1 has no system lab");
}

TEST_F(EngineNodes, TakesInANodeThatJoinsLater) {
  start_engine();
  const auto job = create(spec(10));
  start(one, "edge-1");
  dial(one);
  one.host.on("eth0").deliver_packets(10);
  run();
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
}

TEST_F(EngineNodes, GoesOnWithoutANodeThatIsLost) {
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  one.host.on("eth0").deliver_packets(3);
  run();
  cut(one);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  settle();
  const auto line = line_of(get(job.id), "edge-1");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->phase, sampler_phase::failed);
  EXPECT_EQ(line->error, "node lost: its connection is gone");
  EXPECT_EQ(line->packets_captured, 3u);
  EXPECT_FALSE(line->dropped_by_kernel) << "what it counted is unknown";
  host.on("eth0").deliver_packets(2);
  advance(60s, 100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_EQ(record.error_message, "node edge-1 was lost and did not come back: "
                                  "its connection is gone");
  EXPECT_EQ(disk->packets(job.id), 5u);
}

TEST_F(EngineNodes, GoesOnWithANodeThatComesBack) {
  start_collector();
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  one.host.on("eth0").deliver_packets(3);
  run();
  cut(one);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing) << "it may come back";
  advance(5s);
  start(one, "edge-1");
  dial(one);
  one.host.on("eth0").deliver_packets(7);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.error_message, "");
  ASSERT_EQ(record.interfaces.size(), 2u) << "one line for each time";
  EXPECT_EQ(record.interfaces[0].packets_captured, 3u);
  EXPECT_EQ(record.interfaces[1].packets_captured, 7u);
}

TEST_F(EngineNodes, EndsInTimeWhenEveryNodeIsLost) {
  start_collector();
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  one.host.on("eth0").deliver_packets(3);
  run();
  cut(one);
  advance(60s, 100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::node_lost);
  EXPECT_EQ(record.phase, job_phase::succeeded) << "it keeps its packets";
  EXPECT_EQ(record.packets_captured, 3u);
  EXPECT_EQ(record.error_message,
            "no node is left; node edge-1 was lost and did not come back: its "
            "connection is gone");
}

TEST_F(EngineNodes, IgnoresWhatALostNodeSendsLate) {
  start_collector();
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  auto& source = one.host.on("eth0");
  source.deliver_packets(3);
  run();
  // It is silent for too long, but its connection stands.
  send_as(self, fleet, atom::tick_v);
  run();
  const auto watchers = state_of<fleet_state>(fleet).watchers;
  ASSERT_EQ(watchers.size(), 1u);
  send_as(self, watchers[0], atom::left_v, std::string{"edge-1"},
          std::string{"it is silent"});
  source.deliver_packets(4);
  run();
  settle();
  EXPECT_EQ(get(job.id).packets_captured, 3u);
  EXPECT_FALSE(source.alive()) << "it need not go on";
}

TEST_F(EngineNodes, WaitsForANodeThatIsShutDown) {
  start_collector();
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  one.host.on("eth0").deliver_packets(3);
  run();
  // Its last packets come before it goes.
  EXPECT_TRUE(ask<caf::ok_atom>(one.node, atom::shutdown_v));
  cut(one);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
  start(one, "edge-1");
  dial(one);
  one.host.on("eth0").deliver_packets(7);
  run();
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
  EXPECT_EQ(disk->packets(job.id), 10u);
}

TEST_F(EngineNodes, WaitsForANodeThatStandsStillWhenTheJobBegins) {
  start_collector();
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut();
  const auto job = create(spec(10, 300));
  advance(12s, 100ms);
  EXPECT_EQ(get(job.id).phase, job_phase::pending);
  wake(one);
  one.host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.error_message, "");
  EXPECT_EQ(record.interfaces.size(), 1u);
}

TEST_F(EngineNodes, NamesANodeThatStoodStillFromTheBeginning) {
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut();
  const auto job = create(spec(10, 60));
  host.on("eth0").deliver_packets(3);
  advance(60s, 100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_FALSE(line_of(record, "edge-1"));
  EXPECT_EQ(record.error_message, "node edge-1 was lost and did not come back: "
                                  "it has not answered for 15000 ms");
}

TEST_F(EngineNodes, TakesInANodeThatWasLostBeforeItAnswered) {
  start_collector();
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut();
  const auto job = create(spec(10, 300));
  advance(20s, 100ms);
  EXPECT_EQ(get(job.id).phase, job_phase::pending) << "it may come back";
  wake(one);
  advance(2s, 100ms);
  one.host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.error_message, "");
  EXPECT_EQ(record.interfaces.size(), 1u) << "its late answer is of the past";
  EXPECT_EQ(one.host.opened("eth0"), 1u);
}

TEST_F(EngineNodes, WaitsForTheSamplerOfANodeThatStandsStill) {
  start_collector();
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut(true);
  const auto job = create(spec(10, 300));
  ASSERT_TRUE(line_of(get(job.id), "edge-1"));
  advance(12s, 100ms);
  EXPECT_EQ(get(job.id).phase, job_phase::pending);
  wake(one);
  one.host.on("eth0").deliver_packets(10);
  run();
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
  EXPECT_EQ(one.host.opened("eth0"), 1u);
}

TEST_F(EngineNodes, EndsTheSamplerThatANodeStartsTooLate) {
  start_collector();
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut(true);
  const auto job = create(spec(10, 300));
  advance(20s, 100ms);
  EXPECT_EQ(line_of(get(job.id), "edge-1")->error,
            "node lost: it has not answered for 15000 ms");
  wake(one);
  advance(2s, 100ms);
  EXPECT_EQ(one.host.opened("eth0"), 2u);
  EXPECT_EQ(one.host.alive(), 1u) << "of the second time";
  one.host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.error_message, "");
  EXPECT_EQ(record.interfaces.size(), 2u);
}

TEST_F(EngineNodes, EndsInTimeWhileANodeIsWaitedFor) {
  fleet_opts.lost_after = 10min;
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut();
  auto wanted = spec(10, 30);
  const auto of_both = create(wanted);
  wanted.colo_name = "edge-1";
  const auto of_one = create(wanted);
  advance(30s, 100ms);
  for (const auto& job : {of_both, of_one}) {
    const auto record = get(job.id);
    EXPECT_EQ(record.reason, end_reason::time_limit);
    EXPECT_EQ(record.phase, job_phase::succeeded);
    EXPECT_EQ(record.error_message, "node edge-1 has not answered");
  }
  wake(one);
  EXPECT_EQ(one.host.alive(), 0u) << "nobody wants it any more";
}

TEST_F(EngineNodes, EndsInTimeWhileASamplerIsWaitedFor) {
  fleet_opts.lost_after = 10min;
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut(true);
  const auto job = create(spec(10, 30));
  advance(30s + registry_opts.job.drain_timeout, 100ms);
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_EQ(record.phase, job_phase::succeeded);
  EXPECT_EQ(line_of(record, "edge-1")->error, "its node has not answered");
  wake(one);
  EXPECT_EQ(one.host.alive(), 0u) << "a sampler works for no job that is gone";
}

TEST_F(EngineNodes, NamesANodeThatEndsBeforeItAnswers) {
  start_collector();
  for (const auto but_for_surveys : {false, true}) {
    start_gated(one, "edge-1");
    dial(one);
    one.still->shut(but_for_surveys);
    const auto job = create(spec(10, 60));
    cut(one);
    *one.still = {};
    EXPECT_EQ(get(job.id).phase, job_phase::pending) << "it may come back";
    advance(60s, 100ms);
    const auto record = get(job.id);
    EXPECT_EQ(record.reason, end_reason::node_lost);
    EXPECT_EQ(record.error_message,
              "no node is left; node edge-1 was lost and did not come back: "
              "its connection is gone");
  }
}

TEST_F(EngineNodes, WaitsForANodeThatIsGoneWhenItIsAsked) {
  start_collector();
  const auto kill_when = [&](const auto& is_time, const std::string& job) {
    start(one, "edge-1");
    dial(one);
    send_as(self, registry, atom::create_v, spec(10, 60), std::string{});
    while (!is_time())
      ASSERT_TRUE(step());
    self->send_exit(one.node, caf::exit_reason::kill);
    run();
    EXPECT_EQ(get(job).phase, job_phase::pending);
    start(one, "edge-1");
    dial(one);
    one.host.on("eth0").deliver_packets(10);
    run();
    EXPECT_EQ(get(job).reason, end_reason::packet_limit);
    cut(one);
  };
  // The job does not know yet that the node is there, and will ask it.
  kill_when([&] { return !state_of<fleet_state>(fleet).watchers.empty(); },
            std::string(31, '0') + '1');
  // The node answers that, and is to be asked for a sampler next.
  kill_when(
    [&] { return peek<atom::survey, std::string>(one.node).has_value(); },
    std::string(31, '0') + '2');
}

TEST_F(EngineNodes, NamesANodeThatDoesNotKnowItsInterfaces) {
  start_engine();
  node_options options;
  options.name = "edge-1";
  options.systems["lab"] = {{"*", 1, 160, false}};
  options.open_source = one.host.factory();
  options.list_interfaces
    = []() -> capture::expected<std::vector<std::string>> {
    return tl::unexpected<capture::capture_error>{
      {capture::capture_errc::not_permitted,
       "list interfaces: Permission denied"}};
  };
  options.wall_clock = [this] { return now(); };
  one.name = options.name;
  one.node = spawn(node, options);
  dial(one);
  auto wanted = spec(3);
  const auto of_both = create(wanted);
  host.on("eth0").deliver_packets(3);
  run();
  auto record = get(of_both.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.error_message,
            "node edge-1 took no part: list interfaces: Permission denied");
  wanted.colo_name = "edge-1";
  record = get(create(wanted).id);
  EXPECT_EQ(record.reason, end_reason::node_lost);
  EXPECT_EQ(record.error_message,
            "no node can capture; node edge-1 took no part: list interfaces: "
            "Permission denied");
}

TEST_F(EngineNodes, ShowsPacketsAlthoughANodeStandsStill) {
  fleet_opts.lost_after = 10min;
  start_gated(one, "edge-1");
  dial(one);
  one.still->shut();
  const auto job = create(spec(10, 60));
  const auto who = std::make_shared<recording_follower>();
  ASSERT_TRUE(ask<caf::ok_atom>(registry, atom::follow_v, std::string{account},
                                job.id, follower_ptr{who}));
  host.on("eth0").deliver_packets(3);
  run();
  EXPECT_EQ(who->begins, 0) << "its link type may be another";
  advance(request_timeout, 100ms);
  EXPECT_EQ(who->link, capture::link_type::ethernet);
  EXPECT_EQ(who->packets(), 3u);
}

TEST_F(EngineNodes, TellsANodeItsLastMomentByItsOwnClock) {
  start(one, "edge-1");
  one.ahead = 3'600'000'000'000;
  dial(one);
  const auto job = create(spec(10, 60));
  EXPECT_EQ(one.host.on("eth0").options().not_after,
            job.submitted + 60'000'000'000 + one.ahead);
  EXPECT_EQ(host.on("eth0").options().not_after,
            job.submitted + 60'000'000'000);
}

TEST_F(EngineNodes, LeavesStampsAloneUnlessAsked) {
  start(one, "edge-1");
  one.ahead = 3'600'000'000'000;
  dial(one);
  const auto job = create(spec(10, 60));
  EXPECT_EQ(one.host.on("eth0").options().stamp_correction_ns, 0);
  EXPECT_EQ(line_of(get(job.id), "edge-1")->clock_correction_ns, 0);
}

TEST_F(EngineNodes, HasANodeStampByTheCollectorsClock) {
  registry_opts.job.correct_clocks = true;
  start(one, "edge-1");
  start(two, "edge-2");
  one.ahead = 3'600'000'000'000;
  two.ahead = -5'000'000'000;
  dial(one);
  dial(two);
  const auto job = create(spec(10, 60));
  EXPECT_EQ(one.host.on("eth0").options().stamp_correction_ns, -one.ahead);
  EXPECT_EQ(two.host.on("eth0").options().stamp_correction_ns, -two.ahead);
  EXPECT_EQ(host.on("eth0").options().stamp_correction_ns, 0);
  const auto record = get(job.id);
  EXPECT_EQ(line_of(record, "edge-1")->clock_correction_ns, -one.ahead);
  EXPECT_EQ(line_of(record, "edge-2")->clock_correction_ns, -two.ahead);
  EXPECT_EQ(one.host.on("eth0").options().not_after,
            job.submitted + 60'000'000'000 + one.ahead)
    << "the kernel's stamp";
}

TEST_F(EngineNodes, AsksNoOldNodeToCorrectItsClock) {
  registry_opts.job.correct_clocks = true;
  start(one, "edge-1");
  one.ahead = 3'600'000'000'000;
  one.protocol = correcting_node_protocol - 1;
  dial(one);
  const auto job = create(spec(10, 60));
  EXPECT_EQ(one.host.on("eth0").options().stamp_correction_ns, 0);
  EXPECT_EQ(line_of(get(job.id), "edge-1")->clock_correction_ns, 0);
  one.host.on("eth0").deliver_packets(10);
  run();
  EXPECT_EQ(get(job.id).reason, end_reason::packet_limit);
}

TEST_F(EngineNodes, SharesItsCreditAmongItsNodes) {
  registry_opts.job.credit_bytes = 1u << 20;
  registry_opts.job.credit_shares = 2;
  start(one, "edge-1");
  start(two, "edge-2", "lab", {"eth0", "eth1"});
  dial(one);
  dial(two);
  const auto job = create(spec(100));
  const auto credit_on = [](scripted_host& x, const char* interface) {
    return x.on(interface).options().initial_credit_bytes;
  };
  const std::uint64_t all = 2u << 20;
  const auto sum = [&] {
    return credit_on(host, "eth0") + credit_on(host, "eth1")
           + credit_on(one.host, "eth0") + credit_on(two.host, "eth0")
           + credit_on(two.host, "eth1");
  };
  EXPECT_LE(sum(), all);
  EXPECT_GE(sum(), all / 2);
  // What a node had is to be had again.
  cut(two);
  start(two, "edge-2", "lab", {"eth0", "eth1"});
  dial(two);
  EXPECT_LE(sum(), all);
  EXPECT_GT(credit_on(two.host, "eth0"), registry_opts.job.least_credit_bytes);
  EXPECT_EQ(get(job.id).phase, job_phase::capturing);
}

TEST_F(EngineNodes, GivesCreditBackThatWasOwedBeforeTheSamplerWasKnown) {
  const auto eager = std::make_shared<eager_node_state>();
  eager->batch = make_batch(3);
  registry_opts.job.credit_bytes = eager->batch.size_bytes();
  registry_opts.job.least_credit_bytes = 1;
  start_collector();
  one.name = "edge-1";
  one.node = spawn(eager_node, eager);
  dial(one);
  const auto job = create(spec(6, 60));
  settle();
  EXPECT_EQ(get(job.id).packets_captured, 3u);
  send_as(self, one.node, atom::shutdown_v);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.packets_captured, 6u);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
}

TEST_F(EngineNodes, TellsOfThousandsOfInterfaces) {
  constexpr std::size_t many = 1500;
  std::vector<std::string> present;
  for (std::size_t i = 0; i < many; ++i)
    present.push_back("if" + std::to_string(i));
  start_collector();
  start(one, "edge-1", "lab", present);
  dial(one);
  const auto job = create(spec(100'000, 60));
  settle();
  auto record = get(job.id);
  ASSERT_EQ(record.interfaces.size(), many);
  for (const auto& x : record.interfaces)
    ASSERT_EQ(x.phase, sampler_phase::capturing) << x.interface;
  std::uint64_t credit = 0;
  for (const auto& interface : present)
    credit += one.host.on(interface).options().initial_credit_bytes;
  EXPECT_LE(credit, 64ull * registry_opts.job.credit_bytes
                      + many * registry_opts.job.least_credit_bytes);
  for (const auto& interface : present)
    one.host.on(interface).deliver_packets(1);
  run();
  // One has more than its credit, which is given back in parts of that.
  for (int i = 0; i < 10; ++i) {
    one.host.on("if7").deliver_packets(100);
    run();
  }
  ASSERT_TRUE(stop(job.id));
  record = get(job.id);
  EXPECT_EQ(record.packets_captured, many + 1000);
  EXPECT_EQ(disk->packets(job.id), many + 1000);
}

TEST_F(EngineNodes, HasABoundForItsLinesHoweverOftenNodesReturn) {
  registry_opts.job.max_runs = 5;
  start_collector();
  const std::vector<std::string> present{"eth0", "eth1"};
  start(one, "edge-1", "lab", present);
  dial(one);
  const auto job = create(spec(10, 60));
  for (int returns = 0; returns < 4; ++returns) {
    cut(one);
    start(one, "edge-1", "lab", present);
    dial(one);
  }
  const auto record = get(job.id);
  EXPECT_EQ(record.interfaces.size(), 5u);
  EXPECT_EQ(record.phase, job_phase::failed) << "it could capture no more";
  EXPECT_EQ(record.reason, end_reason::interface_lost);
}

TEST_F(EngineNodes, SaysHowManyInterfacesAreBeyondTheBound) {
  registry_opts.job.max_runs = 5;
  const std::vector<std::string> present{"eth0", "eth1"};
  start(one, "edge-1", "lab", present);
  dial(one);
  const auto job = create(spec(10, 60));
  for (int returns = 0; returns < 4; ++returns) {
    cut(one);
    start(one, "edge-1", "lab", present);
    dial(one);
  }
  host.on("eth0").deliver_packets(10);
  run();
  const auto record = get(job.id);
  EXPECT_EQ(record.reason, end_reason::packet_limit);
  EXPECT_EQ(record.interfaces.size(), 5u);
  EXPECT_EQ(record.error_message,
            "7 interfaces more were not captured on: the limit of one job is "
            "5, counted anew each time that a node comes back");
}

TEST_F(EngineNodes, AsksSomeOfItsSamplersForTheirCountersAtATime) {
  std::vector<std::string> present;
  for (std::size_t i = 0; i < 600; ++i)
    present.push_back("if" + std::to_string(i));
  start_collector();
  start(one, "edge-1", "lab", present);
  dial(one);
  const auto job = create(spec(100'000, 60));
  for (const auto& interface : present)
    one.host.on(interface).counters.packets_matched = 7;
  const auto known = [&] {
    const auto record = get(job.id);
    return std::count_if(record.interfaces.begin(), record.interfaces.end(),
                         [](const auto& x) { return x.packets_matched == 7; });
  };
  EXPECT_EQ(known(), 0);
  advance(600ms, 100ms);
  const auto some = known();
  EXPECT_GT(some, 0);
  EXPECT_LT(some, 600);
  advance(10s, 100ms);
  EXPECT_EQ(known(), 600);
}

TEST_F(EngineNodes, AsksSamplersOfAnOlderNodeOnceASecond) {
  start_collector();
  const auto old = std::make_shared<old_node_state>();
  // More than are asked at once.
  constexpr std::size_t many = 300;
  for (std::size_t i = 0; i < many; ++i)
    old->interfaces.push_back("if" + std::to_string(i));
  one.name = "edge-1";
  one.node = spawn(old_node, old);
  dial(one);
  const auto job = create(spec(10, 60));
  advance(3s, 50ms);
  const auto before = old->asked;
  advance(10s, 50ms);
  EXPECT_GT(old->asked - before, 4 * many);
  EXPECT_LE(old->asked - before, 10 * many);
  old->report.dropped_by_kernel = 4;
  advance(2s, 50ms);
  const auto record = get(job.id);
  EXPECT_EQ(
    std::count_if(record.interfaces.begin(), record.interfaces.end(),
                  [](const auto& x) { return x.dropped_by_kernel == 4u; }),
    static_cast<std::ptrdiff_t>(many));
}

TEST_F(EngineNodes, GivesANodeUpThatSendsNonsense) {
  start(one, "edge-1");
  dial(one);
  const auto job = create(spec(10, 60));
  const auto jobs = state_of<fleet_state>(fleet).watchers;
  ASSERT_EQ(jobs.size(), 1u);
  const auto sink = caf::actor_cast<batch_sink_actor>(jobs[0]);
  const auto interfaces = get(job.id).interfaces;
  const auto run_of_edge = static_cast<std::uint32_t>(
    std::find_if(interfaces.begin(), interfaces.end(),
                 [](const auto& x) { return x.node == "edge-1"; })
    - interfaces.begin());
  send_as(self, sink, atom::batch_v, run_of_edge, capture::packet_batch{});
  run();
  settle();
  const auto record = get(job.id);
  EXPECT_EQ(line_of(record, "edge-1")->error,
            "its node sent packets that make no sense");
  EXPECT_FALSE(one.host.on("eth0").alive());
  EXPECT_EQ(record.phase, job_phase::capturing);
}

} // namespace edgecap::test

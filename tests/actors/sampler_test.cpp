#include "actors/actor_support.hpp"
#include "actors/sampler.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/scripted_source.hpp"

namespace edgecap::test {

using capture::link_type;
using capture::packet_batch;

class Sampler : public actor_fixture {
protected:
  void SetUp() override {
    sink = spawn(probe);
  }

  void TearDown() override {
    aut = nullptr;
    sink = nullptr;
    actor_fixture::TearDown();
  }

  /// A sampler on eth0 that delivers to a probe.
  void start() {
    sampler_options options;
    options.spec.run = 7;
    options.spec.node = "node-1";
    options.spec.interface = "eth0";
    options.spec.credit_bytes = options.source.batch_bytes;
    options.open_source = host.factory();
    aut = spawn(sampler, options, caf::actor_cast<batch_sink_actor>(sink));
  }

  scripted_host host;
  caf::actor sink;
  sampler_actor aut;
};

TEST_F(Sampler, PassesOnWhatItsSourceSaysInOrder) {
  host.leave_closed("eth0");
  start();
  host.on("eth0").open();
  host.on("eth0").deliver_packets(3);
  host.on("eth0").end();
  expect<atom::opened, link_type>(any, aut);
  expect<atom::opened, std::uint32_t, link_type>(aut, sink);
  expect<atom::batch, packet_batch>(any, aut);
  const auto batch
    = expect<atom::batch, std::uint32_t, packet_batch>(aut, sink);
  ASSERT_TRUE(batch);
  EXPECT_EQ(std::get<1>(*batch), 7u);
  EXPECT_EQ(std::get<2>(*batch).packets(), 3u);
  expect<atom::ended, capture::source_end>(any, aut);
  const auto ended
    = expect<atom::ended, std::uint32_t, interface_report>(aut, sink);
  ASSERT_TRUE(ended);
  EXPECT_EQ(std::get<2>(*ended).phase, sampler_phase::ended);
  EXPECT_EQ(std::get<2>(*ended).node, "node-1");
  EXPECT_TRUE(dead(aut));
  EXPECT_FALSE(host.on("eth0").alive());
}

TEST_F(Sampler, SharesPacketsInsteadOfCopyingThem) {
  start();
  run();
  const auto original = make_batch(2);
  host.on("eth0").deliver(original);
  expect<atom::batch, packet_batch>(any, aut);
  const auto passed
    = expect<atom::batch, std::uint32_t, packet_batch>(aut, sink);
  ASSERT_TRUE(passed);
  EXPECT_EQ(std::get<2>(*passed).data(), original.data());
}

TEST_F(Sampler, SaysWhyItsSourceEnded) {
  start();
  host.on("eth0").counters.dropped_by_us = 4;
  host.on("eth0").end(capture::capture_error{
    capture::capture_errc::interface_down, "read eth0: went down"});
  expect<atom::ended, capture::source_end>(any, aut);
  expect<atom::opened, std::uint32_t, link_type>(aut, sink);
  const auto ended
    = expect<atom::ended, std::uint32_t, interface_report>(aut, sink);
  ASSERT_TRUE(ended);
  EXPECT_EQ(std::get<2>(*ended).phase, sampler_phase::failed);
  EXPECT_EQ(std::get<2>(*ended).error, "read eth0: went down");
  EXPECT_EQ(std::get<2>(*ended).dropped_by_us, 4u);
  EXPECT_TRUE(dead(aut));
}

TEST_F(Sampler, PassesCreditAndStopToItsSource) {
  start();
  run();
  host.on("eth0").hold_on_stop();
  const auto before = host.on("eth0").credit();
  send_as(sink, aut, atom::credit_v, std::uint64_t{100});
  run();
  EXPECT_EQ(host.on("eth0").credit(), before + 100);
  send_as(sink, aut, atom::stop_v);
  run();
  EXPECT_TRUE(host.on("eth0").stopped());
  EXPECT_FALSE(dead(aut)) << "the source still drains";
}

TEST_F(Sampler, ReportsUnknownCountersAsUnknown) {
  start();
  host.on("eth0").counters.packets_matched = 9;
  const auto report = ask<interface_report>(aut, atom::stats_v);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->packets_matched, 9u);
  EXPECT_FALSE(report->dropped_by_kernel);
  EXPECT_EQ(report->dropped_by_us, 0u);
}

TEST_F(Sampler, ReportsAgainWhenItsSourceHasCounted) {
  start();
  auto& source = host.on("eth0");
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v)) << "the first";
  auto second = ask_later(aut, atom::stats_v);
  run();
  EXPECT_FALSE(receive_answer<interface_report>(second)) << "nothing is new";
  source.counters.packets_matched = 12;
  source.tell_counters();
  run();
  const auto answer = receive_answer<interface_report>(second);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->packets_matched, 12u);
  source.tell_counters(); // Nobody waits.
  run();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  EXPECT_FALSE(ask<interface_report>(aut, atom::stats_v));
}

TEST_F(Sampler, ReportsAgainWhenItsSourceHasDelivered) {
  start();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  auto waiting = ask_later(aut, atom::stats_v);
  run();
  host.on("eth0").counters.packets_matched = 3;
  host.on("eth0").deliver_packets(3);
  run();
  const auto answer = receive_answer<interface_report>(waiting);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->packets_matched, 3u) << "a client sees both at once";
}

TEST_F(Sampler, AnswersWhoeverAsksAnew) {
  start();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  auto given_up = ask_later(aut, atom::stats_v);
  auto second = ask_later(aut, atom::stats_v);
  run();
  EXPECT_TRUE(receive_answer<interface_report>(given_up));
  EXPECT_TRUE(receive_answer<interface_report>(second));
  EXPECT_FALSE(ask<interface_report>(aut, atom::stats_v));
}

TEST_F(Sampler, ReportsAgainWhatCameTooLate) {
  start();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  auto given_up = ask_later(aut, atom::stats_v);
  advance(request_timeout);
  host.on("eth0").tell_counters();
  run();
  EXPECT_TRUE(receive_answer<interface_report>(given_up));
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v))
    << "that one was not waited for";
}

TEST_F(Sampler, AnswersWhoeverWaitsWhenItEnds) {
  start();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  auto waiting = ask_later(aut, atom::stats_v);
  run();
  host.on("eth0").end();
  run();
  EXPECT_TRUE(receive_answer<interface_report>(waiting));
  EXPECT_TRUE(dead(aut));
}

TEST_F(Sampler, QuitsWithAQuestionThatItHolds) {
  start();
  EXPECT_TRUE(ask<interface_report>(aut, atom::stats_v));
  auto waiting = ask_later(aut, atom::stats_v);
  run();
  self->send_exit(sink, caf::exit_reason::kill);
  run();
  EXPECT_TRUE(dead(aut));
  EXPECT_EQ(host.alive(), 0u);
  EXPECT_FALSE(receive_answer<interface_report>(waiting));
}

TEST_F(Sampler, QuitsWhenItsJobIsGone) {
  start();
  run();
  self->send_exit(sink, caf::exit_reason::kill);
  run();
  EXPECT_TRUE(dead(aut));
  EXPECT_EQ(host.alive(), 0u);
}

TEST_F(Sampler, RefusesImpossibleOptions) {
  sampler_options options;
  EXPECT_TRUE(validate(options)) << "no source";
  options.open_source = host.factory();
  EXPECT_TRUE(validate(options)) << "no interface";
  options.spec.interface = "eth0";
  EXPECT_TRUE(validate(options)) << "no credit";
  options.spec.credit_bytes = options.source.batch_bytes;
  EXPECT_FALSE(validate(options));
  options.spec.sampling_one_in = 0;
  EXPECT_TRUE(validate(options));
  aut = spawn(sampler, options, caf::actor_cast<batch_sink_actor>(sink));
  run();
  EXPECT_TRUE(dead(aut));
}

} // namespace edgecap::test

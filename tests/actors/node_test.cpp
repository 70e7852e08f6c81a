#include "actors/node.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/scripted_source.hpp"

namespace edgecap::test {

namespace {

std::vector<std::string> names(const std::vector<sampler_spec>& specs) {
  std::vector<std::string> result;
  for (const auto& spec : specs)
    result.push_back(spec.interface);
  return result;
}

using strings = std::vector<std::string>;

} // namespace

TEST(Survey, MatchesGlobsAgainstWhatIsThere) {
  const auto specs
    = survey({{"eth*", 1, 160, false}}, {"lo", "eth0", "wlan0", "eth1"}, "n");
  EXPECT_EQ(names(specs), (strings{"eth0", "eth1"}));
}

TEST(Survey, NamesAnInterfaceThatIsMissing) {
  const auto specs = survey({{"eth7", 1, 160, false}}, {"lo"}, "n");
  EXPECT_EQ(names(specs), (strings{"eth7"}));
}

TEST(Survey, TakesEachInterfaceOnceByItsFirstRule) {
  const auto specs = survey({{"eth0", 10, 96, true}, {"*", 1, 160, false}},
                            {"eth0", "eth1"}, "n");
  ASSERT_EQ(names(specs), (strings{"eth0", "eth1"}));
  EXPECT_EQ(specs[0].sampling_one_in, 10u);
  EXPECT_EQ(specs[0].snaplen_bytes, 96u);
  EXPECT_TRUE(specs[0].promiscuous);
  EXPECT_EQ(specs[1].sampling_one_in, 1u);
  EXPECT_EQ(specs[1].node, "n");
}

class Node : public actor_fixture {
protected:
  node_options options() {
    node_options result;
    result.name = "node-1";
    result.systems["lab"] = {{"eth0", 1, 160, false}};
    result.open_source = host.factory();
    result.list_interfaces
      = [] { return capture::expected<strings>{strings{"eth0"}}; };
    result.wall_clock = [this] { return now(); };
    return result;
  }

  scripted_host host;
};

TEST_F(Node, NamesTheInterfacesOfASystem) {
  auto aut = spawn(node, options());
  const auto specs
    = ask<std::vector<sampler_spec>>(aut, atom::survey_v, std::string{"lab"});
  ASSERT_TRUE(specs);
  EXPECT_EQ(names(*specs), (strings{"eth0"}));
}

TEST_F(Node, RefusesASystemThatItDoesNotHave) {
  auto aut = spawn(node, options());
  const auto specs
    = ask<std::vector<sampler_spec>>(aut, atom::survey_v, std::string{"moon"});
  EXPECT_EQ(failure_of(specs).code, errc::unknown_system);
}

TEST_F(Node, SaysWhyItCannotListInterfaces) {
  auto opts = options();
  opts.list_interfaces = []() -> capture::expected<strings> {
    return capture::fail(capture::capture_errc::io, "list interfaces: EIO");
  };
  auto aut = spawn(node, opts);
  const auto specs
    = ask<std::vector<sampler_spec>>(aut, atom::survey_v, std::string{"lab"});
  EXPECT_EQ(failure_of(specs).text, "list interfaces: EIO");
}

TEST_F(Node, HostsSamplers) {
  auto aut = spawn(node, options());
  auto sink = spawn(probe);
  sampler_spec spec;
  spec.interface = "eth0";
  spec.credit_bytes = 1u << 20;
  auto sampler = ask<sampler_actor>(aut, atom::sample_v, spec,
                                    caf::actor_cast<batch_sink_actor>(sink));
  ASSERT_TRUE(sampler);
  track(*sampler);
  EXPECT_EQ(host.opened("eth0"), 1u);
}

TEST_F(Node, RefusesImpossibleOptions) {
  auto opts = options();
  opts.systems.clear();
  auto aut = spawn(node, opts);
  run();
  EXPECT_TRUE(dead(aut));
}

} // namespace edgecap::test

#include "actors/system.hpp"
#include "tests/support/scripted_source.hpp"
#include "tests/support/temp_directory.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>

// The tree on CAF's real scheduler, with storage on its own thread: what
// simulated time cannot show.
namespace edgecap::test {

using namespace std::chrono_literals;

class System : public ::testing::Test {
protected:
  System() : sys(prepared(cfg)) {}

  static caf::actor_system_config& prepared(caf::actor_system_config& cfg) {
    prepare(cfg, 2);
    return cfg;
  }

  engine_options options() {
    const auto clock = [] { return unix_ns{1'767'225'600'000'000'000}; };
    engine_options result;
    result.storage.directory = directory.path() / "captures";
    result.storage.min_free_bytes = 0;
    result.storage.wall_clock = clock;
    auto& node = result.node.emplace();
    node.name = "node-1";
    node.systems["lab"] = {{"eth0", 1, 160, false}};
    node.open_source = host.factory();
    node.list_interfaces = [] {
      return capture::expected<std::vector<std::string>>{
        std::vector<std::string>{"eth0"}};
    };
    node.wall_clock = clock;
    result.fleet.own.name = node.name;
    result.fleet.wall_clock = clock;
    result.registry.systems = {"lab"};
    result.registry.make_id = random_job_id;
    result.registry.job.wall_clock = clock;
    result.on_loss = [this](const std::string& name, const std::string&) {
      lost.set_value(name);
    };
    return result;
  }

  temp_directory directory;
  scripted_host host;
  std::promise<std::string> lost;
  caf::actor_system_config cfg;
  caf::actor_system sys;
};

TEST_F(System, StartsServesAndStops) {
  auto engine = engine::start(sys, options());
  ASSERT_TRUE(engine) << describe(engine.error()).text;
  auto& tree = **engine;
  {
    caf::scoped_actor self{sys};
    job_spec spec;
    spec.account_id = "023e105f4ecef8ad9ca31a8372d0c353";
    spec.system = "lab";
    spec.packet_limit = 10;
    spec.time_limit_s = 60;
    auto id = std::string{};
    self->request(tree.registry(), 10s, atom::create_v, spec, std::string{})
      .receive([&](const creation& made) { id = made.record.id; },
               [](caf::error& err) { ADD_FAILURE() << describe(err).text; });
    EXPECT_EQ(id.size(), 32u);
  }
  EXPECT_TRUE(tree.seal_jobs(10s));
  EXPECT_EQ(tree.stop(), 0u);
  EXPECT_EQ(sys.registry().running(), 0u);
}

TEST_F(System, KeepsToLimitsThatChange) {
  auto engine = engine::start(sys, options());
  ASSERT_TRUE(engine);
  auto& tree = **engine;
  const auto granted = [&] {
    caf::scoped_actor self{sys};
    admission answer;
    self
      ->request(tree.limiter(), 10s, atom::acquire_v, std::string{"a"},
                allowance::collect)
      .receive([&](const admission& x) { answer = x; },
               [](caf::error& err) { ADD_FAILURE() << describe(err).text; });
    return answer.granted;
  };
  EXPECT_TRUE(granted());
  engine_limits limits;
  limits.storage.min_free_bytes = 0;
  limits.limiter.collect = {2, 60};
  limits.registry.running_jobs = 0;
  EXPECT_EQ(describe(tree.set_limits(limits, 10s)).text,
            "registry: no running jobs allowed");
  EXPECT_FALSE(granted()) << "none has other limits if one would refuse them";
  limits.registry.running_jobs = 1;
  EXPECT_FALSE(tree.set_limits(limits, 10s));
  EXPECT_TRUE(granted());
  EXPECT_FALSE(granted());
}

TEST_F(System, SaysWhyStorageDoesNotStart) {
  auto bad = options();
  write_file(directory.path() / "captures", "a file, no directory");
  const auto engine = engine::start(sys, bad);
  ASSERT_FALSE(engine);
  const auto why = describe(engine.error());
  EXPECT_EQ(why.code, errc::storage_unavailable);
  EXPECT_NE(why.text.find("captures"), std::string::npos) << why.text;
}

TEST_F(System, RefusesASecondEngineOnTheSameDirectory) {
  auto first = engine::start(sys, options());
  ASSERT_TRUE(first);
  const auto second = engine::start(sys, options());
  ASSERT_FALSE(second);
  EXPECT_EQ(describe(second.error()).code, errc::storage_unavailable);
}

TEST_F(System, SaysWhichActorOfItsTreeDied) {
  auto engine = engine::start(sys, options());
  ASSERT_TRUE(engine);
  caf::anon_send_exit((*engine)->storage(), caf::exit_reason::kill);
  auto told = lost.get_future();
  ASSERT_EQ(told.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(told.get(), "storage");
  EXPECT_EQ((*engine)->stop(), 0u);
}

// The check runs in a thread of its own, so that its word may come at any time.
TEST_F(System, StartsWithALargeIndexAndNoticesThatItIsDamaged) {
  auto opts = options();
  opts.storage.check_at_open_bytes = 0;
  ASSERT_TRUE(engine::start(sys, opts)) << "it makes the index";
  ASSERT_TRUE(engine::start(sys, opts)) << "which is whole";
  const auto file = opts.storage.directory / "index.sqlite";
  auto bytes = read_file(file);
  bytes.replace(bytes.size() - 4096, 4096, 4096, '\x55');
  write_file(file, bytes);
  auto engine = engine::start(sys, opts);
  if (!engine) { // It may be noticed before the first answer.
    EXPECT_EQ(describe(engine.error()).code, errc::index_damaged);
    return;
  }
  caf::scoped_actor self{sys};
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  auto code = errc::unknown_job;
  while (code != errc::index_damaged
         && std::chrono::steady_clock::now() < deadline)
    self->request((*engine)->storage(), 10s, atom::stats_v)
      .receive([](const storage_stats&) {},
               [&](caf::error& err) { code = describe(err).code; });
  EXPECT_EQ(code, errc::index_damaged);
}

TEST(RandomJobId, IsHexAndNeverTheSame) {
  const auto first = random_job_id();
  EXPECT_EQ(first.size(), 32u);
  EXPECT_EQ(first.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(first, random_job_id());
}

} // namespace edgecap::test

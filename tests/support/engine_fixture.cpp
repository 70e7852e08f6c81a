#include "tests/support/engine_fixture.hpp"

#include <cstdio>

namespace edgecap::test {

using namespace std::chrono_literals;

engine_fixture::engine_fixture() {
  node_opts.name = "node-1";
  node_opts.systems["lab"] = {{"eth0", 1, 160, false}, {"eth1", 1, 160, false}};
  node_opts.open_source = host.factory();
  node_opts.list_interfaces = [] {
    return capture::expected<std::vector<std::string>>{
      std::vector<std::string>{"lo", "eth0", "eth1"}};
  };
  node_opts.wall_clock = [this] { return now(); };
  fleet_opts.own.name = node_opts.name;
  fleet_opts.wall_clock = node_opts.wall_clock;
  registry_opts.systems = {"lab"};
  registry_opts.job.wall_clock = [this] { return now(); };
  registry_opts.make_id = [this] {
    char id[33];
    std::snprintf(id, sizeof id, "%032x", ++next_id_);
    return std::string{id};
  };
  // Most tests are about other things than admission.
  limiter_opts.collect = {1000, 60};
}

void engine_fixture::TearDown() {
  disk->held.clear(); // a kept promise keeps its actor
  disk->held_inserts.clear();
  disk->held_seals.clear();
  disk->held_fails.clear();
  registry = nullptr;
  limiter = nullptr;
  storage = nullptr;
  local = nullptr;
  fleet = nullptr;
  actor_fixture::TearDown();
}

storage_actor engine_fixture::spawn_storage() {
  return spawn(fake_storage, disk);
}

void engine_fixture::start_engine() {
  limiter = spawn(rate_limiter, limiter_opts);
  storage = spawn_storage();
  local = spawn(node, node_opts);
  fleet = spawn(edgecap::fleet, fleet_opts, local);
  registry = spawn(job_registry, registry_opts,
                   job_registry_peers{limiter, storage, fleet});
  run(); // what they tell each other at the start
  EXPECT_TRUE(ask<caf::ok_atom>(registry, atom::resume_v));
}

job_spec engine_fixture::spec(std::uint32_t packet_limit,
                              std::uint32_t time_limit_s) const {
  job_spec result;
  result.account_id = account;
  result.system = "lab";
  result.packet_limit = packet_limit;
  result.time_limit_s = time_limit_s;
  return result;
}

caf::expected<job_record> engine_fixture::try_create(const job_spec& wanted) {
  auto made = create_with_key("", wanted);
  if (!made)
    return made.error();
  return std::move(made->record);
}

caf::expected<creation>
engine_fixture::create_with_key(const std::string& key,
                                const job_spec& wanted) {
  if (!registry)
    start_engine();
  return ask<creation>(registry, atom::create_v, wanted, key);
}

job_record engine_fixture::create(const job_spec& wanted) {
  auto answer = try_create(wanted);
  EXPECT_TRUE(answer) << failure_of(answer).text;
  return answer ? *answer : job_record{};
}

job_record engine_fixture::get(const std::string& id) {
  auto answer
    = ask<job_record>(registry, atom::get_v, std::string{account}, id);
  EXPECT_TRUE(answer) << failure_of(answer).text;
  return answer ? *answer : job_record{};
}

caf::expected<job_record> engine_fixture::stop(const std::string& id) {
  return ask<job_record>(registry, atom::stop_v, std::string{account}, id);
}

void engine_fixture::release_appends() {
  disk->hold_appends = false;
  self->send(storage, atom::work_v);
  run();
}

void engine_fixture::settle() {
  advance(registry_opts.job.progress_interval);
}

} // namespace edgecap::test

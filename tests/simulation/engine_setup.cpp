#include "tests/simulation/engine_setup.hpp"

#include <cstdio>
#include <string>
#include <utility>

namespace edgecap::simulation {

engine_options make_engine_options(const setup& how, timeline& time,
                                   network& host, std::uint64_t& ids) {
  engine_options to;
  to.limiter.collect = {how.collects, 60};
  to.storage.pcapng = how.pcapng;
  to.storage.precision = how.microseconds
                           ? capture::time_precision::microseconds
                           : capture::time_precision::nanoseconds;
  to.storage.min_free_bytes = how.min_free_bytes;
  to.storage.reserve_bytes = how.reserve_bytes;
  to.storage.max_age = how.max_age;
  to.storage.max_jobs = how.max_jobs;
  to.storage.max_bytes = how.max_bytes;
  to.storage.sweep_interval = how.sweep_interval;
  to.storage.each_account = how.each_account;
  to.storage.total = how.total;
  to.storage.seal_slice_bytes = how.seal_slice_bytes;
  to.storage.inspection_slice = how.inspection_slice;
  to.storage.max_open_runs = how.max_open_runs;
  to.storage.wall_clock = [&time] { return time.date(); };
  node_options node;
  node.name = "node-1";
  node.systems[system_name] = {{"eth*", 1, 128, false}};
  node.source.batch_bytes = how.batch_bytes;
  node.open_source = host.factory();
  node.list_interfaces = [&host] { return host.interfaces(); };
  node.wall_clock = to.storage.wall_clock;
  to.fleet.own.name = node.name;
  to.fleet.wall_clock = to.storage.wall_clock;
  to.node = std::move(node);
  to.registry.systems = {system_name};
  to.registry.running_jobs = how.running_jobs;
  to.registry.job.credit_bytes = how.credit_bytes;
  to.registry.job.progress_interval = how.progress_interval;
  to.registry.job.drain_timeout
    = std::chrono::milliseconds{grace_period} * 4 / 5;
  to.registry.job.wall_clock = to.storage.wall_clock;
  to.registry.make_id = [&ids] {
    char id[33];
    std::snprintf(id, sizeof id, "%032llx",
                  static_cast<unsigned long long>(++ids));
    return std::string{id};
  };
  return to;
}

} // namespace edgecap::simulation

#pragma once

#include "actors/fleet.hpp"
#include "actors/job_registry.hpp"
#include "actors/node.hpp"
#include "actors/rate_limiter.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/fake_storage.hpp"
#include "tests/support/scripted_source.hpp"

#include <memory>
#include <string>

namespace edgecap::test {

/// The whole engine on simulated time: the real registry, jobs, samplers, node
/// and rate limiter, over scripted interfaces and a storage in memory.
class engine_fixture : public actor_fixture {
public:
  static constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";
  static constexpr const char* other_account
    = "ffffffffffffffffffffffffffffffff";

  engine_fixture();

  void TearDown() override;

  /// Spawns the engine. Called by the tests that change options first, by the
  /// first use otherwise.
  void start_engine();

  /// A request for a capture on system "lab".
  job_spec spec(std::uint32_t packet_limit = 100,
                std::uint32_t time_limit_s = 60) const;

  /// Creates a job and runs until its samplers are open; fails the test if
  /// the engine refuses.
  job_record create(const job_spec& wanted);

  /// The engine's answer to a create.
  caf::expected<job_record> try_create(const job_spec& wanted);

  /// The engine's answer to a create with an idempotency key.
  caf::expected<creation> create_with_key(const std::string& key,
                                          const job_spec& wanted);

  /// The job as a client sees it now.
  job_record get(const std::string& id);

  /// Asks for a stop; runs.
  caf::expected<job_record> stop(const std::string& id);

  /// Answers the appends that the fake storage kept back; runs.
  void release_appends();

  /// Lets the job report its progress.
  void settle();

  scripted_host host;
  std::shared_ptr<storage_script> disk = std::make_shared<storage_script>();
  /// Two interfaces, eth0 and eth1, in system "lab". Change it before
  /// `start_engine`.
  node_options node_opts;
  fleet_options fleet_opts;
  job_registry_options registry_opts;
  rate_limiter_options limiter_opts;

  job_registry_actor registry;
  rate_limiter_actor limiter;
  storage_actor storage;
  node_actor local;
  fleet_actor fleet;

protected:
  /// The engine's storage; the one in memory unless a test has its own.
  virtual storage_actor spawn_storage();

private:
  int next_id_ = 0;
};

} // namespace edgecap::test

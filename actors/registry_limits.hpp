#pragma once

#include <caf/meta/type_name.hpp>

#include <cstdint>

namespace edgecap {

/// What the JOB REGISTRY admits. Unlike the rest of its options these may
/// change while it runs.
struct registry_limits {
  std::uint32_t running_jobs = 256; ///< Most at once, in all accounts; >= 1.
  /// Those who may follow one job at a time, of jobs that start from now on;
  /// >= 1.
  std::uint32_t max_followers = 8;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, registry_limits& x) {
  return f(caf::meta::type_name("registry_limits"), x.running_jobs,
           x.max_followers);
}

} // namespace edgecap

#pragma once

#include <caf/meta/type_name.hpp>

#include <cstdint>

namespace edgecap {

/// So many operations in any window of so many seconds.
struct allowance_options {
  std::uint32_t limit = 1;     ///< >= 1.
  std::uint32_t window_s = 60; ///< >= 1.
};

/// What the RATE LIMITER grants; may change while it runs.
struct rate_limiter_options {
  allowance_options collect{1, 60};
  allowance_options general{1200, 300};
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, allowance_options& x) {
  return f(caf::meta::type_name("allowance_options"), x.limit, x.window_s);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, rate_limiter_options& x) {
  return f(caf::meta::type_name("rate_limiter_options"), x.collect, x.general);
}

} // namespace edgecap

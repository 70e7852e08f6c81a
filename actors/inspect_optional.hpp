#pragma once

#include <caf/error.hpp>
#include <caf/meta/load_callback.hpp>

#include <optional>

// CAF 0.17 inspects its own `optional` only; found by argument-dependent
// look-up through the inspector, hence in its namespace.
namespace caf {

template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, std::optional<T>& x) {
  auto has_value = x.has_value();
  auto value = x.value_or(T{});
  auto load = [&]() -> error {
    if (has_value)
      x = value;
    else
      x.reset();
    return none;
  };
  return f(has_value, value, meta::load_callback(load));
}

} // namespace caf

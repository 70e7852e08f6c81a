#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace edgecap::simulation {

/// Numbers from a seed (SplitMix64): the same in every build and process, which
/// the standard's distributions do not promise. Streams of one seed are
/// independent, so that drawing more from one changes nothing in another.
class random_stream {
public:
  random_stream(std::uint64_t seed, std::uint64_t stream)
    : state_(seed * 0x9e3779b97f4a7c15u ^ (stream + 1) * 0xd1342543de82ef95u) {
    next();
  }

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    auto x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  /// 0 to `n` - 1. @pre n > 0
  std::uint64_t below(std::uint64_t n) {
    return next() % n;
  }

  /// `low` to `high`, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }

  /// True once in `n` times.
  bool one_in(std::uint64_t n) {
    return below(n) == 0;
  }

  /// One of the elements of an array.
  template <class T, std::size_t N>
  const T& pick(const T (&from)[N]) {
    return from[below(N)];
  }

  /// One of a few numbers.
  std::uint32_t one_of(std::initializer_list<std::uint32_t> from) {
    return from.begin()[below(from.size())];
  }

private:
  std::uint64_t state_;
};

/// What is drawn from which stream.
enum stream : std::uint64_t {
  setup_stream,
  plan_stream,
  schedule_stream,
  traffic_stream,
  fault_stream,
  disk_stream,
  chaos_stream,
  storage_stream,
  edge_stream,
};

} // namespace edgecap::simulation

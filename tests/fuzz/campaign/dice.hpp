#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace edgecap::fuzz {

/// Random choices that are the same again for the same seed, on every machine:
/// the standard's distributions are not.
class dice {
public:
  /// The choices of one case of a campaign.
  dice(std::uint64_t seed, std::uint64_t case_number)
    : engine_(mixed(seed, case_number)) {}

  /// A number less than `n`. @pre n > 0
  std::size_t below(std::size_t n) {
    return static_cast<std::size_t>(engine_() % n);
  }

  /// True once in `n` times.
  bool one_in(std::size_t n) {
    return below(n) == 0;
  }

  /// Any byte.
  char byte() {
    return static_cast<char>(below(256));
  }

  template <std::size_t N>
  std::string pick(const std::array<std::string_view, N>& from) {
    return std::string{from.at(below(N))};
  }

  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from.at(below(from.size()));
  }

private:
  /// Neighbouring cases begin with states that have nothing in common.
  static std::uint64_t mixed(std::uint64_t seed, std::uint64_t case_number) {
    std::uint64_t x = seed * 0x9E3779B97F4A7C15u + case_number;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }

  std::mt19937_64 engine_;
};

} // namespace edgecap::fuzz

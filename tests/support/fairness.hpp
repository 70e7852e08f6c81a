#pragma once

#include <cstdint>
#include <vector>

namespace edgecap::test {

/// A fair sampler fails a test that asks for more than this in less than one of
/// ten million runs, though p-values here are approximations, and those of
/// `uniform_p` a little low where the values come from counts. What is printed
/// is the p-value itself.
inline constexpr double false_alarm = 1e-9;

/// The probability that a normal variable strays further from 0, either way.
double normal_p(double deviations);

/// The probability that a chi-square variable is larger (Wilson and Hilferty).
double chi_square_p(double square, double degrees);

/// The probability that values of a uniform variable stray further from it
/// (Kolmogorov and Smirnov).
double uniform_p(std::vector<double> values);

/// Collects independent samples of packets that were offered in order. How the
/// packets of a fair sample spread over time and flows has a p-value; those of
/// many are uniform, and this is what tells a fair sampler from a lucky one.
class fairness {
public:
  static constexpr std::uint64_t flows = 20;
  static constexpr std::uint64_t times = 20;

  /// Adds one: `taken` are the numbers that were taken of 0 to `offered` - 1,
  /// of which those of each flow are `flows` apart.
  void add(const std::vector<std::uint64_t>& taken, std::uint64_t offered);

  /// Fails the test if this cannot be chance, and prints what it is.
  void expect_fair() const;

private:
  std::vector<double> by_time_;
  std::vector<double> by_flow_;
};

} // namespace edgecap::test

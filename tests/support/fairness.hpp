#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace edgecap::test {

/// By what they judge.
using p_values = std::map<std::string, double>;

/// Makes samples and adds what they are worth.
using sampling_trial = std::function<void(p_values&)>;

/// Fails the test if a p-value is not above 0.001, and not in a second trial
/// either, which has to be independent of the first: of a fair sampler one in a
/// million fails by chance. Prints all of them.
void expect_fair(const sampling_trial& trial);

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

  /// The p-values of all samples together.
  p_values judge() const;

private:
  std::vector<double> by_time_;
  std::vector<double> by_flow_;
};

} // namespace edgecap::test

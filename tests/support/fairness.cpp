#include "tests/support/fairness.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <string>

namespace edgecap::test {

namespace {

/// The p-value of how many of `taken` are in each group, given that packet i
/// belongs to `group_of(i)`. What is taken in all is given: the counts are
/// those of draws without putting back.
template <class GroupOf>
double spread_p(const std::vector<std::uint64_t>& taken, std::uint64_t offered,
                std::uint64_t groups, GroupOf group_of) {
  std::vector<double> sizes(groups), counts(groups);
  for (std::uint64_t i = 0; i < offered; ++i)
    ++sizes[group_of(i)];
  for (const auto i : taken)
    ++counts[group_of(i)];
  const auto all = static_cast<double>(offered);
  const auto some = static_cast<double>(taken.size());
  double square = 0;
  for (std::uint64_t i = 0; i < groups; ++i) {
    const auto expected = some * sizes[i] / all;
    square += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return chi_square_p(square * (all - 1) / (all - some),
                      static_cast<double>(groups - 1));
}

constexpr double least_p = 0.001;

p_values run(const sampling_trial& trial) {
  p_values result;
  trial(result);
  for (const auto& [name, p] : result)
    std::cout << "p " << name << ": " << p << '\n';
  return result;
}

bool all_fair(const p_values& found) {
  return std::all_of(found.begin(), found.end(),
                     [](const auto& x) { return x.second > least_p; });
}

} // namespace

void expect_fair(const sampling_trial& trial) {
  const auto first = run(trial);
  if (testing::Test::HasFatalFailure() || all_fair(first))
    return;
  const auto second = run(trial);
  for (const auto& [name, p] : first)
    EXPECT_TRUE(p > least_p || second.at(name) > least_p)
      << "p " << name << " is " << p << " and " << second.at(name);
}

double normal_p(double deviations) {
  return std::erfc(std::abs(deviations) / std::sqrt(2));
}

double chi_square_p(double square, double degrees) {
  const auto scale = 2 / (9 * degrees);
  const auto deviations
    = (std::cbrt(square / degrees) - (1 - scale)) / std::sqrt(scale);
  return std::erfc(deviations / std::sqrt(2)) / 2;
}

double uniform_p(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double farthest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto x = static_cast<double>(i);
    farthest = std::max({farthest, values[i] - x / n, (x + 1) / n - values[i]});
  }
  const auto scaled = farthest * (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n));
  double p = 0;
  // The series alternates, and converges late where p is 1 anyway.
  for (int k = 1; k <= 100; ++k)
    p += (k % 2 == 1 ? 2 : -2) * std::exp(-2 * k * k * scaled * scaled);
  return scaled < 0.2 ? 1 : p;
}

void fairness::add(const std::vector<std::uint64_t>& taken,
                   std::uint64_t offered) {
  by_time_.push_back(spread_p(taken, offered, times, [&](std::uint64_t i) {
    return i * times / offered;
  }));
  by_flow_.push_back(
    spread_p(taken, offered, flows, [](std::uint64_t i) { return i % flows; }));
}

p_values fairness::judge() const {
  return {{"by time", uniform_p(by_time_)}, {"by flow", uniform_p(by_flow_)}};
}

} // namespace edgecap::test

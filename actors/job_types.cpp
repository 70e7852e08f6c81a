#include "actors/job_types.hpp"

#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace edgecap {

namespace {

template <class Enum, std::size_t N>
using names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr names<job_phase, 6> phase_names{{
  {job_phase::pending, "pending"},
  {job_phase::capturing, "capturing"},
  {job_phase::draining, "draining"},
  {job_phase::sealing, "sealing"},
  {job_phase::succeeded, "succeeded"},
  {job_phase::failed, "failed"},
}};

constexpr names<end_reason, 11> reason_names{{
  {end_reason::none, "none"},
  {end_reason::packet_limit, "packet_limit"},
  {end_reason::time_limit, "time_limit"},
  {end_reason::byte_limit, "byte_limit"},
  {end_reason::stopped, "stopped"},
  {end_reason::interface_lost, "interface_lost"},
  {end_reason::node_lost, "node_lost"},
  {end_reason::storage_error, "storage_error"},
  {end_reason::storage_full, "storage_full"},
  {end_reason::quota, "quota"},
  {end_reason::shutdown, "shutdown"},
}};

constexpr names<sampler_phase, 4> sampler_names{{
  {sampler_phase::opening, "opening"},
  {sampler_phase::capturing, "capturing"},
  {sampler_phase::ended, "ended"},
  {sampler_phase::failed, "failed"},
}};

template <class Enum, std::size_t N>
std::string name_of(const names<Enum, N>& table, Enum value) {
  for (const auto& [key, name] : table)
    if (key == value)
      return std::string{name};
  return "invalid";
}

template <class Enum, std::size_t N>
std::optional<Enum> value_of(const names<Enum, N>& table,
                             std::string_view wanted) {
  for (const auto& [key, name] : table)
    if (name == wanted)
      return key;
  return std::nullopt;
}

} // namespace

std::string to_string(job_phase x) {
  return name_of(phase_names, x);
}

std::string to_string(end_reason x) {
  return name_of(reason_names, x);
}

std::string to_string(sampler_phase x) {
  return name_of(sampler_names, x);
}

std::optional<job_phase> parse_job_phase(const std::string& name) {
  return value_of(phase_names, name);
}

std::optional<end_reason> parse_end_reason(const std::string& name) {
  return value_of(reason_names, name);
}

std::optional<sampler_phase> parse_sampler_phase(const std::string& name) {
  return value_of(sampler_names, name);
}

interface_report unknown_interface(std::size_t run) {
  interface_report result;
  result.interface = "unknown-" + std::to_string(run);
  result.phase = sampler_phase::failed;
  result.error = "its name was not stored before the capture ended";
  return result;
}

bool same_counters(const interface_report& x, const interface_report& y) {
  const auto all = [](const interface_report& z) {
    return std::tie(z.packets_matched, z.packets_sampled_out,
                    z.dropped_by_kernel, z.dropped_by_interface,
                    z.dropped_by_us);
  };
  return all(x) == all(y);
}

} // namespace edgecap

#pragma once

#include "actors/system.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/plan.hpp"
#include "tests/simulation/timeline.hpp"

#include <chrono>
#include <cstdint>

namespace edgecap::simulation {

/// The system that all jobs name.
inline constexpr const char* system_name = "lab";

/// What the process gives its jobs to end in order.
inline constexpr std::chrono::seconds grace_period{10};

/// The options of one process, but for its files and what it says of lost
/// actors. They refer to all arguments.
/// @param ids How many jobs were named so far; their names are numbers.
engine_options make_engine_options(const setup& how, timeline& time,
                                   network& host, std::uint64_t& ids);

} // namespace edgecap::simulation

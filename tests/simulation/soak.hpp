#pragma once

#include <cstdint>

namespace edgecap::simulation {

/// Runs one process for many simulated days of steady jobs and prints a line
/// for each. Returns whether it stayed as small as it was after the second day,
/// by the limits in soak.cpp, and every job succeeded.
bool soak(std::uint32_t days);

} // namespace edgecap::simulation

#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace edgecap::capture {

/// Packets that the interface or its driver had to drop on reception since it
/// exists: `rx_missed_errors` and `rx_fifo_errors` of sysfs, the two that
/// libpcap reports as `ps_ifdrop`. `rx_dropped` is left out: the kernel puts
/// packets there that nobody was interested in, which a capture may have seen,
/// beside what some virtual interfaces really lose. `nullopt` if sysfs does not
/// tell, or shows another network namespace than that of interface `index`.
std::optional<std::uint64_t> read_interface_drops(const std::string& interface,
                                                  unsigned index);

} // namespace edgecap::capture

#include "capture/interface_counters.hpp"

#include <fstream>

namespace edgecap::capture {

namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream in{path};
  std::uint64_t result = 0;
  if (in >> result)
    return result;
  return std::nullopt;
}

} // namespace

std::optional<std::uint64_t> read_interface_drops(const std::string& interface,
                                                  unsigned index) {
  const auto root = "/sys/class/net/" + interface;
  // A mounted sysfs belongs to the namespace of whoever mounted it.
  if (read_number(root + "/ifindex") != index)
    return std::nullopt;
  const auto missed = read_number(root + "/statistics/rx_missed_errors");
  const auto fifo = read_number(root + "/statistics/rx_fifo_errors");
  if (!missed || !fifo)
    return std::nullopt;
  return *missed + *fifo;
}

} // namespace edgecap::capture

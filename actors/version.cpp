#include "actors/version.hpp"

namespace edgecap {

const char* const program_version = EDGECAP_VERSION;
const std::uint32_t node_protocol = 2;
const std::uint32_t oldest_node_protocol = 1;

} // namespace edgecap

#include "actors/version.hpp"

// A version of the far future, which understands no protocol of today.
namespace edgecap {

const char* const program_version = "9.0.0";
const std::uint32_t node_protocol = 9;
const std::uint32_t oldest_node_protocol = 9;

} // namespace edgecap

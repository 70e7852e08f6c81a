#include "actors/version.hpp"

// The version after this one: it speaks a newer protocol, and understands all.
namespace edgecap {

const char* const program_version = "0.2.0";
const std::uint32_t node_protocol = 3;
const std::uint32_t oldest_node_protocol = 1;

} // namespace edgecap

// CAF 0.17 makes the identity of a process from the host's MAC addresses, its
// root file system and the process number: equal in two containers with one
// image, and then one of them gets what is for the other. libcaf_core looks
// this function up at run time, so that one in the executable is taken instead:
// random, as CAF 0.18 has it. Linked into edgecapd itself, for a static library
// would leave it out.
#include <caf/node_id.hpp>
#include <openssl/rand.h>

#include <cstdint>
#include <stdexcept>

namespace caf {

node_id node_id::default_data::local(const actor_system_config&) {
  host_id_type host{};
  std::uint32_t process = 0;
  if (RAND_bytes(host.data(), static_cast<int>(host.size())) != 1
      || RAND_bytes(reinterpret_cast<unsigned char*>(&process), sizeof process)
           != 1)
    throw std::runtime_error("the system's random generator failed");
  return make_node_id(process | 1, host); // 0 is no process
}

} // namespace caf

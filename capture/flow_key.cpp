#include "capture/flow_key.hpp"

#include <arpa/inet.h>

#include <cstring>
#include <random>

namespace edgecap::capture {

static_assert(static_cast<int>(ip_family::any) == family_any
              && static_cast<int>(ip_family::ipv4) == family_ipv4
              && static_cast<int>(ip_family::ipv6) == family_ipv6);

flow_key key_of(const flow_match& match) {
  flow_key result{};
  unsigned fields = 0;
  if (match.source) {
    fields |= field_source;
    std::memcpy(result.source, match.source->data(), sizeof result.source);
  }
  if (match.destination) {
    fields |= field_destination;
    std::memcpy(result.destination, match.destination->data(),
                sizeof result.destination);
  }
  if (match.source_port) {
    fields |= field_source_port;
    result.ports[0] = htons(*match.source_port);
  }
  if (match.destination_port) {
    fields |= field_destination_port;
    result.ports[1] = htons(*match.destination_port);
  }
  if (match.protocol) {
    fields |= field_protocol;
    result.protocol = *match.protocol;
  }
  result.fields = static_cast<__u8>(fields);
  // A filter without fields asks for no family either.
  if (fields != 0)
    result.family = static_cast<__u8>(match.family);
  return result;
}

flow_key mask_of(unsigned fields) {
  flow_key result{};
  if ((fields & field_source) != 0)
    std::memset(result.source, 0xff, sizeof result.source);
  if ((fields & field_destination) != 0)
    std::memset(result.destination, 0xff, sizeof result.destination);
  if ((fields & field_source_port) != 0)
    result.ports[0] = 0xffff;
  if ((fields & field_destination_port) != 0)
    result.ports[1] = 0xffff;
  if ((fields & field_protocol) != 0)
    result.protocol = 0xff;
  return result;
}

flow_hash make_flow_hash() {
  std::random_device source;
  flow_hash result;
  for (auto& x : result.factors)
    x = std::uint64_t{source()} << 32 | source() | 1;
  return result;
}

} // namespace edgecap::capture

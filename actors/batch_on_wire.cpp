#include "actors/batch_on_wire.hpp"

#include <caf/deserializer.hpp>
#include <caf/error.hpp>
#include <caf/sec.hpp>
#include <caf/serializer.hpp>

#include <memory>
#include <utility>

namespace edgecap::capture {

caf::error inspect(caf::serializer& sink, packet_batch& x) {
  if (x.size_bytes() > max_wire_batch_bytes)
    return caf::sec::invalid_argument;
  auto link = static_cast<std::uint32_t>(x.link());
  auto size = static_cast<std::uint32_t>(x.size_bytes());
  if (auto err = sink(link, size))
    return err;
  if (size == 0)
    return caf::none;
  // CAF has one function for both directions, hence no const.
  return sink.apply_raw(size, const_cast<std::byte*>(x.data()));
}

caf::error inspect(caf::deserializer& source, packet_batch& x) {
  x = {};
  std::uint32_t link = 0;
  std::uint32_t size = 0;
  if (auto err = source(link, size))
    return err;
  if (size == 0 || size > max_wire_batch_bytes)
    return caf::none;
  // Not make_shared, which would fill it with zeros.
  std::shared_ptr<std::byte[]> bytes{new std::byte[size]};
  if (source.apply_raw(size, bytes.get()))
    return caf::none;
  x = packet_batch::of_records(static_cast<link_type>(link), std::move(bytes),
                               size);
  return caf::none;
}

std::string to_string(const packet_batch& x) {
  return "batch of " + std::to_string(x.packets()) + " packets, "
         + std::to_string(x.size_bytes()) + " bytes";
}

} // namespace edgecap::capture

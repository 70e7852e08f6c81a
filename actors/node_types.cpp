#include "actors/node_types.hpp"

#include <algorithm>
#include <cstring>

namespace edgecap {

namespace {

bool is_name(const std::string& x) {
  return !x.empty() && x.size() <= max_node_name_bytes
         && std::all_of(x.begin(), x.end(), [](char c) {
              return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                     || (c >= '0' && c <= '9') || c == '.' || c == '_'
                     || c == '-';
            });
}

/// Printable ASCII: it is shown to people, and logged.
bool is_text(const std::string& x, std::size_t max_bytes) {
  return x.size() <= max_bytes && std::all_of(x.begin(), x.end(), [](char c) {
           return c >= ' ' && c <= '~';
         });
}

} // namespace

std::string host_byte_order() {
  const std::uint32_t one = 1;
  char first = 0;
  std::memcpy(&first, &one, 1);
  return first == 1 ? "little" : "big";
}

std::string fault_of(const node_hello& x) {
  if (x.protocol < oldest_node_protocol || x.protocol > node_protocol)
    return fault_of_protocol + std::to_string(x.protocol)
           + ", the collector understands "
           + std::to_string(oldest_node_protocol) + " to "
           + std::to_string(node_protocol);
  if (x.byte_order != host_byte_order())
    return "its byte order is not the collector's";
  if (!is_name(x.name))
    return "its name is not 1 to " + std::to_string(max_node_name_bytes)
           + " letters, digits, '.', '_' or '-'";
  if (!x.colo.empty() && !is_name(x.colo))
    return "its colo is not up to " + std::to_string(max_node_name_bytes)
           + " letters, digits, '.', '_' or '-'";
  if (x.labels.size() > max_node_labels)
    return "it has more than " + std::to_string(max_node_labels) + " labels";
  for (const auto& label : x.labels)
    if (!is_text(label, max_node_label_bytes))
      return "a label of its is not up to "
             + std::to_string(max_node_label_bytes)
             + " printable ASCII characters";
  if (!is_text(x.version, max_node_label_bytes))
    return "its version is no text";
  return {};
}

} // namespace edgecap

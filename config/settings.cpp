#include "config/settings.hpp"

namespace edgecap::config {

std::string to_string(const fault& x, const std::string& file) {
  auto result = file;
  if (x.line > 0)
    result += ':' + std::to_string(x.line);
  if (!x.path.empty())
    result += ": " + x.path;
  return result + ": " + x.message;
}

} // namespace edgecap::config

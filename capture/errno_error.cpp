#include "capture/errno_error.hpp"

#include <cerrno>
#include <system_error>

namespace edgecap::capture {

namespace {

capture_errc classify(int error) {
  switch (error) {
  case ENODEV:
  case ENXIO:
    return capture_errc::no_such_interface;
  case ENETDOWN:
    return capture_errc::interface_down;
  case EPERM:
  case EACCES:
    return capture_errc::not_permitted;
  default:
    return capture_errc::io;
  }
}

} // namespace

capture_error errno_error(const std::string& attempt, int error) {
  return {classify(error),
          attempt + ": " + std::generic_category().message(error)};
}

tl::unexpected<capture_error> fail_errno(const std::string& attempt,
                                         int error) {
  return tl::unexpected<capture_error>{errno_error(attempt, error)};
}

} // namespace edgecap::capture

#pragma once

#include "capture/capture_error.hpp"

#include <string>

namespace edgecap::capture {

/// The error of a system call on an interface, with what was attempted.
capture_error errno_error(const std::string& attempt, int error);

/// The same as a result.
tl::unexpected<capture_error> fail_errno(const std::string& attempt, int error);

} // namespace edgecap::capture

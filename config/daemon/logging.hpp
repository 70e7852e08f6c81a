#pragma once

#include "config/settings.hpp"

#include <string>

// Where the log's lines go, and which of them. Usable on any thread.
namespace edgecap::daemon {

/// Has lines go to standard error. Once.
void set_up_logging(const config::log_settings& from);

/// @param level One that `log.level` allows.
void set_log_level(const std::string& level);

} // namespace edgecap::daemon

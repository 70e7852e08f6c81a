#pragma once

#include "actors/edge.hpp"
#include "actors/system.hpp"
#include "capture/live_source.hpp"
#include "config/settings.hpp"
#include "http/server.hpp"

// What the parts are told of the configuration, which none of them reads.
namespace edgecap::daemon {

/// @param open_source opens interfaces.
engine_options to_engine_options(const config::settings& from,
                                 capture::source_factory open_source);

/// The same for an edge.
edge_options to_edge_options(const config::settings& from,
                             capture::source_factory open_source);

capture::live_capture::options
to_capture_options(const config::capture_settings& from);

/// What of it may change while the tree runs.
engine_limits to_engine_limits(const config::settings& from);

http::api_options to_api_options(const config::settings& from);

/// What of it may change while the API serves.
http::api_rules to_api_rules(const config::settings& from);

http::front_options to_front_options(const config::settings& from);

} // namespace edgecap::daemon

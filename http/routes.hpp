#pragma once

#include "http/front.hpp"

#include <memory>
#include <vector>

namespace edgecap::http {

class api;

/// The route table. HEAD is answered wherever GET is routed.
std::vector<route> make_routes(const std::shared_ptr<api>& target);

} // namespace edgecap::http

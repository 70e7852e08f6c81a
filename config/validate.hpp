#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace edgecap::config {

/// Checks what concerns the meaning of single texts and the rules between
/// settings. Says nothing about paths that are in `known` already, nor about
/// what is empty: the loader reports that.
std::vector<fault> validate(const settings& x, const std::vector<fault>& known);

/// One fault for each configured interface name or glob that fits none of
/// `names`, the interfaces that the host has now.
std::vector<fault> missing_interfaces(const settings& x,
                                      const std::vector<std::string>& names);

} // namespace edgecap::config

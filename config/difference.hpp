#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <vector>

// Which settings may change while edgecapd runs, and which have changed. The
// rule: what is looked up each time that it is needed may change (who may ask,
// how much, how long it is kept, what is logged); what something was made with
// (sockets, threads, rings, files, the names of systems and of this machine)
// needs a restart.
namespace edgecap::config {

/// One key, or one item of a list, of which two configurations say different
/// things.
struct difference {
  std::string path; ///< See `key_value`.
  /// As it could be written, or "none"; "hidden" for the hash of a secret;
  /// "absent" and "present" for an item.
  std::string before;
  std::string after;
  bool needs_restart = false;
};

/// Whether the key at `path`, as in `key_value` or `key_description`, may
/// change while edgecapd runs.
bool is_live(std::string_view path);

/// What is different in `after`, in the order of the schema. Of an item that
/// only one of them has, the keys are not listed. The order of accounts and of
/// credentials makes no difference.
std::vector<difference> differences(const settings& before,
                                    const settings& after);

/// `running`, with what may change while edgecapd runs taken from `wanted`, and
/// so are the lines.
settings with_live_keys(const settings& running, const settings& wanted);

} // namespace edgecap::config

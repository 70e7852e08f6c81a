#pragma once

#include "actors/system.hpp"
#include "config/reload.hpp"
#include "config/settings.hpp"
#include "http/server.hpp"

#include <string>
#include <vector>

namespace edgecap::daemon {

/// Has a daemon that runs follow its configuration file. Used by one thread.
class reloader {
public:
  /// @param file where the configuration is.
  /// @param running what `tree` and `api` were made of; both outlive this.
  reloader(std::string file, config::settings running, engine& tree,
           http::server& api);

  /// Reads the file again. If nothing is wrong with it, what may change while
  /// the daemon runs is in force when this returns, and the log names what
  /// needs a restart; else all stays as it is, and the log says why.
  void reload();

private:
  bool apply(const config::settings& wanted);
  void refuse(const std::vector<config::fault>& faults) const;
  void report(const std::vector<config::difference>& changes) const;

  std::string file_;
  config::settings running_;
  engine& tree_;
  http::server& api_;
};

} // namespace edgecap::daemon

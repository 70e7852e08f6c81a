#include "config/daemon/reloader.hpp"

#include "actors/errors.hpp"
#include "actors/log_event.hpp"
#include "config/daemon/configuration.hpp"
#include "config/daemon/logging.hpp"
#include "config/daemon/options.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

namespace edgecap::daemon {

namespace {

/// For the engine to keep to other limits; it does even if it says so later.
constexpr std::chrono::milliseconds apply_timeout{5000};

/// Changes that are logged one by one, at most.
constexpr std::size_t max_changes_logged = 100;

void log_change(const config::difference& x) {
  auto line
    = log_event{x.needs_restart ? "config-needs-restart" : "config-changed"}
        .with("key", x.path)
        .with("old", x.before)
        .with("new", x.after);
  if (x.needs_restart)
    line.warn();
  else
    line.info();
}

} // namespace

reloader::reloader(std::string file, config::settings running, engine& tree,
                   http::server& api)
  : file_(std::move(file)), running_(std::move(running)), tree_(tree),
    api_(api) {}

void reloader::reload() {
  auto wanted = config::plan_reload(running_, load_configuration(file_));
  if (!wanted.faults.empty()) {
    refuse(wanted.faults);
    api_.count_reload(false);
    return;
  }
  const auto is_live = [](const auto& x) { return !x.needs_restart; };
  // Whoever asks without need does not have storage look for what to remove.
  if (std::any_of(wanted.changes.begin(), wanted.changes.end(), is_live)
      && !apply(wanted.values)) {
    api_.count_reload(false);
    return;
  }
  running_ = std::move(wanted.values);
  report(wanted.changes);
  api_.count_reload(true);
}

/// Takes over all that may change, or nothing. An account has its quota before
/// anybody can use it.
bool reloader::apply(const config::settings& wanted) {
  if (const auto err
      = tree_.set_limits(to_engine_limits(wanted), apply_timeout)) {
    const auto why = describe(err);
    if (!why.timeout) {
      log_event{"config-rejected"}
        .with("file", file_)
        .with("error", why.text)
        .error();
      return false;
    }
    log_event{"config-late"}.with("error", why.text).warn();
  }
  api_.set_rules(to_api_rules(wanted));
  set_log_level(wanted.log.level);
  return true;
}

void reloader::refuse(const std::vector<config::fault>& faults) const {
  const auto shown = std::min(faults.size(), config::max_faults_shown);
  for (std::size_t i = 0; i < shown; ++i)
    log_event{"config-rejected"}
      .with("file", file_)
      .with("line", faults[i].line)
      .with("key", faults[i].path)
      .with("error", faults[i].message)
      .error();
  if (shown < faults.size())
    log_event{"config-rejected"}
      .with("file", file_)
      .with("error", std::to_string(faults.size() - shown)
                       + " more faults are not shown")
      .error();
}

void reloader::report(const std::vector<config::difference>& changes) const {
  const auto shown = std::min(changes.size(), max_changes_logged);
  for (std::size_t i = 0; i < shown; ++i)
    log_change(changes[i]);
  const auto waiting
    = std::count_if(changes.begin(), changes.end(),
                    [](const auto& x) { return x.needs_restart; });
  log_event{"config-reloaded"}
    .with("file", file_)
    .with("changed", static_cast<std::ptrdiff_t>(changes.size()) - waiting)
    .with("need_restart", waiting)
    .info();
}

} // namespace edgecap::daemon

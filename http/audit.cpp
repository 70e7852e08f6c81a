#include "http/audit.hpp"

#include "actors/log_event.hpp"

#include <string_view>

namespace edgecap::http {

namespace {

/// A refusal is the client's affair, a failure is ours.
std::string_view outcome_of(int status) {
  if (status < 400)
    return "done";
  return status < 500 ? "refused" : "failed";
}

} // namespace

void audit(const audit_entry& entry) {
  log_event line{"audit"};
  line.with("action", entry.action)
    .with("outcome", outcome_of(entry.status))
    .with("account", entry.account_id)
    .with("credential", entry.credential)
    .with("client", entry.client_address)
    .with("job", entry.job_id)
    .with("status", entry.status);
  if (entry.code != 0)
    line.with("code", entry.code);
  if (!entry.system.empty())
    line.with("system", entry.system).with("filter", entry.filter);
  if (!entry.colo_name.empty())
    line.with("colo_name", entry.colo_name);
  if (entry.replayed)
    line.with("replayed", true);
  if (entry.bytes)
    line.with("bytes", *entry.bytes);
  line.info();
}

} // namespace edgecap::http

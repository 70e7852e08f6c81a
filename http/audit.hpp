#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace edgecap::http {

/// Who did what to a capture, and how it ended; never a secret or a packet.
struct audit_entry {
  std::string action; ///< create, stop, delete or download.
  std::string account_id;
  std::string credential; ///< Name; empty if nobody was authenticated.
  std::string client_address;
  std::string job_id;    ///< Empty if there is none.
  int status = 0;        ///< HTTP status of the answer.
  int code = 0;          ///< The first error's code; 0 if there is none.
  std::string system;    ///< For create.
  std::string colo_name; ///< For create; empty for all nodes.
  std::string filter;    ///< For create, as JSON.
  bool replayed = false; ///< For create: an earlier one had the same key.
  std::optional<std::uint64_t> bytes; ///< For download: what is to be sent.
};

/// Logs one line with event id `audit`. Usable on any thread.
void audit(const audit_entry& entry);

} // namespace edgecap::http

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// Every setting of edgecap with its unit, default and range. `load` fills it
// from YAML; `main.cpp` hands the parts on by value. This folder depends on
// nothing of ours. Ranges are enforced in `schema.cpp`, rules between settings
// in `validate.cpp`; docs/configuration.md tells the operator about both.
namespace edgecap::config {

/// `listen`: where the HTTP API is served.
struct listen_settings {
  std::string address = "127.0.0.1"; ///< IPv4 or IPv6 literal.
  std::uint16_t port = 8787;         ///< 0 lets the system choose.
  /// A non-loopback address is refused unless this says that TLS and access
  /// control stand in front of the process.
  bool behind_proxy = false;
  /// IPv4 and IPv6 literals of proxies whose `X-Forwarded-For` is believed.
  std::vector<std::string> trusted_proxies;
};

/// What a credential may do.
struct rights {
  bool read = false;     ///< See jobs.
  bool write = false;    ///< Create, stop and delete jobs.
  bool download = false; ///< See packets.
};

/// One way to authenticate as an account: in YAML `token_hash`, or `email`
/// with `key_hash`.
struct credential_settings {
  std::string name; ///< For the audit log; unique in the account.
  /// Set for X-Auth-Email/X-Auth-Key, empty for a bearer token.
  std::string email;
  /// `sha256:<32 hex salt>:<64 hex digest of salt bytes + secret>`, as
  /// `edgecapd --hash-secret` prints it.
  std::string secret_hash;
  rights allowed;
};

/// `accounts`: who may ask; not at an edge.
struct account_settings {
  std::string id;   ///< 32 lower-case hex characters.
  std::string name; ///< For people; may be empty.
  /// Its own quotas, see `limit_settings`; 0 for those that all have.
  std::uint64_t max_bytes = 0; ///< 0..1 PiB.
  std::uint32_t max_jobs = 0;  ///< 0..1e9.
  std::vector<credential_settings> credentials;
};

/// One entry of a system's `interfaces`.
struct interface_settings {
  std::string pattern; ///< Name or shell glob (fnmatch(3)); YAML: `match`.
  std::uint32_t sampling_one_in = 1; ///< 1..1000000.
  std::uint32_t snaplen_bytes = 160; ///< 1..262144.
  bool promiscuous = false;
};

/// `systems`: names that a request may give, mapped to interfaces.
struct system_settings {
  std::string name;                           ///< 1..64 of [A-Za-z0-9_-].
  std::vector<interface_settings> interfaces; ///< At least one.
};

/// `capture`: how interfaces are read.
struct capture_settings {
  std::uint32_t ring_bytes = 8u << 20;    ///< Per interface; 1 MiB..1 GiB.
  std::uint32_t wake_interval_ms = 100;   ///< 1..1000.
  std::uint32_t batch_interval_ms = 200;  ///< 0..1000.
  std::uint32_t batch_bytes = 256u << 10; ///< 4 KiB..16 MiB, <= ring_bytes.
  std::uint32_t credit_bytes = 1u << 20;  ///< Per sampler; batch_bytes..1 GiB.
  std::chrono::milliseconds idle_time{10000}; ///< 0..1 h.
  std::uint32_t spare_rings = 1;              ///< 0..64.
  bool classifier = true;
  std::uint32_t helper_threads = 8; ///< 1..64.
};

/// An allowance: so many operations per window.
struct allowance_settings {
  std::uint32_t requests = 1;  ///< 1..1000000.
  std::uint32_t window_s = 60; ///< 1..86400.
};

/// `limits`: what the API accepts.
struct limit_settings {
  allowance_settings collect{1, 60};     ///< Creates per account.
  allowance_settings general{1200, 300}; ///< All calls per account.
  std::uint32_t time_limit_s = 300;      ///< Largest time_limit; 1..86400.
  std::uint32_t packet_limit = 10000;    ///< Largest packet_limit; 1..1e9.
  std::uint32_t running_jobs = 256;      ///< In all accounts; 1..10000.
  std::uint32_t streams_per_job = 8;     ///< Live, at once; 1..1000.
  // Quotas of what is stored and what running jobs are about to; 0 for none.
  std::uint64_t account_bytes = 0; ///< Of an account; 0..1 PiB.
  std::uint32_t account_jobs = 0;  ///< Of an account; 0..1e9.
  std::uint64_t total_bytes = 0;   ///< Of all accounts; 0..1 PiB.
  std::uint32_t total_jobs = 0;    ///< Of all accounts; 0..1e9.
};

/// `http`: limits of the frontend.
struct http_settings {
  std::uint32_t threads = 2;                       ///< 1..64.
  std::uint32_t max_connections = 4096;            ///< 1..100000.
  std::uint32_t max_connections_per_address = 256; ///< 1..100000.
  std::uint32_t max_in_flight = 1024; ///< Being answered; 1..100000.
  /// And streams, open at once; 1..100000.
  std::uint32_t max_downloads = 256;
  std::uint32_t max_target_bytes = 2048; ///< Request target; 64..8192.
  /// Request line and headers; 1 KiB..1 MiB.
  std::uint32_t max_header_bytes = 16384;
  std::uint32_t max_headers = 100;      ///< 1..1000.
  std::uint32_t max_body_bytes = 65536; ///< 1 KiB..16 MiB.
  /// Per stream; 64 KiB..1 GiB.
  std::uint32_t stream_buffer_bytes = 4u << 20;
  std::chrono::milliseconds header_timeout{10000};     ///< 100 ms..10 min.
  std::chrono::milliseconds body_timeout{10000};       ///< 100 ms..10 min.
  std::chrono::milliseconds keep_alive_timeout{60000}; ///< 100 ms..1 h.
  /// For the engine's answer; 100 ms..10 s, for CAF keeps a request alive that
  /// long.
  std::chrono::milliseconds answer_timeout{10000};
  /// A reader makes no progress; 100 ms..1 h.
  std::chrono::milliseconds stall_timeout{30000};
};

/// `auth`: what becomes of addresses that fail to authenticate.
struct auth_settings {
  std::uint32_t max_failures = 10;     ///< Before the first block; 1..10000.
  std::uint32_t window_s = 300;        ///< Failures are remembered; 1..86400.
  std::uint32_t max_block_s = 60;      ///< The longest block; 1..86400.
  std::uint32_t max_addresses = 16384; ///< Remembered at once; 1..1000000.
};

/// `storage`: where and how long captures are kept.
struct storage_settings {
  std::string directory = "/var/lib/edgecap"; ///< Absolute.
  bool pcapng = true;        ///< Also keep a pcapng file that loses nothing.
  bool microseconds = false; ///< Time stamps of the classic savefile.
  std::uint64_t min_free_bytes = 256u << 20; ///< Below: no new job; 0..1 PiB.
  /// Held for the ends of jobs and for deletes on a full disk; 0..1 GiB.
  std::uint64_t reserve_bytes = 16u << 20;
  /// How long an idempotency key leads to its job; 1 min..30 d.
  std::chrono::seconds idempotency_lifetime{24 * 3600};
};

/// `retention`: what is removed, oldest first.
struct retention_settings {
  /// Since the end of the job; 1 min..3650 d.
  std::chrono::seconds max_age{7 * 24 * 3600};
  std::uint64_t max_bytes = 10ull << 30; ///< Of all savefiles; 1 MiB..1 PiB.
  std::uint32_t max_jobs = 1000000;      ///< That are finished; 1..1e9.
  /// How long downloads may hold a removal back; 0..1 d.
  std::chrono::seconds download_hold{3600};
  std::chrono::seconds sweep_interval{60}; ///< 1 s..1 d.
};

/// `shutdown`: the waits of an ordered end.
struct shutdown_settings {
  /// For captures and answers; 100 ms..1 min.
  std::chrono::milliseconds grace_period{5000};
};

/// `log`: what is logged, and how.
struct log_settings {
  std::string level = "info";  ///< trace, debug, info, warn, error.
  std::string format = "json"; ///< json or text.
};

/// `role`: what this process is in a fleet.
enum class role {
  standalone, ///< All in one: API, storage, and the host's own interfaces.
  collector,  ///< API and storage; edges bring the packets.
  edge,       ///< The host's own interfaces, for a collector; no API.
};

/// `node`: what this machine is called in reports.
struct node_settings {
  std::string name; ///< 1..64 of [A-Za-z0-9._-]; empty: the host's name.
  std::string colo; ///< Where it stands: the same, or empty.
  std::vector<std::string> labels; ///< At most 64 of 128 bytes.
};

/// `fleet`: the connection of a collector with its edges.
struct fleet_settings {
  /// A collector expects its edges there, an edge its collector: IPv4 or IPv6
  /// literal. What stands there is the wall in front of the other one.
  std::string address = "127.0.0.1";
  std::uint16_t port = 8789; ///< 1..65535.
  /// A non-loopback address is refused unless this says that only members of
  /// the fleet reach it.
  bool behind_wall = false;
  std::uint32_t max_nodes = 1024; ///< That a collector knows; 1..100000.
  /// A node that is silent for so long is lost; 2 s..10 min.
  std::chrono::milliseconds lost_after{15000};
  /// Of a collector: edges stamp their packets by its clock.
  bool correct_clocks = false;
  // PEM files, absolute paths, by which an edge proves its name; or empty.
  std::string certificate; ///< Of an edge; goes with `key`.
  std::string key;
  std::string authority; ///< Of a collector: who makes them.
  std::string revoked;   ///< Its list of revoked ones; needs `authority`.
};

/// A whole configuration file.
struct settings {
  role is = role::standalone; ///< YAML: `role`.
  listen_settings listen;
  node_settings node;
  fleet_settings fleet;
  std::vector<account_settings> accounts;
  std::vector<system_settings> systems;
  capture_settings capture;
  limit_settings limits;
  http_settings http;
  auth_settings auth;
  storage_settings storage;
  retention_settings retention;
  shutdown_settings shutdown;
  log_settings log;
  /// Where what was configured stands in the file: path to line (from 1).
  std::map<std::string, int> lines;
};

/// One fault of a configuration file.
struct fault {
  std::string path; ///< `accounts[0].credentials[1].token_hash`; may be empty.
  int line = 0;     ///< From 1; 0 if the file itself is at fault.
  std::string message;
};

/// "FILE:LINE: PATH: MESSAGE"; a line of 0 and an empty path are left out.
std::string to_string(const fault& x, const std::string& file);

} // namespace edgecap::config

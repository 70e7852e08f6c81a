#pragma once

#include "capture/descriptor.hpp"
#include "http/connection.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace edgecap::http {

/// Who owns the connections that a listener accepts. Called on I/O threads.
class connection_owner {
public:
  virtual ~connection_owner() = default;

  /// A client has connected. Returns null to end the connection at once.
  virtual std::shared_ptr<connection>
  connected(capture::shared_descriptor socket, std::string client_address,
            std::shared_ptr<io_thread> thread)
    = 0;

  /// The client has closed its side or the connection has ended.
  virtual void disconnected(const std::shared_ptr<connection>& which) = 0;
};

/// Pistache's part: listens, accepts, and reads on I/O threads. It uses
/// Pistache's listener with a transport and a handler of our own rather than
/// its endpoint, whose timeouts and parser we cannot do with; see
/// docs/adr/0003-pistache-guard.md.
class listener {
public:
  /// Connections that may wait to be accepted.
  static constexpr int backlog = 1024;

  /// Binds, and accepts at once.
  /// @param address IPv4 or IPv6 literal.
  /// @param port 0 lets the system choose.
  /// @throws std::runtime_error if the address cannot be bound.
  listener(const std::string& address, std::uint16_t port,
           std::uint32_t threads, std::shared_ptr<connection_owner> owner);

  /// Ends the threads and closes all that Pistache has opened.
  ~listener();

  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  std::uint16_t port() const;

  /// To be called now and then, by one thread: stops accepting while the
  /// process can open no descriptor, and goes on afterwards. Pistache would try
  /// again and again, without a pause. Clients wait in the backlog meanwhile.
  void watch_descriptors();

private:
  class impl;
  std::unique_ptr<impl> impl_;
};

} // namespace edgecap::http

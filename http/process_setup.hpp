#pragma once

#include <signal.h>

#include <cstdint>

// What a server changes in the process that it runs in.
namespace edgecap::http {

/// Blocks all signals while threads are started, so that they inherit the mask
/// and signals go to the thread that the program chose for them.
class signals_blocked {
public:
  signals_blocked();
  ~signals_blocked();

  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

private:
  sigset_t before_{};
};

/// Ignores SIGPIPE if its disposition is the default: a write to a client that
/// has gone must not end the process. Our own writes do not raise it; this is
/// the belt to those braces.
void ignore_sigpipe_unless_handled();

/// Raises the soft limit of open descriptors to `wanted`, or as far as the hard
/// limit allows; never lowers it. Returns what it is then.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted);

} // namespace edgecap::http

#pragma once

#include <string>
#include <vector>

// What an epoll instance of this process watches, as /proc/self/fdinfo tells
// it (proc(5)). Needed because Pistache 0.0.5 opens eventfds without
// close-on-exec, never closes some of them, and has no way to get at them.
namespace edgecap::http {

/// An eventfd by its number and the kernel's name for it, which is never given
/// again while the machine is up.
struct eventfd_identity {
  int fd = -1;
  std::string id;
};

/// An epoll instance and the eventfds that it watches.
struct epoll_contents {
  int epoll_fd = -1;
  std::vector<eventfd_identity> eventfds;
};

/// The epoll instance that watches `fd`; `epoll_fd` is -1 if there is none or
/// /proc is not mounted.
epoll_contents find_epoll_watching(int fd);

/// Whether `identity.fd` is still the eventfd that it was.
bool is_still_open(const eventfd_identity& identity);

} // namespace edgecap::http

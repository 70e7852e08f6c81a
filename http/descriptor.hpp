#pragma once

#include <unistd.h>

#include <memory>

namespace edgecap::http {

/// An open descriptor that is closed with its last owner.
using descriptor = std::shared_ptr<const int>;

/// Takes ownership of `fd`, which must be open.
inline descriptor own_descriptor(int fd) {
  return descriptor(new int(fd), [](const int* owned) {
    ::close(*owned);
    delete owned;
  });
}

} // namespace edgecap::http

#pragma once

#include <unistd.h>

#include <utility>

namespace edgecap::capture {

/// Owns an open file descriptor, or none.
class unique_descriptor {
public:
  unique_descriptor() = default;

  /// @param fd An open descriptor, or -1 for none.
  explicit unique_descriptor(int fd) : fd_(fd) {
    // nop
  }

  unique_descriptor(unique_descriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {
    // nop
  }

  unique_descriptor& operator=(unique_descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  ~unique_descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  int get() const {
    return fd_;
  }

  /// Gives up ownership.
  int release() {
    return std::exchange(fd_, -1);
  }

  explicit operator bool() const {
    return fd_ >= 0;
  }

private:
  int fd_ = -1;
};

} // namespace edgecap::capture

#pragma once

#include <unistd.h>

#include <memory>
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

  unique_descriptor(unique_descriptor&& other) noexcept : fd_(other.release()) {
    // nop
  }

  unique_descriptor& operator=(unique_descriptor&& other) noexcept {
    unique_descriptor taken{std::move(other)};
    std::swap(fd_, taken.fd_);
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

/// An open file descriptor that is closed with its last owner; or none.
using shared_descriptor = std::shared_ptr<const int>;

/// Shares `fd`, which must be open.
inline shared_descriptor share(unique_descriptor fd) {
  struct shared {
    unique_descriptor owner;
    int number;
  };
  const auto number = fd.get();
  auto result = std::make_shared<shared>(shared{std::move(fd), number});
  return {result, &result->number};
}

} // namespace edgecap::capture

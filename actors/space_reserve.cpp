#include "actors/space_reserve.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace edgecap {

space_reserve::space_reserve(capture::file_system& files,
                             std::filesystem::path path,
                             std::uint64_t size_bytes)
  : files_(files), path_(std::move(path)), size_(size_bytes) {
  const auto left = files_.status(path_);
  if (!left)
    return;
  // Should one of these fail, a file stays that is too large: no harm.
  if (size_ == 0)
    static_cast<void>(files_.remove(path_));
  else if (left->size_bytes > size_)
    static_cast<void>(resize(size_));
  held_ = std::min(left->size_bytes, size_);
}

stored<void> space_reserve::fill() {
  if (size_ == 0)
    return {};
  const auto filled = resize(size_);
  if (filled) {
    held_ = size_;
    return {};
  }
  if (filled.error() == EOPNOTSUPP) {
    size_ = held_ = 0;
    return {};
  }
  const auto full = filled.error() == ENOSPC || filled.error() == EDQUOT;
  return store_failure(full ? store_errc::full : store_errc::unavailable,
                       "reserve " + std::to_string(size_) + " bytes in "
                         + path_.string() + ": "
                         + std::generic_category().message(filled.error()));
}

bool space_reserve::give(std::uint64_t bytes) {
  if (held_ == 0)
    return false;
  const auto steps = (bytes + step_bytes - 1) / step_bytes;
  const auto left
    = held_ - std::min(held_, std::max<std::uint64_t>(steps, 1) * step_bytes);
  if (!resize(left))
    return false;
  held_ = left;
  return true;
}

/// Makes the file so large, all of it allocated.
capture::io_result<void> space_reserve::resize(std::uint64_t bytes) {
  const auto out = files_.open(path_, capture::open_mode::create);
  if (!out)
    return capture::io_failure(out.error());
  if (const auto now = (*out)->status(); now && now->size_bytes > bytes)
    return (*out)->truncate(bytes);
  if (bytes > held_) {
    const auto allocated = (*out)->allocate(bytes);
    if (allocated)
      return allocated;
    // What there is of it may be what somebody else waits for.
    static_cast<void>((*out)->truncate(held_));
    return allocated;
  }
  return {};
}

} // namespace edgecap

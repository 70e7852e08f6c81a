#include "capture/file_system.hpp"

#include <cerrno>
#include <utility>

namespace edgecap::capture {

io_result<void> write_all(file& out, iovec* parts, int count,
                          std::uint64_t offset) {
  auto* part = parts;
  auto* const end = parts + count;
  while (part != end) {
    if (part->iov_len == 0) {
      ++part;
      continue;
    }
    const auto taken = out.write(part, static_cast<int>(end - part), offset);
    if (!taken && taken.error() == EINTR)
      continue;
    if (!taken)
      return io_failure(taken.error());
    // 0 is no error to the system, but it would be an endless loop to us.
    if (*taken == 0)
      return io_failure(EIO);
    offset += *taken;
    auto left = *taken;
    while (part != end && left >= part->iov_len)
      left -= (part++)->iov_len;
    if (part != end) {
      part->iov_base = static_cast<char*>(part->iov_base) + left;
      part->iov_len -= left;
    }
  }
  return {};
}

io_result<std::vector<std::string>>
file_system::list(const std::filesystem::path& path) {
  const auto reader = read_directory(path);
  if (!reader)
    return io_failure(reader.error());
  std::vector<std::string> result;
  for (;;) {
    auto name = (*reader)->next();
    if (!name)
      return io_failure(name.error());
    if (!*name)
      return result;
    result.push_back(std::move(**name));
  }
}

} // namespace edgecap::capture

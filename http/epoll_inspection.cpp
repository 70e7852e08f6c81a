#include "http/epoll_inspection.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

namespace edgecap::http {

namespace {

constexpr auto fdinfo_directory = "/proc/self/fdinfo";

std::optional<int> to_number(std::string_view text) {
  auto value = 0;
  const auto* end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || parsed != end)
    return std::nullopt;
  return value;
}

/// The first words after `key` in the lines of fdinfo that begin with it.
std::vector<std::string> values(int fd, std::string_view key) {
  std::ifstream info(std::string(fdinfo_directory) + '/' + std::to_string(fd));
  std::vector<std::string> result;
  for (std::string line; std::getline(info, line);) {
    if (line.rfind(key, 0) != 0)
      continue;
    const auto first = line.find_first_not_of(" \t", key.size());
    if (first != std::string::npos)
      result.push_back(
        line.substr(first, line.find_first_of(" \t", first) - first));
  }
  return result;
}

std::string eventfd_id(int fd) {
  const auto ids = values(fd, "eventfd-id:");
  return ids.empty() ? std::string{} : ids.front();
}

std::vector<int> watched_by(int epoll_fd) {
  std::vector<int> result;
  for (const auto& text : values(epoll_fd, "tfd:"))
    if (const auto fd = to_number(text))
      result.push_back(*fd);
  return result;
}

} // namespace

epoll_contents find_epoll_watching(int fd) {
  std::error_code error;
  std::filesystem::directory_iterator entries(fdinfo_directory, error);
  for (; !error && entries != std::filesystem::directory_iterator{};
       entries.increment(error)) {
    const auto candidate = to_number(entries->path().filename().native());
    if (!candidate)
      continue;
    const auto watched = watched_by(*candidate);
    auto found = false;
    for (const auto each : watched)
      found = found || each == fd;
    if (!found)
      continue;
    epoll_contents result{*candidate, {}};
    for (const auto each : watched)
      if (auto id = eventfd_id(each); !id.empty())
        result.eventfds.push_back({each, std::move(id)});
    return result;
  }
  return {};
}

bool is_still_open(const eventfd_identity& identity) {
  return eventfd_id(identity.fd) == identity.id;
}

} // namespace edgecap::http

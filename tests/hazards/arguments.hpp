#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace edgecap::test {

/// Command line of the servers that the tests of hazards drive: what both take,
/// whether it means something to them or not.
///
///     DIRECTORY [--threads N] [--timeout-ms N] [--ignore-sigpipe]
///               [--tls CERTIFICATE KEY]
struct server_arguments {
  std::string directory; ///< Whose files `/file/NAME` serves.
  std::uint32_t threads = 1;
  /// For the header, the body and an idle connection.
  std::chrono::milliseconds timeout{60000};
  bool ignore_sigpipe = false;
  std::string certificate; ///< Empty: no TLS.
  std::string key;
};

/// @throws std::runtime_error if something is missing or unknown.
inline server_arguments parse_arguments(int argc, char** argv) {
  server_arguments result;
  auto next = 1;
  const auto take = [&]() -> std::string {
    if (next == argc)
      throw std::runtime_error("an argument is missing");
    return argv[next++];
  };
  result.directory = take();
  while (next < argc) {
    const auto option = take();
    if (option == "--threads") {
      result.threads = static_cast<std::uint32_t>(std::stoul(take()));
    } else if (option == "--timeout-ms") {
      result.timeout = std::chrono::milliseconds{std::stoul(take())};
    } else if (option == "--ignore-sigpipe") {
      result.ignore_sigpipe = true;
    } else if (option == "--tls") {
      result.certificate = take();
      result.key = take();
    } else {
      throw std::runtime_error("unknown argument: " + option);
    }
  }
  return result;
}

/// Largest request that the servers take, in bytes.
inline constexpr std::size_t max_request_bytes = 256 * 1024;

/// Body of `/big`, in bytes.
inline constexpr std::size_t big_bytes = 8u << 20;

/// Body of `/stream`: so many pieces of so many bytes each.
inline constexpr std::size_t stream_pieces = 400;
inline constexpr std::size_t piece_bytes = 1024;

} // namespace edgecap::test

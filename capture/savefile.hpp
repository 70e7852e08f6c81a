#pragma once

#include "capture/capture_error.hpp"
#include "capture/file_system.hpp"
#include "capture/packet_batch.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace edgecap::capture {

/// Resolution of the time stamps in a classic savefile (pcap-savefile(5)).
enum class time_precision { nanoseconds, microseconds };

/// Size of the header of a classic savefile.
inline constexpr std::size_t savefile_header_bytes = 24;

/// The header of a classic savefile in host byte order.
/// @param snaplen_bytes What readers may rely on: no record is longer, for
///        libpcap cuts off what is. Not a promise that packets were cut there.
std::array<std::byte, savefile_header_bytes>
savefile_header(link_type link, std::uint32_t snaplen_bytes,
                time_precision precision);

/// What the header of a run says.
struct run_header {
  link_type link = link_type::ethernet;
  std::uint32_t snaplen_bytes = 0;
};

/// Reads the header of a run; empty unless it is that of a nanosecond savefile
/// in host byte order.
std::optional<run_header>
parse_run_header(const std::array<std::byte, savefile_header_bytes>& bytes);

/// What a scan of a run found.
struct run_summary {
  link_type link = link_type::ethernet;
  std::uint32_t snaplen_bytes = 0;
  std::uint64_t packets = 0;        ///< Whole records.
  std::uint64_t captured_bytes = 0; ///< Sum of captured lengths.
  std::uint64_t whole_bytes = 0;    ///< Size up to the last whole record.
  std::uint64_t rest_bytes = 0;     ///< Behind it: no whole record.
  bool torn = false;                ///< There is such a rest.
  bool damaged = false;  ///< And it is not even the beginning of a record.
  bool ordered = true;   ///< No record is older than its forerunner.
  unix_ns last_time = 0; ///< Of the youngest record; 0 if there is none.
};

/// Reads a nanosecond savefile record by record, as far as it is whole. A torn
/// tail is no error: that is what a crash leaves; nor is damage behind whole
/// records, which the summary tells from it as far as headers do. Fails with
/// `bad_savefile` if not even the header is whole, with `io` if it cannot be
/// read. Takes the memory of one buffer, whatever the file says.
expected<run_summary> scan_run(file_system& files,
                               const std::filesystem::path& path);

} // namespace edgecap::capture

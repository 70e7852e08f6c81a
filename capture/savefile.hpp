#pragma once

#include "capture/capture_error.hpp"
#include "capture/packet_batch.hpp"

#include <array>
#include <cstdint>
#include <filesystem>

namespace edgecap::capture {

/// Resolution of the time stamps in a classic savefile (pcap-savefile(5)).
enum class time_precision { nanoseconds, microseconds };

/// Size of the header of a classic savefile.
inline constexpr std::size_t savefile_header_bytes = 24;

/// The header of a classic savefile in host byte order.
std::array<std::byte, savefile_header_bytes>
savefile_header(link_type link, std::uint32_t snaplen_bytes,
                time_precision precision);

/// What a scan of a run found.
struct run_summary {
  link_type link = link_type::ethernet;
  std::uint32_t snaplen_bytes = 0;
  std::uint64_t packets = 0;        ///< Whole records.
  std::uint64_t captured_bytes = 0; ///< Sum of captured lengths.
  std::uint64_t whole_bytes = 0;    ///< Size up to the last whole record.
  bool torn = false;                ///< Bytes follow that are not a record.
  bool ordered = true;              ///< No record is older than its forerunner.
};

/// Reads a nanosecond savefile record by record, as far as it is whole. A torn
/// tail is no error: that is what a crash leaves. Fails with `bad_savefile` if
/// not even the header is whole, with `io` if it cannot be read.
expected<run_summary> scan_run(const std::filesystem::path& file);

} // namespace edgecap::capture

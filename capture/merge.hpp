#pragma once

#include "capture/capture_error.hpp"
#include "capture/file_system.hpp"
#include "capture/packet_batch.hpp"
#include "capture/savefile.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::capture {

/// One input of a merge: what one interface delivered.
struct merge_input {
  /// A nanosecond savefile; empty if the interface delivered nothing.
  std::filesystem::path run;
  link_type link = link_type::ethernet;
  /// "node/interface" for pcapng's if_name.
  std::string interface_name;
  /// For LINUX_SLL2; 0 if unknown.
  std::uint32_t interface_index = 0;
  /// Whether the records are in time order already (else the merge sorts).
  bool ordered = true;
  /// For pcapng's interface statistics; nullopt if unknown.
  std::optional<std::uint64_t> packets_received, dropped_by_interface,
    dropped_by_kernel;
};

struct merge_options {
  /// Where the classic savefile goes; overwritten.
  std::filesystem::path pcap;
  /// Where the pcapng file goes; empty for none.
  std::filesystem::path pcapng;
  /// What the files' headers say; raised at the end if a record is longer,
  /// and by the size of a LINUX_SLL2 header if that is put before packets.
  std::uint32_t snaplen_bytes = 262144;
  time_precision precision = time_precision::nanoseconds;
};

struct merge_result {
  link_type link = link_type::ethernet; ///< Of the classic savefile.
  std::uint64_t packets = 0;
  std::uint64_t captured_bytes = 0; ///< Sum of captured lengths as kept in the
                                    ///< runs (before any SLL2 conversion).
  std::uint64_t pcap_bytes = 0;     ///< Size of the classic savefile.
  std::uint64_t pcapng_bytes = 0;   ///< Size of the pcapng file, 0 if none.
};

/// Merges runs into one time-ordered savefile; ties go by input order. Inputs
/// of one link type keep it; mixed ones become LINUX_SLL2, as `tcpdump -i any`
/// writes them. Inputs without a record have no say in this, unless none has
/// any. The pcapng file keeps each interface as it is. A run is read as far as
/// it is whole. Works in slices so that its caller never blocks for long;
/// memory is bounded by one buffer per input (64 MiB together; at least
/// 16 KiB each) and 24 bytes per record of a disordered input. Used by one
/// thread at a time.
///
/// Until `step` returned true the outputs are unfinished; what becomes of them
/// then is up to the caller.
class merge {
public:
  /// Opens inputs and outputs. Fails with `unsupported_link_type` if mixed
  /// inputs cannot become LINUX_SLL2, with `bad_savefile` if an input is no run
  /// or not of the link type that it should be, with `io` otherwise.
  static expected<std::unique_ptr<merge>> open(file_system& files,
                                               std::vector<merge_input> inputs,
                                               merge_options options);

  virtual ~merge() = default;

  /// Reads or writes about `budget_bytes` more. Returns true when all is
  /// written, flushed and fsynced. A failure is final.
  virtual expected<bool> step(std::size_t budget_bytes) = 0;

  /// What was written; complete after `step` returned true.
  virtual const merge_result& result() const = 0;
};

} // namespace edgecap::capture

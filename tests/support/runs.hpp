#pragma once

#include "capture/packet_batch.hpp"
#include "tests/support/temp_directory.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgecap::test {

/// One record of a run that a test writes.
struct run_record {
  capture::unix_ns time = 0;
  std::vector<std::byte> data;
  std::uint32_t original_length = 0;

  friend bool operator==(const run_record& x, const run_record& y) {
    return x.time == y.time && x.data == y.data
           && x.original_length == y.original_length;
  }
};

/// The bytes of a run with these records.
std::string run_bytes(capture::link_type link,
                      const std::vector<run_record>& records);

/// What a program said and how it ended.
struct program_result {
  int status = -1;    ///< Of the shell; 0 is success.
  std::string output; ///< Standard output.
  std::string errors; ///< Standard error.
};

/// Runs a command of the shell.
/// @throws std::runtime_error
program_result run_program(const std::string& command);

} // namespace edgecap::test

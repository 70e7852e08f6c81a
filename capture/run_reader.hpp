#pragma once

#include "capture/capture_error.hpp"
#include "capture/file_system.hpp"
#include "capture/packet_batch.hpp"
#include "capture/savefile.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace edgecap::capture {

/// Where a record stands in a run.
struct record_place {
  unix_ns time = 0;
  std::uint64_t offset = 0;     ///< Of its header.
  std::uint32_t size_bytes = 0; ///< With its header.
};

/// Reads a run record by record through one buffer; records are used where
/// they lie in it. Used by one thread at a time.
class run_reader {
public:
  /// Size of the buffer; of a smaller run it is smaller, but for the least, and
  /// a larger record makes it larger.
  static constexpr std::size_t buffer_bytes = 128u << 10;
  static constexpr std::size_t least_buffer_bytes = 4096;

  /// Opens a run and reads its header. Fails with `io` if it cannot be read,
  /// with `bad_savefile` if its header is not that of a run.
  /// @param most Size of the buffer, at most.
  static expected<run_reader> open(file_system& files,
                                   const std::filesystem::path& path,
                                   std::size_t most = buffer_bytes);

  const run_header& header() const {
    return header_;
  }

  /// Reads on until the next record is whole. Returns false at the end, which
  /// is also where a record is torn or makes no sense. Invalidates `front`.
  expected<bool> fill();

  /// True if the next record is whole already, so that `fill` need not read.
  bool ready() const {
    if (end_ - begin_ < sizeof(record_header))
      return false;
    const auto x = front_header();
    return plausible(x)
           && end_ - begin_ - sizeof(record_header) >= x.captured_length;
  }

  /// The next record's header. @pre `ready()`
  record_header front_header() const {
    record_header result;
    std::memcpy(&result, buffer_.data() + begin_, sizeof result);
    return result;
  }

  /// The next record, header first; records that are ready follow each other
  /// without a gap. @pre `ready()`
  const std::byte* front() const {
    return buffer_.data() + begin_;
  }

  /// Goes on to the record behind the next one. @pre `ready()`
  void pop() {
    begin_ += sizeof(record_header) + front_header().captured_length;
  }

  /// Offset in the file of the next record, or of what is none. Without
  /// meaning after `follow`.
  std::uint64_t position() const {
    return read_offset_ - (end_ - begin_);
  }

  /// True if `fill` found bytes at the end that are no whole record.
  bool torn() const {
    return torn_;
  }

  /// True if these are not even the beginning of one.
  bool damaged() const {
    return damaged_;
  }

  /// Size of the file now.
  expected<std::uint64_t> file_bytes() const;

  /// Starts anew and reads the records at these places, in this order.
  void follow(std::vector<record_place> order);

private:
  run_reader(std::unique_ptr<file> in, std::string name, std::size_t room);

  expected<void> read_header();

  /// Reads more into the buffer, which then has room for `needed_bytes`.
  expected<void> read_more(std::size_t needed_bytes);

  /// Bytes that may be read from `read_offset_` on in one go.
  std::size_t readable();

  std::unique_ptr<file> in_;
  std::string name_; ///< For errors.
  run_header header_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0; ///< The next record in `buffer_`.
  std::size_t end_ = 0;   ///< End of what was read into `buffer_`.
  std::uint64_t read_offset_ = 0;
  bool at_end_ = false;
  bool torn_ = false;
  bool damaged_ = false;
  bool following_ = false;
  std::vector<record_place> order_;
  std::size_t next_place_ = 0;    ///< Index into `order_`.
  std::uint64_t stretch_end_ = 0; ///< Of the places that are being read.
};

} // namespace edgecap::capture

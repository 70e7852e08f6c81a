// Any bytes as a run, the file that a crash may leave torn: the scan, the
// reader and the merge must agree on what is whole in it.
#include "capture/merge.hpp"
#include "capture/posix_file_system.hpp"
#include "capture/run_reader.hpp"
#include "tests/fuzz/target.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace {

using namespace edgecap;
using namespace edgecap::capture;
using fuzz::require;

/// Largest link type that an interface of a pcapng file can have.
constexpr std::uint32_t max_pcapng_link = 0xffff;

/// What a memory_file is named by is a link to it.
posix_file_system files{symbolic_links::followed};

/// A file in memory, with a name as long as it lives.
class memory_file {
public:
  memory_file() : descriptor_(::memfd_create("run", MFD_CLOEXEC)) {
    require(static_cast<bool>(descriptor_), "a file in memory can be made");
  }

  void fill(const std::uint8_t* data, std::size_t size) {
    const auto written = ::write(descriptor_.get(), data, size);
    require(written == static_cast<ssize_t>(size), "it takes the input");
  }

  std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_.get());
  }

private:
  unique_descriptor descriptor_;
};

/// Reads the whole records one by one and compares with what the scan found.
void compare(run_reader& reader, const run_summary& scanned) {
  run_summary read;
  auto more = reader.fill();
  for (; more && *more; more = reader.fill()) {
    require(reader.ready(), "what was filled is ready");
    const auto head = reader.front_header();
    require(plausible(head), "a record makes sense");
    ++read.packets;
    read.captured_bytes += head.captured_length;
    reader.pop();
  }
  require(more.has_value(), "memory can be read");
  require(read.packets == scanned.packets
            && read.captured_bytes == scanned.captured_bytes
            && reader.position() == scanned.whole_bytes
            && reader.torn() == scanned.torn,
          "scan and reader agree");
}

/// Merges the run with itself, as two interfaces of one job.
void merge_twice(const std::string& run, const run_summary& scanned) {
  const memory_file pcap, pcapng;
  merge_input input;
  input.run = run;
  input.link = scanned.link;
  input.interface_name = "node/eth0";
  input.ordered = scanned.ordered;
  merge_options options;
  options.pcap = pcap.path();
  options.pcapng = pcapng.path();
  auto opened = merge::open(files, {input, input}, options);
  if (!opened) {
    require(opened.error().code == capture_errc::unsupported_link_type
              && static_cast<std::uint32_t>(scanned.link) > max_pcapng_link,
            "runs of one link type can be merged");
    return;
  }
  auto& work = **opened;
  constexpr std::size_t slice_bytes = 4096;
  auto done = work.step(slice_bytes);
  while (done && !*done)
    done = work.step(slice_bytes);
  require(done.has_value(), "what was scanned can be merged");
  require(work.result().packets == 2 * scanned.packets
            && work.result().captured_bytes == 2 * scanned.captured_bytes,
          "a merge loses nothing");
  const auto merged = scan_run(files, options.pcap);
  require(merged && !merged->torn && merged->ordered
            && merged->packets == 2 * scanned.packets,
          "a merged savefile is whole and in order");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  memory_file run;
  run.fill(data, size);
  const auto scanned = scan_run(files, run.path());
  auto reader = run_reader::open(files, run.path());
  require(scanned.has_value() == reader.has_value(),
          "scan and reader agree on the header");
  if (!scanned)
    return 0;
  require(scanned->whole_bytes <= size
            && scanned->torn == (scanned->whole_bytes < size),
          "what is whole and what is torn make up the file");
  compare(*reader, *scanned);
  merge_twice(run.path(), *scanned);
  return 0;
}

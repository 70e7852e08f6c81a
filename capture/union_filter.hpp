#pragma once

#include "capture/capture_error.hpp"
#include "capture/filter.hpp"
#include "capture/flow_match.hpp"
#include "capture/sampling.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecap::capture {

/// What a union does beyond the filters.
struct union_options {
  filter_layout layout = filter_layout::ethernet;
  /// Of all packets that match any filter: the highest of all rows.
  sampling_threshold threshold = every_packet;
  std::uint32_t snaplen_bytes = 262144; ///< At least 1.
  /// Longer programs are made shorter, at the cost of precision. The shortest
  /// is about 580 instructions long; a filter adds 2 to 21. Attaching one fails
  /// with ENOMEM where net.core.optmem_max has no room for it: 20480, the
  /// default before Linux 6.8, is enough for 1000, or for 600 while another one
  /// is replaced.
  std::size_t max_instructions = BPF_MAXINSNS;
};

/// What a union lets pass beside the packets that match a filter.
enum class union_precision {
  exact,     ///< Nothing.
  protocols, ///< What has family and protocol of one.
  none,      ///< Everything.
};

struct union_filter {
  bpf_program program;
  union_precision precision = union_precision::exact;
};

/// Compiles classic BPF that takes the packets which match any of `filters`,
/// for hosts that refuse `kernel_classifier`. It decides like `compile` where
/// it is exact; elsewhere user space has to (`flow_table`). Of each packet that
/// is kept there are as many bytes as `read_flow` needs, also if the snaplen is
/// smaller. Without filters nothing is taken.
/// @param filters More than once the same counts as one.
expected<union_filter> compile_union(const std::vector<flow_match>& filters,
                                     const union_options& options);

/// What lets pass all that the filter does and asks for no address and no port:
/// family and protocols. Of many filters not much more than that can be
/// compared with each packet.
std::vector<flow_match> without_endpoints(const flow_match& filter);

} // namespace edgecap::capture

#pragma once

#include "capture/packet_batch.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace edgecap {

/// Somebody outside who watches a capture while it runs. The job calls it from
/// its actor, one call at a time; no call may block or throw.
class follower {
public:
  virtual ~follower() = default;

  /// Once, before all else: the header of a savefile whose records are the
  /// batches to come (pcap-savefile(5), nanoseconds, host byte order).
  virtual void begin(const std::string& savefile_header) = 0;

  /// Packets that the job counts, as they come; interfaces take turns, so that
  /// time stamps may go back. Returns false once nobody watches any more.
  virtual bool take(const capture::packet_batch& packets) = 0;

  /// So many packets were captured that `take` will not see.
  virtual void miss(std::uint64_t packets) = 0;

  /// Last of all: the capture is over, or (not `complete`) its job died.
  virtual void end(bool complete) = 0;
};

using follower_ptr = std::shared_ptr<follower>;

} // namespace edgecap

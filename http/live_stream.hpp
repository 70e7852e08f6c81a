#pragma once

#include "actors/follower.hpp"
#include "http/live_body.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::http {

/// What became of a stream.
struct stream_report {
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_dropped = 0; ///< The client was too slow for these.
  std::uint64_t bytes_sent = 0;      ///< Of the savefile, headers included.
  bool complete = false;             ///< The client has all, to the end.
};

/// A running capture as a body: takes packets from the job on one side, gives
/// savefile bytes to the streamer on the other. What the client is too slow for
/// is dropped here, so that neither the job nor its file notices. Batches are
/// passed on as they are; no packet is copied.
class live_stream final : public follower, public live_body {
public:
  /// Names of the trailers.
  static constexpr const char* sent_field = "Edgecap-Packets-Sent";
  static constexpr const char* dropped_field = "Edgecap-Packets-Dropped";

  /// @param max_buffered_bytes Bytes of packets that may wait for the client. A
  ///        single batch may be larger.
  /// @param report Called once, when all is over; on any thread, and not at
  ///        all if nothing was ever sent.
  live_stream(std::size_t max_buffered_bytes,
              std::function<void(const stream_report&)> report);

  /// Nobody will read: the request was refused after all.
  void abandon();

  // -- for the job ------------------------------------------------------------

  void begin(const std::string& savefile_header) override;
  bool take(const capture::packet_batch& packets) override;
  void miss(std::uint64_t packets) override;
  void end(bool complete) override;

  // -- for the streamer -------------------------------------------------------

  live_state next(body_piece& to) override;
  void on_ready(std::function<void()> wake) override;
  std::vector<std::pair<std::string, std::string>> trailers() const override;
  void finished(bool complete) override;

private:
  void wake();
  bool has_news() const;

  const std::size_t max_buffered_bytes_;
  mutable std::mutex mutex_; ///< Guards all that follows.
  std::function<void(const stream_report&)> report_;
  std::function<void()> wake_;
  std::string header_; ///< Of the savefile, until it is taken.
  std::deque<capture::packet_batch> queue_;
  std::size_t buffered_bytes_ = 0;
  bool ended_ = false;    ///< By the job.
  bool complete_ = false; ///< Likewise: the capture was over.
  bool gone_ = false;     ///< The client.
  stream_report totals_;
};

} // namespace edgecap::http

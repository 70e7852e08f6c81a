#pragma once

#include "capture/helper_pool.hpp"
#include "capture/live_interface.hpp"
#include "capture/packet_batch.hpp"
#include "capture/packet_source.hpp"
#include "capture/reactor.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace edgecap::capture {

/// One live source from its opening to its end: a client of the reactor, in
/// whose thread it reads the interface and calls the listener. A helper thread
/// opens and closes the socket.
///
/// Its phases: opening → capturing → draining → ended; the third is left out
/// when there is nothing to wait for.
class live_session : public reactor::client,
                     public std::enable_shared_from_this<live_session> {
public:
  /// What a session needs of `live_capture`, and what has to outlive it.
  struct services {
    reactor* loop = nullptr;
    helper_pool* helpers = nullptr;
    /// Called in a helper thread when nothing is left open.
    std::function<void(const std::shared_ptr<live_session>&)> closed;
  };

  live_session(source_options options,
               std::shared_ptr<source_listener> listener, services with);

  // -- for any thread; the caller then wakes the session ----------------------

  /// See `packet_source`.
  void grant(std::uint64_t bytes);

  /// See `packet_source`.
  void stop();

  /// Ends without draining.
  void abandon();

  /// See `packet_source`.
  source_counters counters() const;

  // -- for whoever created it -------------------------------------------------

  /// Has a helper open the interface.
  void start();

  /// Ends the session with `why` in place of opening the interface.
  void refuse(capture_error why);

  // -- for the reactor --------------------------------------------------------

  void on_wake() override;
  void on_ready(std::uint32_t events) override;
  void on_timer() override;

private:
  enum class phase { opening, capturing, draining, ended };

  using opened_interface = expected<std::unique_ptr<live_interface>>;

  /// What other threads want of the session.
  struct inbox {
    std::uint64_t granted = 0;
    bool stop = false;
    bool abandon = false;
    std::optional<opened_interface> opened;
  };

  bool on_packet(const packet_view& packet);

  void post_opened(opened_interface result);
  void begin();
  void read_round();
  void flush();
  void drain(std::optional<capture_error> why);
  void advance_drain();
  void finish();
  void close();

  void add_credit(std::uint64_t bytes);
  void starve();
  void feed();
  void take_kernel_counts();
  void take_interface_counts();
  void publish();

  const source_options options_;
  const services with_;

  mutable std::mutex mutex_; // Guards the next two.
  inbox inbox_;
  source_counters published_;

  /// Set by `stop` and `abandon`: an interface that nobody has begun to open
  /// need not be opened.
  std::atomic<bool> cancelled_{false};

  // The reactor's thread alone, but for `interface_`, which a helper destroys
  // after the end.
  std::shared_ptr<source_listener> listener_;
  phase phase_ = phase::opening;
  std::unique_ptr<live_interface> interface_;
  std::optional<batch_builder> builder_;
  std::optional<capture_error> error_;
  std::int64_t credit_ = 0;
  bool starved_ = false;              ///< Not reading for lack of credit.
  std::uint64_t round_bytes_ = 0;     ///< Read since the reactor last called.
  std::uint64_t delivered_ = 0;       ///< Packets in batches.
  std::uint64_t packets_read_ = 0;    ///< Packets taken from the ring.
  std::uint64_t kernel_taken_ = 0;    ///< Packets that were put into the ring.
  std::uint64_t kernel_accepted_ = 0; ///< Packets that the filter accepted.
  std::uint64_t kernel_dropped_ = 0;  ///< While we were reading.
  std::uint64_t dropped_by_us_ = 0;
  std::optional<std::uint64_t> interface_drops_base_;
  std::optional<std::uint64_t> interface_drops_;
  reactor::clock::time_point drain_deadline_;
  /// A drain that follows a lost interface waits until then, so that a
  /// deletion is not taken for "down", which comes just before it.
  reactor::clock::time_point drain_not_before_;
};

} // namespace edgecap::capture

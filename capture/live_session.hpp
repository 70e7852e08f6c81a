#pragma once

#include "capture/interface_tap.hpp"
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

/// One live source from its opening to its end: a subscriber of its interface's
/// tap, in the reactor's thread, where it calls the listener.
///
/// Its phases: opening → capturing → draining → ended; the third is left out
/// when there is nothing to wait for.
class live_session : public reactor::client,
                     public tap_subscriber,
                     public std::enable_shared_from_this<live_session> {
public:
  /// What a session needs of `live_capture`, and what has to outlive it.
  struct services {
    reactor* loop = nullptr;
    /// Finds the interface's tap. Called in the reactor's thread.
    std::function<std::shared_ptr<interface_tap>(const source_options&)> tap;
    /// Nothing is left of the session. Called in the reactor's thread.
    std::function<void(const std::shared_ptr<live_session>&)> closed;
  };

  live_session(source_options options,
               std::shared_ptr<source_listener> listener, services with);

  // -- for any thread; the caller then wakes the session ----------------------

  /// See `packet_source`. Returns whether the session has to be woken for it;
  /// otherwise it finds the grant at the end of its next round.
  bool grant(std::uint64_t bytes);

  /// See `packet_source`.
  void stop();

  /// Ends without draining.
  void abandon();

  /// See `packet_source`.
  source_counters counters() const;

  /// Ends the session with `why` in place of opening the interface. Before it
  /// is woken for the first time.
  void refuse(capture_error why);

  // -- for the reactor --------------------------------------------------------

  void on_wake() override;
  void on_ready(std::uint32_t) override {}
  void on_timer() override;

  // -- for the tap ------------------------------------------------------------

  void on_tapped(tap_row row, link_type link) override;
  void on_tap_failed(const capture_error& why) override;
  bool on_packet(const packet_view& packet) override;
  bool on_run(packet_run& run) override;
  void on_round_end() override;
  void on_lost(const capture_error& why) override;
  void on_drained() override;
  void on_tick() override;

private:
  enum class phase { opening, capturing, draining, ended };

  /// What other threads want of the session.
  struct inbox {
    std::uint64_t granted = 0;
    bool stop = false;
    bool abandon = false;
  };

  void join();
  bool take(const packet_view& packet);
  void flush();
  void flush_if_due();
  void drain(std::optional<capture_error> why);
  void advance_drain();
  void finish();

  bool hungry() const;
  void collect_grants();
  void add_credit(std::uint64_t bytes);
  void publish();

  const source_options options_;
  const services with_;

  mutable std::mutex mutex_; // Guards the next three.
  inbox inbox_;
  bool starving_ = true; ///< Waits for a grant.
  source_counters published_;

  // The reactor's thread alone.
  std::shared_ptr<source_listener> listener_;
  std::shared_ptr<interface_tap> tap_;
  std::optional<tap_row> row_; ///< In `tap_`, while subscribed.
  tap_counts before_;          ///< The tap's, when we came.
  phase phase_ = phase::opening;
  std::optional<batch_builder> builder_;
  reactor::clock::time_point flushed_; ///< When a batch was handed over last.
  std::optional<capture_error> error_;
  std::int64_t credit_ = 0;
  bool counted_ = false;        ///< Since it or a batch was told.
  std::uint64_t matched_ = 0;   ///< Packets that the tap showed.
  std::uint64_t delivered_ = 0; ///< Of them, packets in batches.
  std::uint64_t dropped_by_us_ = 0;
  bool left_unknown_ = false; ///< Of these, some may be for others.
  bool drained_ = false;
  reactor::clock::time_point drain_deadline_;
  /// A drain that follows a lost interface waits until then, so that a
  /// deletion is not taken for "down", which comes just before it.
  reactor::clock::time_point drain_not_before_;
};

} // namespace edgecap::capture

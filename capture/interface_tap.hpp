#pragma once

#include "capture/capture_error.hpp"
#include "capture/flow_table.hpp"
#include "capture/helper_pool.hpp"
#include "capture/live_interface.hpp"
#include "capture/packet_source.hpp"
#include "capture/reactor.hpp"
#include "capture/tap_filter.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace edgecap::capture {

/// Names a subscription of a tap; used again when it has ended.
using tap_row = std::uint32_t;

/// Who wants packets of an interface. All calls come from the reactor's
/// thread.
class tap_subscriber {
public:
  virtual ~tap_subscriber() = default;

  /// What matches is captured from now on.
  virtual void on_tapped(tap_row row, link_type link) = 0;

  /// There will be no packets: the interface cannot be opened, or the filter
  /// not be installed. The subscription has ended; last call.
  virtual void on_tap_failed(const capture_error& why) = 0;

  /// A packet that matches. Returns whether the next one would be taken, too;
  /// after a `false` packets may still come, which are then lost. Calls
  /// nothing of the tap.
  virtual bool on_packet(const packet_view& packet) = 0;

  /// As `on_packet`, for packets that all match: reads the run as long as it
  /// would take the next one. One call for many packets.
  virtual bool on_run(packet_run& run) = 0;

  /// Packets were shown, and others have their turn now.
  virtual void on_round_end() = 0;

  /// The interface went down or away. What is in the ring still comes.
  virtual void on_lost(const capture_error& why) = 0;

  /// Follows `interface_tap::retire`: what the kernel had taken by then has
  /// been shown.
  virtual void on_drained() = 0;

  /// Time to bring the counts up to date: once a second.
  virtual void on_tick() = 0;
};

/// What a tap counted since it was opened.
struct tap_counts {
  std::uint64_t dropped_reading = 0; ///< The ring was full while it was read.
  std::uint64_t dropped_waiting = 0; ///< While nobody could take a packet.
  /// Of both, while the ring was shared: nobody knows whose they were.
  std::uint64_t dropped_shared = 0;
  std::optional<std::uint64_t> dropped_by_interface;
};

/// One interface, captured once for all who want packets of it. A client of
/// the reactor, in whose thread everything happens; helper threads open and
/// close the socket.
///
/// A subscriber's part of the stream is told by the numbers of the packets in
/// the ring, which the kernel counts: what it took before a subscriber came,
/// or after it went, is not shown to it, whatever the stamps say.
///
/// While nobody can take a packet the ring is not read and fills up. Otherwise
/// who cannot loses what comes: others do not wait for it.
class interface_tap : public reactor::client,
                      public std::enable_shared_from_this<interface_tap> {
public:
  /// What a tap needs, and what has to outlive it.
  struct services {
    reactor* loop = nullptr;
    helper_pool* helpers = nullptr;
    ring_reserve* reserve = nullptr;
    /// How long the socket stays open when nobody is left.
    reactor::clock::duration idle_time{};
    /// Whether to load programs into the kernel, if it lets us.
    bool use_classifier = true;
    /// Why one is not used: all works without it, but costs more. Called in a
    /// helper thread or the reactor's.
    std::function<void(const capture_error&)> on_fallback;
    /// Nobody may join any more. Called in the reactor's thread.
    std::function<void(const std::shared_ptr<interface_tap>&)> ending;
    /// The socket is closed. Called in a helper thread.
    std::function<void(const std::shared_ptr<interface_tap>&)> closed;
  };

  /// @param first What the first subscriber asks for: its ring serves all.
  interface_tap(source_options first, services with);

  /// Name that the interface had when it was opened.
  const std::string& interface() const {
    return first_.interface;
  }

  /// Has a helper open the interface.
  void start();

  /// True unless `interface()` names another interface by now.
  bool current() const;

  /// Subscribes `who`. `on_tapped` or `on_tap_failed` follows, maybe at once.
  tap_row join(std::shared_ptr<tap_subscriber> who, const source_options& what);

  /// Ends a subscription; what is in the ring is not shown.
  void leave(tap_row id);

  /// Ends a subscription, but for what the kernel took until now:
  /// `on_drained` follows when that was shown, maybe at once. Then, or before,
  /// `leave` has to follow.
  void retire(tap_row id);

  /// Whether the subscriber can take packets. At first it can.
  void set_hungry(tap_row id, bool value);

  /// Packets in the ring that are known to be for this subscriber: those that
  /// came in while there was no other one whose they may be.
  std::uint64_t unread_of(tap_row id) const;

  /// Packets in the ring that came in for this subscriber or, if there are
  /// others, for any of them.
  std::uint64_t unread_since(tap_row id) const;

  /// Brings `counts` up to date.
  void refresh_counts();

  const tap_counts& counts() const {
    return counts_;
  }

  /// See `live_interface`.
  capture_error loss() const {
    return interface_->loss();
  }

  /// Takes no more subscribers, and ends when the last one has left.
  void end_when_left();

  void on_wake() override;
  void on_ready(std::uint32_t events) override;
  void on_timer() override;

private:
  static constexpr auto never = std::numeric_limits<std::uint64_t>::max();

  enum class phase { opening, open, ended };

  /// A subscription, or what is left of it while the ring may hold packets
  /// that it let in.
  struct row {
    std::shared_ptr<tap_subscriber> subscriber; ///< Null: it left.
    source_options wanted;
    flow_match match;           ///< Of its filter.
    std::uint64_t from = never; ///< Gets packets with a higher number,
    std::uint64_t until = 0;    ///< up to this one.
    bool admitted = false;      ///< The kernel lets its packets in.
    bool drained = false;       ///< None is left in the ring.
    bool hungry = true;         ///< Would take a packet.
    bool touched = false;       ///< Got some in this round.
  };

  /// Packets with a number above the first and up to the second.
  struct stretch {
    std::uint64_t from = never;
    std::uint64_t until = never;
  };

  /// What helpers made.
  struct inbox {
    std::optional<expected<std::unique_ptr<live_interface>>> opened;
    std::optional<kernel_classifier> classifier;
  };

  void open_in_helper();
  void begin(std::unique_ptr<live_interface> interface);
  void load_classifier();
  void fail(const capture_error& why);
  void lose(const capture_error& why);
  void refuse_newcomers();
  void close();
  void close_if_left();

  void admit(tap_row id);
  void shut_out(tap_row id);
  void settle();
  void free_row(tap_row id);
  void change_promiscuous(int by);

  std::uint64_t unread_of(tap_row id, const stretch& part) const;

  void read_round();
  void read_run();
  bool may_read() const;
  bool on_packet(const packet_view& packet);
  void find_rows(const packet_view& packet);
  void thin_found();
  void show(tap_row id, const packet_view& packet);
  void touch(tap_row id);
  void end_round();
  void update_interest();
  void take_counts();
  void note_coin(std::uint64_t before);
  bool tossed();
  bool shared() const;
  void watch_for_sole();

  const source_options first_;
  const services with_;

  std::mutex mutex_; // Guards the next one.
  inbox inbox_;

  // The reactor's thread alone, but for `interface_`, which a helper destroys
  // after the end.
  phase phase_ = phase::opening;
  bool ending_ = false; ///< Nobody may join; closes when nobody is left.
  std::unique_ptr<live_interface> interface_;
  std::optional<tap_filter> filter_;
  bool classifier_wanted_ = false; ///< Once there were two rows.
  flow_table table_; ///< Rows that were admitted and are not drained.
  std::vector<std::optional<row>> rows_; ///< Index: tap_row.
  std::vector<tap_row> free_;            ///< Unused ones of `rows_`.
  std::vector<tap_row> retired_;         ///< Shut out, not drained.
  std::size_t subscribers_ = 0;
  std::size_t hungry_ = 0; ///< Of them.
  int promiscuous_ = 0;    ///< Of the admitted ones.

  bool waiting_ = false;               ///< Nobody is hungry: not reading.
  std::uint64_t round_bytes_ = 0;      ///< Read since the reactor last called.
  std::vector<flow_table::row> found_; ///< For the packet at hand.
  std::vector<tap_row> touched_;       ///< In this round.
  std::mt19937_64 random_;
  std::uint64_t read_ = 0;  ///< Number of the packet that was read last.
  std::uint64_t taken_ = 0; ///< Number of the last one in the ring.
  /// Packets with a number above the first and up to the second were let in by
  /// the program of a single row: they are for it.
  std::uint64_t sole_from_ = never;
  std::uint64_t sole_until_ = never;
  tap_row sole_ = 0;       ///< That row.
  bool sole_soon_ = false; ///< So it will be from the next tick on.

  /// Packets that the ring may hold and that were let in without a coin,
  /// whatever the sampling. In order.
  std::deque<stretch> untossed_;

  tap_counts counts_;
  std::optional<std::uint64_t> interface_drops_base_;
  reactor::clock::time_point idle_since_;
};

} // namespace edgecap::capture

#include "capture/live_session.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace edgecap::capture {

namespace {

using namespace std::chrono_literals;

/// Longest time that a stopped source waits for credit, and for the kernel to
/// hand over its last block.
constexpr auto drain_timeout = 2s;

/// What lies between the kernel's news that an interface is down and the
/// deletion that it may be part of.
constexpr auto loss_grace = 50ms;

constexpr std::uint32_t max_snaplen_bytes = 262144;
constexpr std::uint32_t max_wake_interval_ms = 1000;
constexpr std::uint32_t max_batch_interval_ms = 1000;
constexpr std::uint32_t min_batch_bytes = 4096;

/// Options within the bounds that the rest relies on.
source_options normalized(source_options options) {
  options.snaplen_bytes
    = std::clamp(options.snaplen_bytes, 1u, max_snaplen_bytes);
  options.wake_interval_ms
    = std::clamp(options.wake_interval_ms, 1u, max_wake_interval_ms);
  options.batch_interval_ms
    = std::min(options.batch_interval_ms, max_batch_interval_ms);
  options.sampling_one_in = std::max(options.sampling_one_in, 1u);
  options.batch_bytes = std::max(options.batch_bytes, min_batch_bytes);
  return options;
}

/// The counts of a source that saw nothing yet.
source_counters initial_counters(const source_options& options) {
  source_counters result;
  if (options.sampling_one_in == 1) {
    result.packets_matched = 0;
    result.packets_sampled_out = 0;
  }
  result.dropped_by_kernel = 0;
  return result;
}

} // namespace

live_session::live_session(source_options options,
                           std::shared_ptr<source_listener> listener,
                           services with)
  : options_(normalized(std::move(options))), with_(std::move(with)),
    published_(initial_counters(options_)), listener_(std::move(listener)) {
  add_credit(options_.initial_credit_bytes);
}

// -- other threads ------------------------------------------------------------

bool live_session::grant(std::uint64_t bytes) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  std::lock_guard guard{mutex_};
  inbox_.granted += std::min(bytes, most - inbox_.granted);
  return starving_;
}

void live_session::stop() {
  std::lock_guard guard{mutex_};
  inbox_.stop = true;
}

void live_session::abandon() {
  std::lock_guard guard{mutex_};
  inbox_.abandon = true;
}

source_counters live_session::counters() const {
  std::lock_guard guard{mutex_};
  return published_;
}

void live_session::refuse(capture_error why) {
  error_ = std::move(why);
}

// -- the reactor's thread -----------------------------------------------------

void live_session::on_wake() {
  inbox news;
  {
    std::lock_guard guard{mutex_};
    news = inbox_;
  }
  if (phase_ == phase::ended)
    return;
  if (news.abandon || (phase_ == phase::opening && (news.stop || error_))) {
    finish();
    return;
  }
  if (!tap_)
    join();
  else if (row_ && phase_ != phase::opening)
    collect_grants();
  if (phase_ == phase::capturing && news.stop)
    drain(std::nullopt);
}

void live_session::on_timer() {
  if (phase_ == phase::draining)
    advance_drain();
  else if (phase_ == phase::capturing)
    flush_if_due();
}

void live_session::join() {
  tap_ = with_.tap(options_);
  const auto row = tap_->join(shared_from_this(), options_);
  if (phase_ != phase::ended)
    row_ = row;
}

void live_session::on_tapped(tap_row row, link_type link) {
  row_ = row;
  phase_ = phase::capturing;
  builder_.emplace(link, options_.batch_bytes);
  before_ = tap_->counts();
  publish();
  listener_->on_opened(link);
  if (options_.packet_limit == 0)
    finish();
  else
    collect_grants();
}

void live_session::on_tap_failed(const capture_error& why) {
  row_.reset();
  error_ = why;
  finish();
}

bool live_session::on_packet(const packet_view& packet) {
  return take(packet);
}

bool live_session::on_run(packet_run& run) {
  run.read([this](const packet_view& x) { return take(x); });
  return hungry();
}

/// Takes a packet into the batch. Returns whether it would take the next one.
inline bool live_session::take(const packet_view& packet) {
  ++matched_;
  if (delivered_ >= options_.packet_limit
      || packet.header.time() > options_.not_after)
    return hungry();
  if (credit_ <= 0) {
    ++dropped_by_us_; // Others had the tap read on.
    return false;
  }
  auto header = packet.header;
  header.captured_length
    = std::min(header.captured_length, options_.snaplen_bytes);
  if (options_.stamp_correction_ns != 0)
    header.move_time(options_.stamp_correction_ns);
  const auto record_bytes = sizeof header + header.captured_length;
  if (!builder_->append(header, packet.data)) {
    flush();
    builder_->append(header, packet.data); // It is empty: takes any.
  }
  credit_ -= static_cast<std::int64_t>(record_bytes);
  ++delivered_;
  return hungry();
}

void live_session::on_round_end() {
  if (phase_ == phase::ended)
    return;
  collect_grants();
  flush_if_due();
  publish();
  if (delivered_ >= options_.packet_limit)
    finish();
}

void live_session::on_lost(const capture_error& why) {
  if (phase_ != phase::ended)
    drain(why);
}

void live_session::on_drained() {
  drained_ = true;
  if (phase_ == phase::draining)
    advance_drain();
}

void live_session::on_tick() {
  if (phase_ == phase::ended)
    return;
  publish();
  if (counted_ && (!builder_ || builder_->empty())) {
    counted_ = false;
    listener_->on_counters();
  }
}

void live_session::flush() {
  if (builder_->empty())
    return;
  publish(); // Whoever gets the batch may ask.
  counted_ = false;
  listener_->on_batch(builder_->take());
  flushed_ = reactor::clock::now();
}

/// Hands over what nothing can be added to, and what need not wait: so the
/// first packet after a while is seen at once, and what follows soon makes one
/// batch instead of many.
void live_session::flush_if_due() {
  if (builder_->empty())
    return;
  const auto due
    = flushed_ + std::chrono::milliseconds{options_.batch_interval_ms};
  if (phase_ != phase::capturing || !hungry() || reactor::clock::now() >= due)
    flush();
  else
    with_.loop->set_timer(shared_from_this(), due);
}

/// Ends capturing and, if there is anything to wait for, begins to wait for it.
/// A second call adds its reason to the first.
void live_session::drain(std::optional<capture_error> why) {
  const auto now = reactor::clock::now();
  if (why) {
    error_ = std::move(why);
    drain_not_before_ = now + loss_grace;
  }
  if (phase_ == phase::draining)
    return;
  flush();
  phase_ = phase::draining;
  drain_deadline_ = now + drain_timeout;
  tap_->retire(*row_);
  if (!drained_)
    advance_drain();
}

/// Finishes when all that the kernel took has been shown, or when it is time.
void live_session::advance_drain() {
  const auto now = reactor::clock::now();
  if (now < drain_deadline_ && (!drained_ || now < drain_not_before_)) {
    publish();
    with_.loop->set_timer(shared_from_this(),
                          drained_ ? drain_not_before_ : drain_deadline_);
    return;
  }
  const auto left = tap_->unread_since(*row_);
  dropped_by_us_ += left;
  left_unknown_ = left > tap_->unread_of(*row_);
  if (error_
      && (error_->code == capture_errc::interface_down
          || error_->code == capture_errc::no_such_interface))
    error_ = tap_->loss();
  finish();
}

/// From any phase to ended.
void live_session::finish() {
  phase_ = phase::ended;
  with_.loop->clear_timer(*this);
  if (builder_) {
    flush();
    tap_->refresh_counts();
  }
  publish();
  if (row_)
    tap_->leave(*std::exchange(row_, std::nullopt));
  listener_->on_ended({counters(), std::move(error_)});
  listener_.reset();
  builder_.reset();
  with_.closed(shared_from_this());
}

// -- credit -------------------------------------------------------------------

void live_session::add_credit(std::uint64_t bytes) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  // A debt is one packet at most, so that neither side can overflow.
  const auto room
    = static_cast<std::uint64_t>(most - std::max<std::int64_t>(credit_, 0));
  credit_ += static_cast<std::int64_t>(std::min(bytes, room));
}

/// Adds what was granted meanwhile, and tells the tap what that means.
void live_session::collect_grants() {
  {
    std::lock_guard guard{mutex_};
    add_credit(std::exchange(inbox_.granted, 0));
    starving_ = credit_ <= 0;
  }
  tap_->set_hungry(*row_, hungry());
}

/// True if the session would take a packet.
bool live_session::hungry() const {
  return credit_ > 0 && delivered_ < options_.packet_limit;
}

// -- counts -------------------------------------------------------------------

void live_session::publish() {
  auto now = initial_counters(options_);
  now.dropped_by_us = dropped_by_us_;
  if (builder_ && row_) {
    const auto& counts = tap_->counts();
    const auto reading = counts.dropped_reading - before_.dropped_reading;
    const auto waiting = counts.dropped_waiting - before_.dropped_waiting;
    now.dropped_by_kernel = reading;
    now.dropped_by_us += waiting;
    if (now.packets_matched)
      now.packets_matched
        = matched_ + tap_->unread_of(*row_) + reading + waiting;
    if (counts.dropped_shared > before_.dropped_shared || left_unknown_)
      now.packets_matched.reset(); // Of others, too; nobody knows how many.
    if (counts.dropped_by_interface && before_.dropped_by_interface
        && *counts.dropped_by_interface >= *before_.dropped_by_interface)
      now.dropped_by_interface
        = *counts.dropped_by_interface - *before_.dropped_by_interface;
  }
  counted_ = counted_ || now != published_; // Others only read it.
  std::lock_guard guard{mutex_};
  published_ = now;
}

} // namespace edgecap::capture

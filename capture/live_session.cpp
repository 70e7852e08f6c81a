#include "capture/live_session.hpp"

#include "capture/interface_counters.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace edgecap::capture {

namespace {

using namespace std::chrono_literals;

/// What one source may read before the next one has its turn.
constexpr std::uint64_t round_budget_bytes = 1u << 20;

/// How often the counts of a quiet source are brought up to date.
constexpr auto counters_interval = 1s;

/// Longest time that a stopped source waits for credit, and for the kernel to
/// hand over its last block.
constexpr auto drain_timeout = 2s;

/// What lies between the kernel's news that an interface is down and the
/// deletion that it may be part of.
constexpr auto loss_grace = 50ms;

constexpr std::uint32_t max_snaplen_bytes = 262144;
constexpr std::uint32_t max_wake_interval_ms = 1000;
constexpr std::uint32_t min_batch_bytes = 4096;

/// Options within the bounds that the rest relies on.
source_options normalized(source_options options) {
  options.snaplen_bytes
    = std::clamp(options.snaplen_bytes, 1u, max_snaplen_bytes);
  options.wake_interval_ms
    = std::clamp(options.wake_interval_ms, 1u, max_wake_interval_ms);
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

void live_session::grant(std::uint64_t bytes) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  std::lock_guard guard{mutex_};
  inbox_.granted += std::min(bytes, most - inbox_.granted);
}

void live_session::stop() {
  cancelled_ = true;
  std::lock_guard guard{mutex_};
  inbox_.stop = true;
}

void live_session::abandon() {
  cancelled_ = true;
  std::lock_guard guard{mutex_};
  inbox_.abandon = true;
}

source_counters live_session::counters() const {
  std::lock_guard guard{mutex_};
  return published_;
}

void live_session::start() {
  with_.helpers->post([self = shared_from_this()] {
    if (self->cancelled_)
      self->post_opened(std::unique_ptr<live_interface>{});
    else
      self->post_opened(live_interface::open(self->options_));
  });
}

void live_session::refuse(capture_error why) {
  post_opened(tl::unexpected<capture_error>{std::move(why)});
}

void live_session::post_opened(opened_interface result) {
  {
    std::lock_guard guard{mutex_};
    inbox_.opened = std::move(result);
  }
  with_.loop->wake(shared_from_this());
}

// -- the reactor's thread -----------------------------------------------------

void live_session::on_wake() {
  inbox news;
  {
    std::lock_guard guard{mutex_};
    news.granted = std::exchange(inbox_.granted, 0);
    news.stop = inbox_.stop;
    news.abandon = inbox_.abandon;
    news.opened = std::exchange(inbox_.opened, std::nullopt);
  }
  if (phase_ == phase::ended)
    return;
  add_credit(news.granted);
  if (phase_ == phase::opening) {
    if (!news.opened)
      return; // What else was asked for is looked at when it is open.
    if (!*news.opened)
      error_ = std::move(news.opened->error());
    else
      interface_ = std::move(**news.opened);
    if (!interface_ || news.abandon) {
      finish();
      return;
    }
    begin();
  } else if (news.abandon) {
    finish();
    return;
  }
  if (phase_ == phase::capturing && news.stop)
    drain(std::nullopt);
  if (phase_ != phase::ended && starved_ && credit_ > 0)
    feed();
}

void live_session::on_ready(std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    if (auto error = interface_->take_error())
      drain(std::move(error));
  }
  if (phase_ != phase::ended && !starved_)
    read_round();
}

void live_session::on_timer() {
  if (phase_ == phase::draining) {
    advance_drain();
  } else if (phase_ == phase::capturing) {
    take_kernel_counts();
    take_interface_counts();
    publish();
    with_.loop->set_timer(shared_from_this(),
                          reactor::clock::now() + counters_interval);
  }
}

/// The interface is open: from opening to capturing.
void live_session::begin() {
  phase_ = phase::capturing;
  interface_drops_base_
    = read_interface_drops(options_.interface, interface_->index());
  if (interface_drops_base_)
    interface_drops_ = 0;
  publish();
  builder_.emplace(interface_->link(), options_.batch_bytes);
  listener_->on_opened(interface_->link());
  if (options_.packet_limit == 0) {
    finish();
    return;
  }
  starved_ = credit_ <= 0;
  auto ok = with_.loop->watch(shared_from_this(), interface_->descriptor(),
                              starved_ ? reactor::interest::none
                                       : reactor::interest::readable);
  if (!ok) {
    error_ = std::move(ok.error());
    finish();
    return;
  }
  with_.loop->set_timer(shared_from_this(),
                        reactor::clock::now() + counters_interval);
}

void live_session::read_round() {
  round_bytes_ = 0;
  interface_->read([this](const packet_view& x) { return on_packet(x); });
  flush();
  take_kernel_counts();
  publish();
  if (delivered_ >= options_.packet_limit) {
    finish();
    return;
  }
  if (phase_ == phase::draining)
    advance_drain();
  if (phase_ != phase::ended && credit_ <= 0)
    starve();
}

bool live_session::on_packet(const packet_view& packet) {
  const auto size = sizeof packet.header + packet.header.captured_length;
  ++packets_read_;
  round_bytes_ += size;
  if (packet.header.time() <= options_.not_after) {
    if (!builder_->append(packet.header, packet.data)) {
      flush();
      builder_->append(packet.header, packet.data); // It is empty: takes any.
    }
    credit_ -= static_cast<std::int64_t>(size);
    ++delivered_;
  }
  return credit_ > 0 && delivered_ < options_.packet_limit
         && round_bytes_ < round_budget_bytes;
}

void live_session::flush() {
  if (!builder_->empty())
    listener_->on_batch(builder_->take());
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
  phase_ = phase::draining;
  drain_deadline_ = now + drain_timeout;
  if (auto ok = interface_->reject_all(); !ok && !error_)
    error_ = std::move(ok.error());
  advance_drain();
}

/// Finishes when all that the kernel took has been read, or when it is time.
void live_session::advance_drain() {
  take_kernel_counts();
  const auto now = reactor::clock::now();
  const auto left = kernel_taken_ - std::min(packets_read_, kernel_taken_);
  if (now < drain_deadline_ && (left > 0 || now < drain_not_before_)) {
    publish();
    const auto next = left > 0 ? drain_deadline_ : drain_not_before_;
    with_.loop->set_timer(shared_from_this(), next);
    return;
  }
  dropped_by_us_ += left;
  if (error_
      && (error_->code == capture_errc::interface_down
          || error_->code == capture_errc::no_such_interface))
    error_ = interface_->loss();
  finish();
}

/// From any phase to ended.
void live_session::finish() {
  phase_ = phase::ended;
  with_.loop->unwatch(*this);
  with_.loop->clear_timer(*this);
  if (interface_) {
    // Spares the host the filter's cost until the socket is closed. If it fails
    // the ring fills up, which harms nobody.
    [[maybe_unused]] const auto ok = interface_->reject_all();
    take_kernel_counts();
    take_interface_counts();
  }
  publish();
  listener_->on_ended({counters(), std::move(error_)});
  listener_.reset();
  builder_.reset();
  close();
}

void live_session::close() {
  with_.helpers->post([self = shared_from_this()] {
    self->interface_.reset();
    self->with_.closed(self);
  });
}

// -- credit -------------------------------------------------------------------

void live_session::add_credit(std::uint64_t bytes) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  // A debt is one packet at most, so that neither side can overflow.
  const auto room
    = static_cast<std::uint64_t>(most - std::max<std::int64_t>(credit_, 0));
  credit_ += static_cast<std::int64_t>(std::min(bytes, room));
}

/// Stops reading until there is credit; packets wait in the ring.
void live_session::starve() {
  take_kernel_counts();
  starved_ = true;
  with_.loop->change(*this, reactor::interest::none);
}

/// Reads on.
void live_session::feed() {
  take_kernel_counts();
  starved_ = false;
  with_.loop->change(*this, reactor::interest::readable);
}

// -- counts -------------------------------------------------------------------

void live_session::take_kernel_counts() {
  const auto counts = interface_->take_counts();
  kernel_taken_ += counts.taken;
  kernel_accepted_ += counts.taken + counts.dropped;
  if (starved_)
    dropped_by_us_ += counts.dropped;
  else
    kernel_dropped_ += counts.dropped;
}

void live_session::take_interface_counts() {
  interface_drops_.reset();
  if (!interface_drops_base_)
    return;
  const auto drops
    = read_interface_drops(options_.interface, interface_->index());
  if (drops && *drops >= *interface_drops_base_)
    interface_drops_ = *drops - *interface_drops_base_;
}

void live_session::publish() {
  auto now = initial_counters(options_);
  if (now.packets_matched)
    now.packets_matched = kernel_accepted_;
  now.dropped_by_kernel = kernel_dropped_;
  now.dropped_by_interface = interface_drops_;
  now.dropped_by_us = dropped_by_us_;
  std::lock_guard guard{mutex_};
  published_ = now;
}

} // namespace edgecap::capture

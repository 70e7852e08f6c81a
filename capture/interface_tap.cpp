#include "capture/interface_tap.hpp"

#include "capture/flow.hpp"
#include "capture/interface_counters.hpp"

#include <net/if.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

namespace edgecap::capture {

namespace {

using namespace std::chrono_literals;

/// What one tap may read before the next one has its turn.
constexpr std::uint64_t round_budget_bytes = 1u << 20;

/// How often the counts of a quiet interface are brought up to date. Long
/// enough that no packet is left on a CPU that met an older filter.
constexpr auto tick_interval = 1s;

/// Most stretches of packets without a coin that are told apart while none is
/// read.
constexpr std::size_t max_untossed = 256;

} // namespace

interface_tap::interface_tap(source_options first, services with)
  : first_(std::move(first)), with_(std::move(with)),
    random_(std::random_device{}()) {}

// -- opening and closing ------------------------------------------------------

void interface_tap::start() {
  with_.helpers->post([self = shared_from_this()] { self->open_in_helper(); });
}

void interface_tap::open_in_helper() {
  auto interface = live_interface::open(first_, *with_.reserve);
  {
    std::lock_guard guard{mutex_};
    inbox_.opened = std::move(interface);
  }
  with_.loop->wake(shared_from_this());
}

/// Has a helper load the program that several rows share; until it is there,
/// and if it cannot be had, they share a simpler one.
void interface_tap::load_classifier() {
  if (!with_.use_classifier || std::exchange(classifier_wanted_, true))
    return;
  with_.helpers->post(
    [self = shared_from_this(), layout = interface_->layout()] {
      auto loaded = kernel_classifier::create(layout, min_kernel_snaplen_bytes);
      if (!loaded) {
        self->with_.on_fallback(loaded.error());
        return;
      }
      {
        std::lock_guard guard{self->mutex_};
        self->inbox_.classifier = std::move(*loaded);
      }
      self->with_.loop->wake(self);
    });
}

bool interface_tap::current() const {
  return phase_ == phase::opening
         || ::if_nametoindex(first_.interface.c_str()) == interface_->index();
}

void interface_tap::on_wake() {
  inbox news;
  {
    std::lock_guard guard{mutex_};
    news = std::exchange(inbox_, {});
  }
  if (phase_ == phase::ended)
    return;
  if (news.opened && *news.opened)
    begin(std::move(**news.opened));
  else if (news.opened)
    fail(news.opened->error());
  if (news.classifier) {
    take_counts();
    const auto before = taken_;
    filter_->use(std::move(*news.classifier));
    take_counts();
    note_coin(before);
  }
}

void interface_tap::begin(std::unique_ptr<live_interface> interface) {
  interface_ = std::move(interface);
  filter_.emplace(*interface_, with_.on_fallback);
  phase_ = phase::open;
  if (auto ok = with_.loop->watch(shared_from_this(), interface_->descriptor(),
                                  reactor::interest::readable);
      !ok) {
    fail(ok.error());
    return;
  }
  interface_drops_base_
    = read_interface_drops(first_.interface, interface_->index());
  if (interface_drops_base_)
    counts_.dropped_by_interface = 0;
  with_.loop->set_timer(shared_from_this(),
                        reactor::clock::now() + tick_interval);
  for (tap_row id = 0; id < rows_.size(); ++id)
    if (rows_[id] && !rows_[id]->admitted)
      admit(id);
  idle_since_ = reactor::clock::now();
  close_if_left();
}

/// There will be no packets: ends all subscriptions and the tap.
void interface_tap::fail(const capture_error& why) {
  for (tap_row id = 0; id < rows_.size(); ++id) {
    if (!rows_[id])
      continue;
    const auto who = rows_[id]->subscriber;
    free_row(id);
    who->on_tap_failed(why);
  }
  close();
}

void interface_tap::lose(const capture_error& why) {
  refuse_newcomers();
  for (tap_row id = 0; id < rows_.size(); ++id)
    if (const auto who = rows_[id] ? rows_[id]->subscriber : nullptr)
      who->on_lost(why);
  close_if_left();
}

void interface_tap::end_when_left() {
  refuse_newcomers();
  close_if_left();
}

void interface_tap::refuse_newcomers() {
  if (!std::exchange(ending_, true))
    with_.ending(shared_from_this());
}

void interface_tap::close_if_left() {
  if (phase_ == phase::open && subscribers_ == 0
      && (ending_ || reactor::clock::now() - idle_since_ >= with_.idle_time))
    close();
}

void interface_tap::close() {
  phase_ = phase::ended;
  refuse_newcomers();
  with_.loop->unwatch(*this);
  with_.loop->clear_timer(*this);
  with_.helpers->post([self = shared_from_this()] {
    self->filter_.reset();
    self->interface_.reset();
    self->with_.reserve->refill();
    self->with_.closed(self);
  });
}

// -- subscriptions ------------------------------------------------------------

tap_row interface_tap::join(std::shared_ptr<tap_subscriber> who,
                            const source_options& what) {
  assert(!ending_);
  auto id = static_cast<tap_row>(rows_.size());
  if (free_.empty()) {
    rows_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  auto& x = rows_[id].emplace();
  x.subscriber = std::move(who);
  x.wanted = what;
  ++subscribers_;
  ++hungry_;
  if (phase_ == phase::open)
    admit(id);
  return id;
}

/// Lets packets of the row in from now on.
void interface_tap::admit(tap_row id) {
  auto& x = *rows_[id];
  const auto who = x.subscriber;
  refresh_counts(); // What was dropped before is not its loss.
  const auto idle = table_.size() == 0 && filter_->rejects_all();
  const auto before = taken_;
  if (auto ok = filter_->insert(id, x.wanted); !ok) {
    take_counts();
    note_coin(before);
    free_row(id);
    who->on_tap_failed(ok.error());
    return;
  }
  x.match = filter_->match_of(id);
  table_.insert(x.match, {id, threshold_of(x.wanted.sampling_one_in)});
  x.admitted = true;
  if (x.wanted.promiscuous)
    change_promiscuous(1);
  take_counts();
  x.from = taken_;
  x.until = never;
  if (idle && !filter_->leaked() && filter_->sole_row() == id) {
    sole_ = id;
    sole_from_ = taken_;
    sole_until_ = never;
  } else {
    sole_until_ = std::min(sole_until_, before);
  }
  sole_soon_ = false;
  update_interest();
  note_coin(before);
  if (filter_->size() > 1)
    load_classifier();
  who->on_tapped(id, interface_->link());
}

/// Keeps packets of the row out from now on.
void interface_tap::shut_out(tap_row id) {
  auto& x = *rows_[id];
  take_counts();
  const auto before = taken_;
  filter_->erase(id);
  if (x.wanted.promiscuous)
    change_promiscuous(-1);
  take_counts();
  x.until = taken_;
  note_coin(before);
  retired_.push_back(id);
  sole_soon_ = false;
}

void interface_tap::retire(tap_row id) {
  if (rows_[id]->until == never)
    shut_out(id);
  settle();
}

void interface_tap::leave(tap_row id) {
  auto& x = *rows_[id];
  set_hungry(id, false);
  x.subscriber = nullptr;
  --subscribers_;
  if (!x.admitted || x.drained)
    free_row(id);
  else if (x.until == never)
    shut_out(id);
  settle();
  if (subscribers_ == 0)
    idle_since_ = reactor::clock::now();
  update_interest();
  close_if_left();
}

/// Ends the rows of which nothing is left in the ring.
void interface_tap::settle() {
  std::vector<std::shared_ptr<tap_subscriber>> drained;
  for (std::size_t i = 0; i < retired_.size();) {
    const auto id = retired_[i];
    auto& x = *rows_[id];
    if (x.until > read_) {
      ++i;
      continue;
    }
    retired_[i] = retired_.back();
    retired_.pop_back();
    table_.erase(x.match, id);
    x.drained = true;
    if (x.subscriber)
      drained.push_back(x.subscriber);
    else
      free_row(id);
  }
  for (const auto& who : drained)
    who->on_drained();
}

void interface_tap::free_row(tap_row id) {
  auto& x = *rows_[id];
  if (x.subscriber) {
    set_hungry(id, false);
    --subscribers_;
  }
  if (id == sole_)
    sole_from_ = never;
  rows_[id].reset();
  free_.push_back(id);
}

void interface_tap::change_promiscuous(int by) {
  const auto before = promiscuous_ > 0;
  promiscuous_ += by;
  const auto now = promiscuous_ > 0;
  if (now != before)
    interface_->set_promiscuous(now);
}

void interface_tap::set_hungry(tap_row id, bool value) {
  auto& x = *rows_[id];
  if (x.hungry == value)
    return;
  x.hungry = value;
  hungry_ += value ? 1 : std::size_t(-1);
  update_interest();
}

std::uint64_t interface_tap::unread_of(tap_row id) const {
  return sole_ == id ? unread_of(id, {sole_from_, sole_until_}) : 0;
}

std::uint64_t interface_tap::unread_since(tap_row id) const {
  return unread_of(id, {0, never});
}

std::uint64_t interface_tap::unread_of(tap_row id, const stretch& part) const {
  const auto& x = *rows_[id];
  const auto last = std::min({x.until, taken_, part.until});
  const auto first = std::max({x.from, read_, part.from});
  return last > first ? last - first : 0;
}

// -- reading ------------------------------------------------------------------

void interface_tap::on_ready(std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    if (const auto error = interface_->take_error())
      lose(*error);
  }
  if (phase_ == phase::open && !waiting_)
    read_round();
}

void interface_tap::read_round() {
  round_bytes_ = 0;
  read_run();
  if (may_read())
    interface_->read([this](const packet_view& x) { return on_packet(x); });
  end_round();
}

/// True if the round goes on and there is somebody to read for, or nobody at
/// all: then what is left in the ring is thrown away.
bool interface_tap::may_read() const {
  return round_bytes_ < round_budget_bytes
         && (hungry_ > 0 || subscribers_ == 0);
}

/// Reads what is for one row alone, unless it is late: nothing has to be looked
/// up, or decided for each packet.
void interface_tap::read_run() {
  if (read_ < sole_from_ || read_ >= sole_until_)
    return;
  const auto& x = *rows_[sole_];
  const auto until = std::min(sole_until_, x.until);
  if (!x.subscriber || read_ >= until)
    return;
  const auto before = read_;
  auto run = interface_->run(read_, until, round_budget_bytes);
  const auto more = x.subscriber->on_run(run);
  if (read_ > before)
    touch(sole_);
  round_bytes_ += run.bytes();
  if (!more)
    set_hungry(sole_, false);
}

bool interface_tap::on_packet(const packet_view& packet) {
  ++read_;
  round_bytes_ += packet.record_bytes();
  if (sole_from_ < read_ && read_ <= sole_until_) {
    show(sole_, packet);
  } else {
    find_rows(packet);
    for (const auto& x : found_)
      show(x.id, packet);
  }
  return may_read();
}

/// Leaves in `found_` the rows that the packet is for.
void interface_tap::find_rows(const packet_view& packet) {
  found_.clear();
  const auto packet_flow
    = read_flow(interface_->link(), packet.data, packet.header.captured_length);
  table_.for_each_match(packet_flow, [this](const flow_table::row& found) {
    const auto& x = *rows_[found.id];
    if (x.from < read_ && read_ <= x.until)
      found_.push_back(found);
  });
  thin_found();
}

/// Gives each row its own rate: the kernel let the packet in with the chance of
/// the row that wants most, or without a coin.
void interface_tap::thin_found() {
  sampling_threshold kernel = 0;
  for (const auto& x : found_)
    kernel = std::max(kernel, x.threshold);
  if (!tossed())
    kernel = every_packet;
  const auto left_out = [&](const flow_table::row& x) {
    using draw = std::uniform_int_distribution<sampling_threshold>;
    return x.threshold < kernel && draw{0, kernel - 1}(random_) >= x.threshold;
  };
  found_.erase(std::remove_if(found_.begin(), found_.end(), left_out),
               found_.end());
}

/// Whether the kernel tossed a coin before it let the packet at hand in.
bool interface_tap::tossed() {
  while (!untossed_.empty() && untossed_.front().until < read_)
    untossed_.pop_front();
  return untossed_.empty() || untossed_.front().from >= read_;
}

void interface_tap::show(tap_row id, const packet_view& packet) {
  auto& x = *rows_[id];
  if (!x.subscriber || read_ > x.until)
    return;
  touch(id);
  if (!x.subscriber->on_packet(packet))
    set_hungry(id, false);
}

/// Notes that the row got something in this round.
void interface_tap::touch(tap_row id) {
  auto& x = *rows_[id];
  if (!std::exchange(x.touched, true))
    touched_.push_back(id);
}

void interface_tap::end_round() {
  take_counts();
  // Whoever is called may leave, and another may get its row.
  const auto touched = std::exchange(touched_, {});
  std::vector<std::shared_ptr<tap_subscriber>> shown;
  shown.reserve(touched.size());
  for (const auto id : touched) {
    rows_[id]->touched = false;
    shown.push_back(rows_[id]->subscriber);
  }
  for (const auto& who : shown)
    who->on_round_end();
  if (phase_ == phase::open)
    settle();
}

/// Reads if there is anybody to read for, or nobody at all.
void interface_tap::update_interest() {
  const auto wait = hungry_ == 0 && subscribers_ > 0;
  if (phase_ != phase::open || wait == waiting_)
    return;
  take_counts();
  waiting_ = wait;
  with_.loop->change(*this, wait ? reactor::interest::none
                                 : reactor::interest::readable);
}

// -- counts -------------------------------------------------------------------

void interface_tap::take_counts() {
  const auto news = interface_->take_counts();
  taken_ += news.taken;
  (waiting_ ? counts_.dropped_waiting : counts_.dropped_reading)
    += news.dropped;
  if (shared())
    counts_.dropped_shared += news.dropped;
}

void interface_tap::refresh_counts() {
  take_counts();
  counts_.dropped_by_interface.reset();
  if (!interface_drops_base_)
    return;
  const auto drops
    = read_interface_drops(first_.interface, interface_->index());
  if (drops && *drops >= *interface_drops_base_)
    counts_.dropped_by_interface = *drops - *interface_drops_base_;
}

void interface_tap::on_timer() {
  refresh_counts();
  watch_for_sole();
  with_.reserve->refill(); // What opening took, which is over.
  for (tap_row id = 0; id < rows_.size(); ++id)
    if (const auto who = rows_[id] ? rows_[id]->subscriber : nullptr)
      who->on_tick();
  with_.loop->set_timer(shared_from_this(),
                        reactor::clock::now() + tick_interval);
  close_if_left();
}

/// Notes from which packet on the kernel tosses a coin, or does not, after the
/// filter has changed.
/// @param before The last packet that certainly met the old one. What came
/// between then and now counts as let in without a coin if either filter tosses
/// none: the sample of these few is too small rather than too large.
void interface_tap::note_coin(std::uint64_t before) {
  const auto leaked = filter_->take_leak();
  const auto tosses = filter_->tosses_coin();
  while (!untossed_.empty() && untossed_.front().until <= read_)
    untossed_.pop_front();
  const auto open = !untossed_.empty() && untossed_.back().until == never;
  if (!open && (leaked || !tosses)) {
    // One that waits is made longer where there are too many to tell apart.
    if (untossed_.size() < max_untossed)
      untossed_.push_back({before, never});
    else
      untossed_.back().until = never;
  }
  if (tosses && !untossed_.empty() && untossed_.back().until == never) {
    untossed_.back().until = taken_;
    if (untossed_.back().from == taken_)
      untossed_.pop_back();
  }
}

/// True if packets that are let in now may be for more than one row.
bool interface_tap::shared() const {
  return sole_from_ == never || sole_until_ != never;
}

/// When one row has been alone for a whole tick, all that is let in is for it.
void interface_tap::watch_for_sole() {
  const auto only = filter_->sole_row();
  if (!shared() || subscribers_ != 1 || !only || !retired_.empty()
      || (sole_until_ != never && read_ < sole_until_)) {
    sole_soon_ = false;
    return;
  }
  if (sole_soon_) {
    sole_ = *only;
    sole_from_ = taken_;
    sole_until_ = never;
  }
  sole_soon_ = !sole_soon_;
}

} // namespace edgecap::capture

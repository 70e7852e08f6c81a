#include "tests/simulation/network.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace edgecap::simulation {

using namespace capture;
using namespace std::chrono_literals;

namespace {

/// Packets that wait in a source, as in the kernel's ring; further ones are
/// dropped and counted.
constexpr std::size_t ring_packets = 400;

constexpr std::uint32_t magic = 0x65646765;

struct trailer {
  std::uint32_t magic;
  std::uint32_t source;
  std::uint32_t sequence;
  std::uint32_t check;
};

std::uint32_t check_of(std::uint32_t source, std::uint32_t sequence) {
  return (source * 2654435761u) ^ (sequence * 2246822519u) ^ magic;
}

/// A packet of `size` bytes that says who delivered it.
std::array<std::byte, 256> make_packet(link_type link, std::uint32_t size,
                                       std::uint32_t source,
                                       std::uint32_t sequence) {
  std::array<std::byte, 256> result{};
  const auto begin = link == link_type::ethernet ? std::size_t{14} : 0;
  if (link == link_type::ethernet)
    result[12] = std::byte{8}; // IPv4
  result[begin] = std::byte{0x45};
  const trailer end{magic, source, sequence, check_of(source, sequence)};
  std::memcpy(result.data() + size - sizeof end, &end, sizeof end);
  return result;
}

} // namespace

std::optional<packet_identity> identify(const std::byte* data,
                                        std::size_t size) {
  trailer end{};
  if (size < sizeof end)
    return std::nullopt;
  std::memcpy(&end, data + size - sizeof end, sizeof end);
  if (end.magic != magic || end.check != check_of(end.source, end.sequence))
    return std::nullopt;
  return packet_identity{end.source, end.sequence};
}

// -- a source -----------------------------------------------------------------

/// What the engine sees as a packet source. Owned by its handle and, weakly, by
/// what is to happen to it.
class network::source : public std::enable_shared_from_this<network::source> {
public:
  source(network& host, source_options opts,
         std::shared_ptr<source_listener> listener,
         std::shared_ptr<source_log> log)
    : host_(host), options_(std::move(opts)), listener_(std::move(listener)),
      log_(std::move(log)),
      credit_(static_cast<std::int64_t>(options_.initial_credit_bytes)) {
    const auto number = log_->interface.back() - '0';
    link_ = host_.options_.mixed_links && number % 2 == 1 ? link_type::raw
                                                          : link_type::ethernet;
    log_->counters.packets_matched = 0;
    log_->counters.dropped_by_kernel = 0;
  }

  /// Decides on the fate of this source.
  void begin() {
    if (host_.strikes(fault::open_refused, 12)) {
      log_->disturbed = true;
      return end(capture_error{capture_errc::interface_down,
                               "open " + log_->interface + ": is down"});
    }
    if (host_.strikes(fault::open_never, 40)) {
      log_->disturbed = true;
      return;
    }
    if (host_.strikes(fault::open_late, 10))
      later(1s, 15s, [this] { open(); });
    else
      open();
  }

  void grant(std::uint64_t bytes) {
    credit_ += static_cast<std::int64_t>(bytes);
    deliver();
  }

  void stop() {
    if (std::exchange(log_->stopped, true) || log_->ended)
      return;
    if (host_.strikes(fault::no_drain, 25)) {
      log_->disturbed = true;
      drains_ = false;
      return;
    }
    if (host_.strikes(fault::slow_drain, 10)) {
      drains_ = false;
      log_->disturbed = true;
      later(500ms, 6s, [this] {
        drains_ = true;
        deliver();
      });
      return;
    }
    deliver();
  }

  void let_go() {
    listener_ = nullptr;
    log_->let_go = true;
    log_->let_go_at = host_.time_.now();
    log_->starved_since.reset();
  }

  const source_counters& counters() const {
    return log_->counters;
  }

private:
  void later(instant low, instant high, std::function<void()> what) {
    const auto delay = instant{static_cast<std::int64_t>(
      host_.draws_.between(static_cast<std::uint64_t>(low.count()),
                           static_cast<std::uint64_t>(high.count())))};
    host_.time_.in(delay, [weak = weak_from_this(), what = std::move(what)] {
      if (const auto self = weak.lock(); self && self->active())
        what();
    });
  }

  bool active() const {
    return listener_ && !log_->ended;
  }

  void open() {
    log_->opened = true;
    listener_->on_opened(link_);
    if (host_.strikes(fault::source_fails, 15))
      later(500ms, 40s, [this] {
        log_->disturbed = true;
        end(capture_error{capture_errc::io,
                          "read " + log_->interface + ": Network is down"});
      });
    if (host_.strikes(fault::source_vanish, 20))
      later(500ms, 40s, [this] {
        log_->disturbed = true;
        end(capture_error{capture_errc::no_such_interface,
                          "read " + log_->interface + ": No such device"});
      });
    if (host_.strikes(fault::source_stalls, 12))
      later(500ms, 20s, [this] {
        stalled_ = true;
        log_->disturbed = true;
        later(1s, 25s, [this] {
          stalled_ = false;
          deliver();
        });
      });
    await_packets();
    if (log_->stopped)
      deliver();
  }

  void await_packets() {
    const auto gap = 1 + host_.traffic_.below(2 * host_.options_.mean_gap_ms);
    host_.time_.in(std::chrono::milliseconds{gap}, [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->active()) {
        self->see_packets();
        self->await_packets();
      }
    });
  }

  void see_packets() {
    if (log_->stopped)
      return; // The kernel takes no more for us.
    auto n = host_.traffic_.between(1, host_.options_.most_at_once);
    if (host_.strikes(fault::source_bursts, 60))
      n += 150 + host_.draws_.below(500);
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto time = host_.time_.date();
      if (time > options_.not_after)
        break;
      ++*log_->counters.packets_matched;
      if (ring_.size() == ring_packets)
        ++*log_->counters.dropped_by_kernel;
      else
        ring_.push_back(
          {time, static_cast<std::uint32_t>(host_.traffic_.between(60, 128))});
    }
    deliver();
    tell_counters();
  }

  /// Says that it has counted, once a second at most.
  void tell_counters() {
    if (std::exchange(telling_, true))
      return;
    host_.time_.in(1s, [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->active()) {
        self->telling_ = false;
        self->listener_->on_counters();
      }
    });
  }

  /// Hands over what there is credit for; ends when all is done.
  void deliver() {
    while (active() && log_->opened && !stalled_ && drains() && !ring_.empty()
           && credit_ > 0 && !full())
      deliver_batch();
    log_->starved_since
      = active() && !ring_.empty() && credit_ <= 0
          ? std::optional{log_->starved_since.value_or(host_.time_.now())}
          : std::nullopt;
    if (!active())
      return;
    if (full()
        || (log_->stopped && drains_ && (ring_.empty() || !log_->opened)
            && !stalled_))
      end(std::nullopt);
  }

  /// A source that does not drain keeps what it has.
  bool drains() const {
    return !log_->stopped || drains_;
  }

  bool full() const {
    return log_->delivered.size() >= options_.packet_limit;
  }

  void deliver_batch() {
    batch_builder batch{link_, options_.batch_bytes};
    while (!ring_.empty() && credit_ > 0 && !full()) {
      const auto& next = ring_.front();
      const auto sequence = static_cast<std::uint32_t>(log_->delivered.size());
      const auto packet
        = make_packet(link_, next.captured_length, log_->number, sequence);
      const auto header = record_header::of(
        next.time, next.captured_length, next.captured_length + sequence % 7);
      if (!batch.append(header, packet.data()))
        break;
      credit_
        -= static_cast<std::int64_t>(sizeof header) + next.captured_length;
      log_->delivered.push_back(next);
      ring_.pop_front();
    }
    host_.trace_.note(host_.time_.now(), "source", log_->number, "delivers",
                      batch.packets());
    listener_->on_batch(batch.take());
  }

  void end(std::optional<capture_error> error) {
    if (std::exchange(log_->ended, true))
      return;
    log_->starved_since.reset();
    host_.trace_.note(host_.time_.now(), "source", log_->number, "ends",
                      error ? 1 : 0);
    const auto listener = listener_; // it may let go of us
    listener->on_ended({log_->counters, std::move(error)});
  }

  network& host_;
  source_options options_;
  std::shared_ptr<source_listener> listener_;
  std::shared_ptr<source_log> log_;
  std::deque<source_log::packet> ring_;
  std::int64_t credit_;
  link_type link_;
  bool stalled_ = false;
  bool telling_ = false; ///< `on_counters` is to be called.
  bool drains_ = true;
};

/// What a sampler owns.
class network::handle : public packet_source {
public:
  explicit handle(std::shared_ptr<source> x) : source_(std::move(x)) {}

  ~handle() override {
    source_->let_go();
  }

  void grant(std::uint64_t bytes) override {
    source_->grant(bytes);
  }

  void stop() override {
    source_->stop();
  }

  source_counters counters() const override {
    return source_->counters();
  }

private:
  std::shared_ptr<source> source_;
};

// -- the host -----------------------------------------------------------------

network::network(options opts, std::uint64_t seed, timeline& time, faults& what,
                 trace& log)
  : options_(std::move(opts)), traffic_(seed, traffic_stream),
    draws_(seed, fault_stream), time_(time), faults_(what), trace_(log) {}

network::~network() = default;

source_factory network::factory() {
  return [this](source_options opts, std::shared_ptr<source_listener> listener)
           -> std::unique_ptr<packet_source> {
    auto log = std::make_shared<source_log>();
    log->number = opened_++;
    log->subject = opts.filter.source_port.value_or(0);
    log->interface = opts.interface;
    log->not_after = opts.not_after;
    log->opened_at = time_.now();
    logs_.push_back(log);
    auto made = std::make_shared<source>(*this, std::move(opts),
                                         std::move(listener), std::move(log));
    auto result = std::make_unique<handle>(made);
    made->begin();
    return result;
  };
}

expected<std::vector<std::string>> network::interfaces() {
  if (strikes(fault::survey_fails, 40))
    return fail(capture_errc::io, "list interfaces: Input/output error");
  return options_.interfaces;
}

std::size_t network::owned() const {
  return static_cast<std::size_t>(std::count_if(
    logs_.begin(), logs_.end(), [](const auto& x) { return !x->let_go; }));
}

void network::forget_gone() {
  logs_.erase(std::remove_if(logs_.begin(), logs_.end(),
                             [](const auto& x) { return x->let_go; }),
              logs_.end());
}

bool network::strikes(fault x, std::uint64_t one_in) {
  const auto drawn = draws_.one_in(one_in);
  if (!faults_.strikes(x, drawn && !calm_))
    return false;
  trace_.note(time_.now(), "fault", 0, name_of(x));
  return true;
}

} // namespace edgecap::simulation

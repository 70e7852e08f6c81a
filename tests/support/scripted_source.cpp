#include "tests/support/scripted_source.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace edgecap::test {

using namespace capture;

// -- scripted_source ----------------------------------------------------------

scripted_source::scripted_source(source_options opts,
                                 std::shared_ptr<source_listener> listener)
  : options_(std::move(opts)), listener_(std::move(listener)),
    credit_(options_.initial_credit_bytes) {}

void scripted_source::open(link_type link) {
  listener_->on_opened(link);
}

void scripted_source::deliver(packet_batch batch) {
  backlog_.push_back(std::move(batch));
  flush();
}

void scripted_source::deliver_packets(std::uint32_t n, unix_ns time) {
  deliver(make_batch(n, time));
}

void scripted_source::tell_counters() {
  listener_->on_counters();
}

void scripted_source::end(std::optional<capture_error> error) {
  if (std::exchange(ended_, true))
    return;
  listener_->on_ended({counters, std::move(error)});
}

void scripted_source::hold_on_stop() {
  hold_on_stop_ = true;
}

void scripted_source::flush() {
  while (!ended_ && !backlog_.empty()
         && backlog_.front().size_bytes() <= credit_) {
    credit_ -= backlog_.front().size_bytes();
    auto batch = std::move(backlog_.front());
    backlog_.pop_front();
    listener_->on_batch(std::move(batch));
  }
}

void scripted_source::grant(std::uint64_t bytes) {
  credit_ += bytes;
  flush();
}

void scripted_source::stop() {
  stopped_ = true;
  if (!hold_on_stop_)
    end();
}

// -- scripted_host ------------------------------------------------------------

/// What the sampler owns: passes everything on to what the test holds.
class source_handle : public packet_source {
public:
  explicit source_handle(std::shared_ptr<scripted_source> script)
    : script_(std::move(script)) {}

  ~source_handle() override {
    script_->alive_ = false;
    script_->listener_ = nullptr;
    script_->ended_ = true;
  }

  void grant(std::uint64_t bytes) override {
    script_->grant(bytes);
  }

  void stop() override {
    script_->stop();
  }

  source_counters counters() const override {
    ++script_->times_asked;
    return script_->counters;
  }

private:
  std::shared_ptr<scripted_source> script_;
};

source_factory scripted_host::factory() {
  return [st = state_](source_options options,
                       std::shared_ptr<source_listener> listener)
           -> std::unique_ptr<packet_source> {
    const auto interface = options.interface;
    auto source = std::make_shared<scripted_source>(std::move(options),
                                                    std::move(listener));
    st->sources[interface].push_back(source);
    if (const auto i = st->refused.find(interface); i != st->refused.end())
      source->end(i->second);
    else if (st->closed.count(interface) == 0)
      source->open();
    return std::make_unique<source_handle>(std::move(source));
  };
}

scripted_source& scripted_host::on(const std::string& interface) {
  const auto i = state_->sources.find(interface);
  if (i == state_->sources.end())
    throw std::logic_error("no source was opened on " + interface);
  return *i->second.back();
}

std::size_t scripted_host::opened(const std::string& interface) const {
  const auto i = state_->sources.find(interface);
  return i == state_->sources.end() ? 0 : i->second.size();
}

std::size_t scripted_host::alive() const {
  return std::accumulate(state_->sources.begin(), state_->sources.end(),
                         std::size_t{0},
                         [](std::size_t sum, const auto& entry) {
                           return sum
                                  + static_cast<std::size_t>(std::count_if(
                                    entry.second.begin(), entry.second.end(),
                                    [](const auto& x) { return x->alive(); }));
                         });
}

void scripted_host::refuse(const std::string& interface, capture_error error) {
  state_->refused[interface] = std::move(error);
}

void scripted_host::leave_closed(const std::string& interface) {
  state_->closed.insert(interface);
}

packet_batch make_batch(std::uint32_t n, unix_ns time, link_type link) {
  constexpr std::uint32_t length = 60;
  const std::array<std::byte, length> packet{};
  batch_builder builder{link, n * (sizeof(record_header) + length)};
  for (std::uint32_t i = 0; i < n; ++i)
    builder.append(record_header::of(time + unix_ns{i} * 1000, length, length),
                   packet.data());
  return builder.take();
}

} // namespace edgecap::test

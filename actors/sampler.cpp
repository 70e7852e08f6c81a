#include "actors/sampler.hpp"

#include "actors/actor_support.hpp"

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/weak_intrusive_ptr.hpp>

#include <algorithm>
#include <utility>

namespace edgecap {

namespace {

/// Turns what a packet source says, on its own threads, into messages. Holds
/// the actor weakly: a source must not keep a dead sampler.
class listener : public capture::source_listener {
public:
  explicit listener(const sampler_actor& target)
    : target_(caf::actor_cast<caf::weak_actor_ptr>(target)) {}

  void on_opened(capture::link_type link) override {
    tell(atom::opened_v, link);
  }

  void on_batch(capture::packet_batch batch) override {
    tell(atom::batch_v, std::move(batch));
  }

  void on_counters() override {
    tell(atom::progress_v);
  }

  void on_ended(capture::source_end end) override {
    tell(atom::ended_v, std::move(end));
  }

private:
  template <class... Ts>
  void tell(Ts&&... xs) {
    if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(target_))
      caf::anon_send(caf::actor_cast<sampler_actor>(strong),
                     std::forward<Ts>(xs)...);
  }

  caf::weak_actor_ptr target_;
};

} // namespace

caf::error validate(const sampler_options& options) {
  const auto bad = [](const char* text) {
    return make_error(errc::invalid_options, std::string{"sampler: "} + text);
  };
  if (!options.open_source)
    return bad("no source factory");
  if (options.spec.interface.empty())
    return bad("no interface");
  if (options.spec.sampling_one_in < 1)
    return bad("sampling_one_in is 0");
  if (options.spec.credit_bytes == 0)
    return bad("no credit");
  return caf::none;
}

sampler_state::sampler_state(sampler_actor::pointer ptr) : self(ptr) {}

void sampler_state::init(sampler_options options, batch_sink_actor dest) {
  sink = std::move(dest);
  spec = std::move(options.spec);
  last.node = spec.node;
  last.interface = spec.interface;
  last.sampling_one_in = spec.sampling_one_in;
  auto opts = std::move(options.source);
  opts.interface = spec.interface;
  opts.filter = spec.filter;
  opts.snaplen_bytes = spec.snaplen_bytes;
  opts.sampling_one_in = spec.sampling_one_in;
  opts.promiscuous = spec.promiscuous;
  opts.initial_credit_bytes = spec.credit_bytes;
  // The job's process may be configured otherwise than this one.
  opts.batch_bytes = static_cast<std::uint32_t>(
    std::min<std::uint64_t>(opts.batch_bytes, spec.credit_bytes));
  opts.packet_limit = spec.packet_limit;
  opts.not_after = spec.not_after;
  opts.stamp_correction_ns = options.stamp_correction_ns;
  source = options.open_source(
    std::move(opts),
    std::make_shared<listener>(caf::actor_cast<sampler_actor>(self)));
}

interface_report sampler_state::report() const {
  auto result = last;
  if (!source)
    return result;
  const auto counters = source->counters();
  result.packets_matched = counters.packets_matched;
  result.packets_sampled_out = counters.packets_sampled_out;
  result.dropped_by_kernel = counters.dropped_by_kernel;
  result.dropped_by_interface = counters.dropped_by_interface;
  result.dropped_by_us = counters.dropped_by_us;
  return result;
}

caf::result<interface_report> sampler_state::look() {
  if (waiting.pending()) {
    // Whoever asks again has given up the earlier question.
    waiting.deliver(report());
    has_news = true;
  }
  if (std::exchange(has_news, false))
    return report();
  waiting = self->make_response_promise<interface_report>();
  asked = self->clock().now();
  return waiting;
}

void sampler_state::note_news() {
  if (!waiting.pending()) {
    has_news = true;
    return;
  }
  waiting.deliver(report());
  // A job of an older build hears nothing so late, and asks again.
  has_news = self->clock().now() - asked >= request_timeout;
}

void sampler_state::finish(const capture::source_end& end) {
  last.phase = end.error ? sampler_phase::failed : sampler_phase::ended;
  last.packets_matched = end.counters.packets_matched;
  last.packets_sampled_out = end.counters.packets_sampled_out;
  last.dropped_by_kernel = end.counters.dropped_by_kernel;
  last.dropped_by_interface = end.counters.dropped_by_interface;
  last.dropped_by_us = end.counters.dropped_by_us;
  if (end.error)
    last.error = end.error->message;
  self->send(sink, atom::ended_v, spec.run, last);
  if (waiting.pending())
    waiting.deliver(last);
  self->quit();
}

sampler_actor::behavior_type
sampler(sampler_actor::stateful_pointer<sampler_state> self,
        sampler_options options, batch_sink_actor sink) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return sampler_actor::behavior_type::make_empty_behavior();
  }
  // A sampler without its job works for nobody.
  self->set_down_handler([self](caf::down_msg&) { self->quit(); });
  self->monitor(sink);
  self->state.init(std::move(options), std::move(sink));
  return {
    [self](atom::credit, std::uint64_t bytes) {
      self->state.source->grant(bytes);
    },
    [self](atom::stop) { self->state.source->stop(); },
    [self](atom::stats) { return self->state.look(); },
    [self](atom::progress) { self->state.note_news(); },
    [self](atom::opened, capture::link_type link) {
      auto& st = self->state;
      st.last.phase = sampler_phase::capturing;
      st.last.link = link;
      self->send(st.sink, atom::opened_v, st.spec.run, link);
    },
    [self](atom::batch, capture::packet_batch& batch) {
      auto& st = self->state;
      self->send(st.sink, atom::batch_v, st.spec.run, std::move(batch));
      st.note_news(); // Its packets are counted.
    },
    [self](atom::ended, const capture::source_end& end) {
      self->state.finish(end);
    },
  };
}

} // namespace edgecap

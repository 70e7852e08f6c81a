#include "actors/uplink.hpp"

#include "actors/actor_support.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace edgecap {

caf::error validate(const uplink_options& options) {
  const auto bad = [](const std::string& text) {
    return make_error(errc::invalid_options, "uplink: " + text);
  };
  if (options.host.empty() || options.port == 0)
    return bad("no collector");
  if (options.first_pause <= std::chrono::milliseconds{0}
      || options.longest_pause < options.first_pause)
    return bad("no pause between two attempts");
  if (const auto fault = fault_of(options.hello); !fault.empty())
    return bad("it would not be taken: " + fault);
  return caf::none;
}

// -- initialization -----------------------------------------------------------

uplink_state::uplink_state(uplink_actor::pointer ptr) : self(ptr) {}

void uplink_state::init(uplink_options opts, node_actor node,
                        caf::actor middleman) {
  options = std::move(opts);
  own = std::move(node);
  dialer = std::move(middleman);
  pause = options.first_pause;
  self->send(self, atom::dial_v);
}

// -- operations ---------------------------------------------------------------

void uplink_state::dial() {
  if (dialling || collector)
    return;
  dialling = true;
  self
    ->request(dialer, request_timeout, caf::connect_atom_v, options.host,
              options.port)
    .then(
      [this](const caf::node_id&, const caf::strong_actor_ptr& whom,
             const std::set<std::string>& interfaces) {
        const auto wanted = self->system().message_types<reception_actor>();
        if (!whom || !self->system().assignable(interfaces, wanted))
          fail("what answers there is no collector of edgecap");
        else
          found(whom);
      },
      [this](caf::error& err) { fail(describe(err).text); });
}

void uplink_state::found(const caf::strong_actor_ptr& whom) {
  collector = caf::actor_cast<reception_actor>(whom);
  self->monitor(collector);
  options.hello.protocol = node_protocol;
  introduce();
}

/// Says who we are, after what is to be signed is known.
void uplink_state::introduce() {
  if (!options.prove)
    return say_hello({});
  self->request(collector, request_timeout, atom::challenge_v)
    .then(
      [this, asked = collector](const std::string& challenge) {
        if (collector == asked)
          say_hello(options.prove(challenge));
      },
      [this, asked = collector](caf::error& err) { refused(asked, err); });
}

void uplink_state::say_hello(const node_proof& proof) {
  self
    ->request(collector, request_timeout, atom::hello_v, options.hello, proof,
              own)
    .then(
      [this, asked = collector](const node_welcome& welcome) {
        if (collector != asked)
          return; // lost meanwhile
        dialling = false;
        pause = options.first_pause;
        trouble.clear();
        log_event{"collector-connected"}
          .with("host", options.host)
          .with("port", options.port)
          .with("version", welcome.version)
          .info();
      },
      [this, asked = collector](caf::error& err) { refused(asked, err); });
}

void uplink_state::refused(const reception_actor& by, const caf::error& why) {
  if (collector != by)
    return; // lost meanwhile
  const auto reason = describe(why);
  auto& protocol = options.hello.protocol;
  if (reason.ours && reason.code == errc::node_refused
      && reason.text.find(fault_of_protocol) != std::string::npos
      && protocol > oldest_node_protocol) {
    // It may be older than we are.
    --protocol;
    return introduce();
  }
  self->demonitor(collector.address());
  collector = nullptr;
  fail(reason.text);
}

void uplink_state::lost(const caf::actor_addr& source) {
  if (!collector || collector.address() != source)
    return;
  collector = nullptr;
  fail("the connection is gone");
}

void uplink_state::fail(const std::string& why) {
  dialling = false;
  // Tried for ever, and said once.
  if (std::exchange(trouble, why) != why)
    log_event{"collector-not-connected"}
      .with("host", options.host)
      .with("port", options.port)
      .with("error", why)
      .warn();
  dial_later();
}

void uplink_state::dial_later() {
  using std::chrono::milliseconds;
  // Leaves room for chance, so that no fleet dials in step at the longest.
  pause = std::min(pause, options.longest_pause - options.longest_pause / 3);
  const auto most = std::min(pause / 2, options.longest_pause - pause);
  std::uniform_int_distribution<milliseconds::rep> more{0, most.count()};
  self->delayed_send(self, pause + milliseconds{more(chance)}, atom::dial_v);
  pause *= 2;
}

// -- behavior -----------------------------------------------------------------

uplink_actor::behavior_type
uplink(uplink_actor::stateful_pointer<uplink_state> self,
       uplink_options options, node_actor own, caf::actor dialer) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return uplink_actor::behavior_type::make_empty_behavior();
  }
  self->set_down_handler(
    [self](caf::down_msg& down) { self->state.lost(down.source); });
  self->state.init(std::move(options), std::move(own), std::move(dialer));
  return {[self](atom::dial) { self->state.dial(); }};
}

} // namespace edgecap

#include "actors/fleet.hpp"

#include "actors/actor_support.hpp"

#include <caf/actor_cast.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace edgecap {

namespace {

/// What our two clocks may differ over one round trip: as much as ten seconds
/// of the fastest adjustment (adjtimex(2), 500 ppm), and the time between two
/// calls; over a longer one, as much as that adjusts.
constexpr std::chrono::milliseconds set_tolerance{10};
constexpr int fastest_adjustment = 2000; // One part of so many.

/// Nobody reads two clocks at the same moment.
constexpr std::uint64_t least_error_ns = 10'000;

} // namespace

caf::error validate(const fleet_options& options) {
  const auto bad = [](const char* text) {
    return make_error(errc::invalid_options, std::string{"fleet: "} + text);
  };
  if (options.max_nodes == 0)
    return bad("no nodes");
  if (options.pulse_interval <= std::chrono::milliseconds{0})
    return bad("pulse_interval is not positive");
  if (options.own_pulse_interval <= std::chrono::milliseconds{0})
    return bad("own_pulse_interval is not positive");
  if (options.lost_after <= options.pulse_interval)
    return bad("lost_after is not longer than pulse_interval");
  if (!options.wall_clock)
    return bad("no clock");
  return caf::none;
}

// -- initialization -----------------------------------------------------------

fleet_state::fleet_state(fleet_actor::pointer ptr) : self(ptr) {}

void fleet_state::init(fleet_options opts, const node_actor& own) {
  options = std::move(opts);
  if (own) {
    take(options.own, own, true);
    auto& x = nodes.at(options.own.name);
    // There is no need to ask: its clock is ours.
    x.status.connected = true;
    x.status.clock = clock_reading{};
  }
  ticks.tick_in(self, options.own_pulse_interval);
}

// -- nodes --------------------------------------------------------------------

caf::result<std::string> fleet_state::challenge() {
  const auto now = self->clock().now();
  for (auto i = challenges.begin(); i != challenges.end();)
    i = i->second.expires <= now ? challenges.erase(i) : std::next(i);
  if (challenges.size() >= max_challenges)
    return make_error(errc::node_refused,
                      "too many nodes are about to say hello");
  auto& asked
    = challenges[caf::actor_cast<caf::actor_addr>(self->current_sender())];
  asked = {make_challenge(), now + request_timeout};
  return asked.challenge;
}

/// Why a node is not the one that it says it is; empty if it is. What it was to
/// sign serves once.
std::string fleet_state::fault_of_identity(const node_hello& said,
                                           const node_proof& proof) {
  if (!options.verify)
    return {};
  const auto asked
    = challenges.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
  if (asked == challenges.end() || asked->second.expires <= self->clock().now())
    return "it has not asked what to sign, or too long ago";
  const auto challenge = std::move(asked->second.challenge);
  challenges.erase(asked);
  if (proof.certificate.size() > max_certificate_bytes
      || proof.signature.size() > max_signature_bytes)
    return "its certificate or signature is too long";
  const auto proved = options.verify(proof, challenge);
  if (!proved)
    return proved.error();
  if (*proved != said.name)
    return "its certificate is of " + *proved;
  return {};
}

caf::result<node_welcome> fleet_state::hello(const node_hello& said,
                                             const node_proof& proof,
                                             const node_actor& handle) {
  const auto refuse = [&](std::string why) {
    log_event{"node-refused"}
      .with("node", said.name)
      .with("version", said.version)
      .with("error", why)
      .warn();
    return make_error(errc::node_refused,
                      "node " + said.name + " is refused: " + std::move(why));
  };
  if (auto fault = fault_of(said); !fault.empty())
    return refuse(std::move(fault));
  const auto sender = self->current_sender();
  if (!handle || !sender || sender->node() != handle.node())
    return refuse("its handle is not its own");
  if (auto fault = fault_of_identity(said, proof); !fault.empty())
    return refuse(std::move(fault));
  const auto known = nodes.find(said.name);
  if (known != nodes.end() && known->second.status.local)
    return refuse("the collector itself has this name");
  if (known == nodes.end() && nodes.size() >= options.max_nodes && !make_room())
    return refuse("the limit of " + std::to_string(options.max_nodes)
                  + " nodes is reached");
  take(said, handle, false);
  return node_welcome{std::min(said.protocol, node_protocol),
                      options.own.version};
}

void fleet_state::take(const node_hello& said, const node_actor& handle,
                       bool local) {
  auto& x = nodes[said.name];
  if (x.handle && x.handle != handle) {
    // Whoever has a name twice was restarted, or cut off and has dialled again
    // before we knew.
    self->demonitor(x.handle.address());
    lose(x, "it has dialled again");
  }
  if (x.handle != handle)
    self->monitor(handle);
  x.handle = handle;
  x.clock = {};
  x.protocol = std::min(said.protocol, node_protocol);
  give_up(x);
  x.heard = self->clock().now();
  x.status.name = said.name;
  x.status.colo = said.colo;
  x.status.labels = said.labels;
  x.status.version = said.version;
  x.status.local = local;
  x.status.joined = options.wall_clock();
  x.status.last_seen = x.status.joined;
  x.status.pulse.reset();
  log_event{"node-joined"}
    .with("node", said.name)
    .with("colo", said.colo)
    .with("version", said.version)
    .with("local", local)
    .info();
  // Jobs get to know of it with its first answer, which tells its clock.
  ask(said.name);
  if (!local)
    ticks.tick_in(self, options.pulse_interval);
}

void fleet_state::ask(const std::string& who) {
  auto& x = nodes.at(who);
  x.asked = true;
  // How long it may be silent, the tick says; until then an answer that comes
  // late is one, too. We monitor it, so that it does not end unnoticed.
  auto pending = self->request(x.handle, caf::infinite, atom::pulse_v);
  x.question = pending.id();
  pending.then(
    [this, who, handle = x.handle, at = options.wall_clock(),
     when = self->clock().now()](node_pulse& pulse) {
      answered(who, handle, at, when, std::move(pulse));
    },
    [this, who, question = x.question](caf::error&) {
      // Asked again with the next tick.
      const auto i = nodes.find(who);
      if (i != nodes.end() && i->second.question == question)
        i->second.asked = false;
    });
}

/// Answers the question to a node in its place: whatever is not answered stays
/// in memory, and so does the handle of whom it went to.
void fleet_state::give_up(member& x) {
  if (std::exchange(x.asked, false))
    self->enqueue(
      nullptr, x.question,
      caf::make_message(caf::make_error(caf::sec::request_receiver_down)),
      self->context());
}

void fleet_state::answered(const std::string& who, const node_actor& handle,
                           unix_ns asked_at, time_point asked_when,
                           node_pulse pulse) {
  const auto i = nodes.find(who);
  if (i == nodes.end() || i->second.handle != handle)
    return; // of its earlier process
  auto& x = i->second;
  const auto now = self->clock().now();
  x.asked = false;
  x.heard = now;
  x.status.last_seen = options.wall_clock();
  // What no savefile can say is no date.
  constexpr unix_ns end_of_time = (unix_ns{1} << 32) * 1'000'000'000;
  if (pulse.now < 0 || pulse.now >= end_of_time)
    x.status.clock.reset();
  else if (!x.status.local)
    compare_clock(x, asked_at, now - asked_when, pulse.now);
  x.status.pulse = std::move(pulse);
  if (x.status.connected)
    return;
  x.status.connected = true;
  if (!x.status.lost.empty())
    log_event{"node-back"}.with("node", who).with("was", x.status.lost).info();
  x.status.lost.clear();
  for (const auto& watcher : watchers)
    self->send(watcher, atom::joined_v, offer(x));
}

void fleet_state::compare_clock(member& x, unix_ns asked_at,
                                std::chrono::nanoseconds round_trip,
                                unix_ns theirs) {
  // If our own was set meanwhile, this tells nothing, and what was found out
  // before is of the past.
  const auto set_by
    = std::chrono::nanoseconds{options.wall_clock() - asked_at} - round_trip;
  if (std::chrono::abs(set_by)
      > set_tolerance + round_trip / fastest_adjustment)
    x.clock = {};
  else
    x.clock.add(asked_at, round_trip, theirs);
  x.status.clock = x.clock.reading();
}

void fleet_state::tick() {
  if (!ticks.take(self))
    return;
  const auto now = self->clock().now();
  auto others = false;
  for (auto& [who, x] : nodes) {
    if (!x.handle)
      continue;
    if (x.status.connected && !x.status.local
        && now - x.heard >= options.lost_after)
      lose(x, "it has not answered for "
                + std::to_string(options.lost_after.count()) + " ms");
    others = others || !x.status.local;
    const auto due
      = x.status.local ? x.heard + options.own_pulse_interval : x.heard;
    if (!x.asked && now >= due)
      ask(who);
  }
  ticks.tick_in(self,
                others ? options.pulse_interval : options.own_pulse_interval);
}

void fleet_state::gone(const caf::actor_addr& source, const caf::error& why) {
  const auto watcher
    = std::find_if(watchers.begin(), watchers.end(),
                   [&](const auto& x) { return x.address() == source; });
  if (watcher != watchers.end()) {
    *watcher = std::move(watchers.back());
    watchers.pop_back();
    return;
  }
  const auto i
    = std::find_if(nodes.begin(), nodes.end(), [&](const auto& entry) {
        return entry.second.handle && entry.second.handle.address() == source;
      });
  if (i == nodes.end())
    return;
  give_up(i->second);
  i->second.handle = nullptr;
  lose(i->second, why == caf::exit_reason::remote_link_unreachable
                    ? "its connection is gone"
                    : "it has ended: " + caf::to_string(why));
}

/// Whoever captures on it does no more, and is told.
void fleet_state::lose(member& x, const std::string& why) {
  if (!x.status.connected && !x.status.lost.empty())
    return; // that is known
  x.status.connected = false;
  x.status.lost = why;
  log_event{"node-lost"}.with("node", x.status.name).with("error", why).warn();
  for (const auto& watcher : watchers)
    self->send(watcher, atom::left_v, x.status.name, why);
}

/// Forgets the node that has been lost for longest. Returns whether there was
/// one.
bool fleet_state::make_room() {
  auto oldest = nodes.end();
  for (auto i = nodes.begin(); i != nodes.end(); ++i)
    if (!i->second.handle
        && (oldest == nodes.end() || i->second.heard < oldest->second.heard))
      oldest = i;
  if (oldest == nodes.end())
    return false;
  nodes.erase(oldest);
  return true;
}

// -- looking ------------------------------------------------------------------

std::vector<node_offer> fleet_state::watch(node_watcher_actor who) {
  self->monitor(who);
  watchers.push_back(std::move(who));
  std::vector<node_offer> result;
  for (const auto& [its_name, x] : nodes)
    if (x.status.connected)
      result.push_back(offer(x));
  return result;
}

std::vector<node_status> fleet_state::list() const {
  std::vector<node_status> result;
  result.reserve(nodes.size());
  for (const auto& [its_name, x] : nodes) {
    result.push_back(x.status);
    // Whether our own node lives needs no answer; what it says is for people.
    if (x.status.local && x.handle)
      result.back().last_seen = options.wall_clock();
  }
  return result;
}

node_offer fleet_state::offer(const member& x) {
  const auto clock = x.status.clock.value_or(clock_reading{});
  // What may be the error of the comparison is no difference.
  const auto error = clock.error_ns + least_error_ns;
  const auto differs
    = static_cast<std::uint64_t>(std::abs(clock.offset_ns)) > error;
  return {x.status.name, x.status.colo, x.protocol, x.handle,
          differs ? clock.offset_ns : 0};
}

// -- behavior -----------------------------------------------------------------

fleet_actor::behavior_type
fleet(fleet_actor::stateful_pointer<fleet_state> self, fleet_options options,
      const node_actor& own) {
  install_default_handlers(self);
  if (auto err = validate(options)) {
    self->quit(err);
    return fleet_actor::behavior_type::make_empty_behavior();
  }
  self->set_down_handler([self](caf::down_msg& down) {
    self->state.gone(down.source, down.reason);
  });
  self->state.init(std::move(options), own);
  return {
    [self](atom::challenge) { return self->state.challenge(); },
    [self](atom::hello, const node_hello& said, const node_proof& proof,
           const node_actor& handle) {
      return self->state.hello(said, proof, handle);
    },
    [self](atom::watch, node_watcher_actor& who) {
      return self->state.watch(std::move(who));
    },
    [self](atom::list) { return self->state.list(); },
    [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace edgecap

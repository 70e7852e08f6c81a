#include "tests/simulation/edges.hpp"

#include "actors/actor_support.hpp"
#include "actors/node.hpp"
#include "tests/simulation/engine_setup.hpp"
#include "tests/simulation/plan.hpp"

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace edgecap::simulation {

using namespace std::chrono_literals;

namespace {

/// Between two attempts to reach the collector.
constexpr std::uint64_t longest_pause_ms = 6000;

} // namespace

edges::edges(std::size_t count, std::uint64_t seed, timeline& time,
             network& host, trace& log)
  : draws_(seed, edge_stream), time_(time), host_(host), trace_(log) {
  all_.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    all_[i].name = "edge-" + std::to_string(i + 5);
}

void edges::collector_started(life& collector) {
  collector_ = &collector;
  ++process_;
  for (auto& x : all_)
    dial_later(x);
}

void edges::collector_ended() {
  collector_ = nullptr;
  for (auto& x : all_) {
    if (x.node)
      caf::anon_send_exit(x.node, caf::exit_reason::kill);
    x.node = nullptr;
    x.silent_until = instant{0};
  }
}

bool edges::cut() {
  auto* x = choose();
  if (x == nullptr)
    return false;
  trace_.note(time_.now(), "edge", 0, "is cut off", 0, x->name);
  const auto why = caf::exit_reason::remote_link_unreachable;
  for (const auto& sampler : life::state_of<node_state>(x->node).samplers)
    caf::anon_send_exit(sampler, why);
  caf::anon_send_exit(x->node, why);
  x->node = nullptr;
  x->silent_until = instant{0};
  dial_later(*x);
  return true;
}

bool edges::silence(instant duration) {
  auto* x = choose();
  if (x == nullptr)
    return false;
  trace_.note(time_.now(), "edge", 0, "falls silent", 0, x->name);
  x->silent_until = std::max(x->silent_until, time_.now() + duration);
  return true;
}

bool edges::silent(const caf::abstract_actor* actor) const {
  const auto is = [actor](const auto& handle) {
    return caf::actor_cast<caf::abstract_actor*>(handle) == actor;
  };
  return std::any_of(all_.begin(), all_.end(), [&](const edge& x) {
    if (!x.node || x.silent_until <= time_.now() || life::dead(x.node))
      return false;
    const auto& its = life::state_of<node_state>(x.node).samplers;
    return is(x.node) || std::any_of(its.begin(), its.end(), is);
  });
}

instant edges::heard_again() const {
  instant result{0};
  for (const auto& x : all_)
    result = std::max(result, x.silent_until);
  return result;
}

void edges::dial_later(edge& x) {
  const auto pause
    = std::chrono::milliseconds{1 + draws_.below(longest_pause_ms)};
  time_.in(pause, [this, &x, process = process_] {
    if (collector_ != nullptr && process == process_ && !x.node)
      dial(x);
  });
}

void edges::dial(edge& x) {
  trace_.note(time_.now(), "edge", 0, "dials", 0, x.name);
  node_options options;
  options.name = x.name;
  const std::vector<std::string> present{"eth" + x.name.substr(5)};
  options.systems[system_name] = {{present[0], 1, 128, false}};
  options.source.batch_bytes = 4096;
  options.open_source = host_.factory();
  options.list_interfaces = [present] {
    return capture::expected<std::vector<std::string>>{present};
  };
  options.wall_clock = [this] { return time_.date(); };
  x.node = collector_->system().spawn(node, options);
  node_hello said;
  said.name = x.name;
  said.colo = edges_colo;
  const auto refused = [this, &x, handle = x.node, process = process_] {
    if (process != process_ || x.node != handle)
      return;
    caf::anon_send_exit(x.node, caf::exit_reason::kill);
    x.node = nullptr;
    dial_later(x);
  };
  collector_->system().spawn([said, handle = x.node, to = collector_->fleet,
                              refused](caf::event_based_actor* self) {
    install_default_handlers(self);
    self
      ->request(to, request_timeout, atom::hello_v, said, node_proof{}, handle)
      .then([](const node_welcome&) {},
            [refused](const caf::error&) { refused(); });
  });
}

edges::edge* edges::choose() {
  std::vector<edge*> connected;
  for (auto& x : all_)
    if (x.node && !life::dead(x.node))
      connected.push_back(&x);
  return connected.empty() ? nullptr
                           : connected[draws_.below(connected.size())];
}

} // namespace edgecap::simulation

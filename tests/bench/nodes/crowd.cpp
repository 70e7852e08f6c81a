// Many edges in one process, for a collector that is to have more of them than
// a machine has room for processes. All of an edge is what it is in edgecapd, a
// system of actors and a connection of its own included, but its interface:
// that has packets when a line comes in, as many as --packets says. Ends with
// its input.

#include "actors/edge.hpp"
#include "actors/errors.hpp"
#include "actors/interfaces.hpp"
#include "actors/network.hpp"
#include "actors/system.hpp"
#include "actors/version.hpp"
#include "capture/packet_batch.hpp"

#include <CLI/CLI.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace edgecap;
using namespace edgecap::capture;

unix_ns now() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch())
    .count();
}

class source;

/// The sources that are open.
class sources {
public:
  void add(source* x) {
    std::lock_guard guard{mutex_};
    open_.insert(x);
  }

  void remove(source* x) {
    std::lock_guard guard{mutex_};
    open_.erase(x);
  }

  void deliver(std::uint32_t packets);

private:
  std::mutex mutex_;
  std::set<source*> open_;
};

/// An interface as one sampler sees it. What it delivers at once is far below
/// any credit, so that it keeps no account of that.
class source : public packet_source {
public:
  source(sources& all, std::shared_ptr<source_listener> listener)
    : all_(all), listener_(std::move(listener)) {
    all_.add(this);
    listener_->on_opened(link_type::ethernet);
  }

  ~source() override {
    all_.remove(this);
  }

  void grant(std::uint64_t) override {}

  void stop() override {
    all_.remove(this);
    listener_->on_ended({counters(), std::nullopt});
  }

  source_counters counters() const override {
    source_counters result;
    std::lock_guard guard{mutex_};
    result.packets_matched = delivered_;
    result.dropped_by_kernel = 0;
    result.dropped_by_us = 0;
    return result;
  }

  void deliver(std::uint32_t packets) {
    const std::array<std::byte, 60> packet{};
    batch_builder builder{link_type::ethernet, 65536};
    for (std::uint32_t i = 0; i < packets; ++i)
      builder.append(record_header::of(now(), packet.size(), packet.size()),
                     packet.data());
    {
      std::lock_guard guard{mutex_};
      delivered_ += packets;
    }
    listener_->on_batch(builder.take());
  }

private:
  sources& all_;
  std::shared_ptr<source_listener> listener_;
  mutable std::mutex mutex_;
  std::uint64_t delivered_ = 0;
};

void sources::deliver(std::uint32_t packets) {
  // Under the lock: a source waits here before it goes.
  std::lock_guard guard{mutex_};
  for (auto* x : open_)
    x->deliver(packets);
}

struct system_config : caf::actor_system_config {
  system_config() {
    prepare(*this, 1);
    prepare_network(*this);
  }
};

/// One edge, with all that is its own.
struct member {
  system_config config;
  caf::actor_system system{config};
  std::unique_ptr<edge> actors;

  member(const std::string& name, std::uint16_t port, sources& all) {
    edge_options options;
    options.node.name = name;
    options.node.systems["magic-transit"] = {{"eth0", 1, 160, false}};
    options.node.open_source
      = [&all](source_options, std::shared_ptr<source_listener> listener)
      -> std::unique_ptr<packet_source> {
      return std::make_unique<source>(all, std::move(listener));
    };
    options.node.list_interfaces = [] {
      return expected<std::vector<std::string>>{
        std::vector<std::string>{"eth0"}};
    };
    options.node.wall_clock = now;
    options.uplink.hello.name = name;
    options.uplink.hello.version = program_version;
    options.uplink.host = "127.0.0.1";
    options.uplink.port = port;
    auto started = edge::start(system, std::move(options));
    if (!started)
      throw std::runtime_error(describe(started.error()).text);
    actors = std::move(*started);
  }
};

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Many edges in one process."};
  std::uint16_t port = 0;
  std::uint32_t first = 0;
  std::uint32_t edges = 1;
  std::uint32_t packets = 20;
  app.add_option("--port", port, "Of the collector, on loopback")->required();
  app.add_option("--first", first, "Number of the first edge");
  app.add_option("--edges", edges, "How many");
  app.add_option("--packets", packets, "For each line that comes in");
  CLI11_PARSE(app, argc, argv);
  sources all;
  std::vector<std::unique_ptr<member>> members;
  for (auto i = first; i < first + edges; ++i)
    members.push_back(
      std::make_unique<member>("edge-" + std::to_string(i), port, all));
  for (std::string line; std::getline(std::cin, line);)
    all.deliver(packets);
  for (auto& x : members)
    x->actors->stop();
}

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

#include <algorithm>
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

/// What a packet looks like, and how many there are for each line.
struct traffic {
  std::uint32_t packets = 20;
  std::uint32_t length = 60;
};

/// By which edges prove their names: one file for all, so that it is for one.
struct identity {
  std::string certificate;
  std::string key;
};

/// An interface as one sampler sees it. Delivers within its credit.
class source : public packet_source {
public:
  source(sources& all, const traffic& what, source_options options,
         std::shared_ptr<source_listener> listener)
    : all_(all), options_(std::move(options)), listener_(std::move(listener)),
      packet_(std::min(what.length, options_.snaplen_bytes)),
      length_(what.length),
      credit_(static_cast<std::int64_t>(options_.initial_credit_bytes)) {
    all_.add(this);
    listener_->on_opened(link_type::ethernet);
  }

  ~source() override {
    all_.remove(this);
  }

  void grant(std::uint64_t bytes) override {
    std::lock_guard guard{mutex_};
    credit_ += static_cast<std::int64_t>(bytes);
    pump();
  }

  void stop() override {
    all_.remove(this);
    {
      std::lock_guard guard{mutex_};
      pending_ = 0;
    }
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
    std::lock_guard guard{mutex_};
    pending_ += packets;
    pump();
  }

private:
  void pump() {
    while (pending_ > 0 && credit_ > 0) {
      const auto header = [&] {
        return record_header::of(
          now(), static_cast<std::uint32_t>(packet_.size()), length_);
      };
      batch_builder builder{link_type::ethernet, options_.batch_bytes};
      while (pending_ > 0 && credit_ > 0
             && builder.append(header(), packet_.data())) {
        credit_
          -= static_cast<std::int64_t>(sizeof(record_header) + packet_.size());
        --pending_;
        ++delivered_;
      }
      listener_->on_batch(builder.take());
      listener_->on_counters();
    }
  }

  sources& all_;
  const source_options options_;
  std::shared_ptr<source_listener> listener_;
  const std::vector<std::byte> packet_;
  const std::uint32_t length_;
  mutable std::mutex mutex_;
  std::int64_t credit_;
  std::uint64_t pending_ = 0;
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

  member(const std::string& name, std::uint16_t port, const traffic& what,
         const identity& who, sources& all) {
    edge_options options;
    options.node.name = name;
    options.node.systems["magic-transit"] = {{"eth0", 1, what.length, false}};
    options.node.open_source
      = [&all, what](source_options opts,
                     std::shared_ptr<source_listener> listener)
      -> std::unique_ptr<packet_source> {
      return std::make_unique<source>(all, what, std::move(opts),
                                      std::move(listener));
    };
    options.node.list_interfaces = [] {
      return expected<std::vector<std::string>>{
        std::vector<std::string>{"eth0"}};
    };
    options.node.wall_clock = now;
    options.certificate = who.certificate;
    options.key = who.key;
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
  traffic what;
  app.add_option("--port", port, "Of the collector, on loopback")->required();
  app.add_option("--first", first, "Number of the first edge");
  app.add_option("--edges", edges, "How many");
  app.add_option("--packets", what.packets, "For each line that comes in");
  identity who;
  app.add_option("--certificate", who.certificate, "Of an edge, PEM");
  app.add_option("--key", who.key, "That goes with it");
  app.add_option("--length", what.length, "Of a packet, in bytes");
  CLI11_PARSE(app, argc, argv);
  sources all;
  std::vector<std::unique_ptr<member>> members;
  for (auto i = first; i < first + edges; ++i)
    members.push_back(std::make_unique<member>("edge-" + std::to_string(i),
                                               port, what, who, all));
  for (std::string line; std::getline(std::cin, line);)
    all.deliver(what.packets);
  for (auto& x : members)
    x->actors->stop();
}

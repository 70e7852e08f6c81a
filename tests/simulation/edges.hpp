#pragma once

#include "actors/interfaces.hpp"
#include "tests/simulation/life.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/random_stream.hpp"
#include "tests/simulation/timeline.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// The other machines of a fleet. Their actors run in the collector's process,
// for CAF makes no difference; a connection is played by what the collector
// sees of it: messages that arrive or wait, and handles that are gone.
namespace edgecap::simulation {

class edges {
public:
  /// @param count How many there are.
  edges(std::size_t count, std::uint64_t seed, timeline& time, network& host,
        trace& log);

  /// A process of the collector began: each dials it in its own time.
  void collector_started(life& collector);

  /// It is gone, and all connections with it.
  void collector_ended();

  /// A connection breaks; what was on its way is lost, and so is what the
  /// samplers there had not sent yet. The edge dials again after a while.
  /// Returns whether there was one.
  bool cut();

  /// Nothing of an edge arrives for a while, and nothing reaches it: then all
  /// of it does. Returns whether there was a connection.
  bool silence(instant duration);

  /// Whether messages of this actor wait.
  bool silent(const caf::abstract_actor* actor) const;

  /// When the last one is heard again.
  instant heard_again() const;

private:
  struct edge {
    std::string name;
    node_actor node; ///< Null while it is not connected.
    instant silent_until{0};
  };

  void dial_later(edge& x);
  void dial(edge& x);
  edge* choose();

  std::vector<edge> all_;
  random_stream draws_;
  timeline& time_;
  network& host_;
  trace& trace_;
  life* collector_ = nullptr;
  std::uint64_t process_ = 0; ///< Number of the collector's process.
};

} // namespace edgecap::simulation

#pragma once

#include "capture/packet_source.hpp"

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace edgecap::test {

/// What a test sees of, and does to, one opened source. Everything happens in
/// the calling thread, at once.
class scripted_source {
public:
  scripted_source(capture::source_options opts,
                  std::shared_ptr<capture::source_listener> listener);

  // -- what the test does -----------------------------------------------------

  /// Reports the source as open.
  void open(capture::link_type link = capture::link_type::ethernet);

  /// Delivers a batch now, or keeps it back until there is credit for it.
  void deliver(capture::packet_batch batch);

  /// Delivers `n` small packets, stamped one microsecond apart from `time`.
  void deliver_packets(std::uint32_t n, capture::unix_ns time = 1);

  /// Says that `counters` have changed.
  void tell_counters();

  /// Ends the source, as an interface that vanishes does.
  void end(std::optional<capture::capture_error> error = std::nullopt);

  /// From now on `stop` does nothing until the test calls `end`.
  void hold_on_stop();

  // -- what the test sees -----------------------------------------------------

  const capture::source_options& options() const {
    return options_;
  }

  bool stopped() const {
    return stopped_;
  }

  bool ended() const {
    return ended_;
  }

  /// False once the sampler has let go of the source.
  bool alive() const {
    return alive_;
  }

  /// Bytes that may still be delivered.
  std::uint64_t credit() const {
    return credit_;
  }

  /// Batches that wait for credit.
  std::size_t backlog() const {
    return backlog_.size();
  }

  /// What the source will report.
  capture::source_counters counters;

  /// How often it was asked for that.
  std::size_t times_asked = 0;

private:
  friend class source_handle;

  void flush();
  void grant(std::uint64_t bytes);
  void stop();

  capture::source_options options_;
  std::shared_ptr<capture::source_listener> listener_;
  std::deque<capture::packet_batch> backlog_;
  std::uint64_t credit_;
  bool stopped_ = false;
  bool ended_ = false;
  bool alive_ = true;
  bool hold_on_stop_ = false;
};

/// A host of scripted interfaces: hands out sources that the test drives.
class scripted_host {
public:
  /// For whoever opens sources.
  capture::source_factory factory();

  /// The youngest source on an interface; fails the test if there is none.
  scripted_source& on(const std::string& interface);

  /// How many sources were opened on it.
  std::size_t opened(const std::string& interface) const;

  /// Sources that are open now, over all interfaces.
  std::size_t alive() const;

  /// Opening on this interface fails from now on.
  void refuse(const std::string& interface, capture::capture_error error);

  /// Sources on this interface stay silent until the test opens them.
  void leave_closed(const std::string& interface);

private:
  struct state {
    std::map<std::string, std::deque<std::shared_ptr<scripted_source>>> sources;
    std::map<std::string, capture::capture_error> refused;
    std::set<std::string> closed;
  };

  std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// A batch of `n` packets of 60 bytes, stamped one microsecond apart.
capture::packet_batch make_batch(std::uint32_t n, capture::unix_ns time = 1,
                                 capture::link_type link
                                 = capture::link_type::ethernet);

} // namespace edgecap::test

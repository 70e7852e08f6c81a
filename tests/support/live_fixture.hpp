#pragma once

#include "capture/live_source.hpp"
#include "tests/support/netns.hpp"
#include "tests/support/recording_listener.hpp"
#include "tests/support/traffic.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::test {

constexpr std::uint16_t wanted_port = 53;
constexpr std::uint16_t other_port = 54;

/// Asks again and again, since there is nothing to wait on; false after half a
/// minute.
bool eventually(const std::function<bool()>& happened);

/// A source with what it said.
struct opened_source {
  std::shared_ptr<recording_listener> heard
    = std::make_shared<recording_listener>();
  std::unique_ptr<capture::packet_source> source;

  /// The sequence numbers of what was delivered so far.
  /// @param offset See `sequence_of`: 14 for frames, 0 for packets.
  std::vector<std::uint64_t> sequences(std::size_t offset = 14) const;
};

/// Real sources on real interfaces: two connected ones, `va` to send and `vb`
/// to capture, in a network namespace of their own.
class live_fixture : public testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;

  /// Makes `live`: the one place that says how these tests capture.
  void start_capture();

  /// Everything on an interface, with credit that never runs out.
  static capture::source_options on(std::string interface);

  /// The same for what goes to `wanted_port`.
  static capture::source_options wanted_on(std::string interface);

  /// With a ring that holds what comes in while a busy machine lets us wait:
  /// a tenth of a second is all that the default has room for.
  static capture::source_options patient(capture::source_options options);

  /// Starts a source.
  opened_source start(capture::source_options options);

  /// Starts what holds a listener already.
  void start(opened_source& what, capture::source_options options);

  /// Starts and waits until packets are captured.
  opened_source open(capture::source_options options);

  /// Sends frames with the sequence numbers 0 to n - 1.
  void send(std::uint64_t n, std::size_t size_bytes = 100) {
    send_range(0, n, size_bytes);
  }

  /// The same for the numbers `first` to `end - 1`.
  void send_range(std::uint64_t first, std::uint64_t end,
                  std::size_t size_bytes);

  static capture::source_end stop(opened_source& what);
  static capture::source_end await_end(opened_source& what);

  static std::vector<std::uint64_t> zero_to(std::uint64_t n) {
    return range(0, n);
  }

  /// The numbers `first` to `end - 1`.
  static std::vector<std::uint64_t> range(std::uint64_t first,
                                          std::uint64_t end);

  // How it captures; set before `SetUp`. See `live_capture::options`.
  bool use_classifier = true;
  std::chrono::milliseconds idle_time{0};

  std::optional<scoped_network_namespace> net;
  std::optional<traffic_link> link;
  std::optional<capture::live_capture> live;
};

} // namespace edgecap::test

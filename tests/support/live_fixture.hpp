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

/// Credit that does not run out.
constexpr std::uint64_t plenty = std::uint64_t{1} << 40;

/// How a source comes to its packets.
enum class sharing {
  alone,        ///< Nobody else is on its interface: it has its own program.
  classifier,   ///< Others are, and the kernel filters for all of them (eBPF).
  union_filter, ///< Others are, and it may let in more than anybody wants.
};

/// A source with what it said.
struct opened_source {
  std::shared_ptr<recording_listener> heard
    = std::make_shared<recording_listener>();
  std::unique_ptr<capture::packet_source> source;
  /// Others on its interface, which stay there as long as this is kept.
  std::vector<opened_source> neighbours;

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

  /// Starts a source. Unless `mode` says that it is alone, it has neighbours:
  /// two sources that were open before it on its interface, with its ring.
  /// Their filters have other shapes and match nothing that a test sends, one
  /// of them samples, and both have a small snaplen.
  opened_source start(capture::source_options options);

  /// Starts what holds a listener already.
  void start(opened_source& what, capture::source_options options);

  /// Starts and waits until packets are captured.
  opened_source open(capture::source_options options);

  /// Waits until the kernel filters as `mode` says, for the two or more sources
  /// on an interface.
  void await_sharing(const std::string& interface) const;

  /// Sends frames with the sequence numbers 0 to n - 1.
  void send(std::uint64_t n, std::size_t size_bytes = 100) {
    send_range(0, n, size_bytes);
  }

  /// The same for the numbers `first` to `end - 1`.
  void send_range(std::uint64_t first, std::uint64_t end,
                  std::size_t size_bytes);

  /// Waits until every interface has had three of its ticks, at which a tap
  /// publishes its counts and looks who is alone on it. Meanwhile frames are
  /// sent to `other_port`.
  void await_ticks();

  static capture::source_end stop(opened_source& what);
  static capture::source_end await_end(opened_source& what);

  static std::vector<std::uint64_t> zero_to(std::uint64_t n) {
    return range(0, n);
  }

  /// The numbers `first` to `end - 1`.
  static std::vector<std::uint64_t> range(std::uint64_t first,
                                          std::uint64_t end);

  // How it captures; `start_capture` looks at the first two.
  sharing mode = sharing::alone;
  std::chrono::milliseconds idle_time{0}; ///< See `live_capture::options`.
  bool brings_neighbours = true;          ///< False: a test has its own.
  std::uint64_t neighbour_credit_bytes = plenty;

  std::optional<scoped_network_namespace> net;
  std::optional<traffic_link> link;
  std::optional<capture::live_capture> live;

private:
  std::vector<opened_source>
  open_neighbours(const capture::source_options& like);
};

/// The same in the mode that is the test's parameter.
class sharing_fixture : public live_fixture,
                        public testing::WithParamInterface<sharing> {
protected:
  sharing_fixture() {
    mode = GetParam();
  }

  bool shared() const {
    return mode != sharing::alone;
  }
};

/// With a tun interface, whose packets are in the ring when they are sent.
class tun_fixture : public sharing_fixture {
protected:
  void SetUp() override;
  void TearDown() override;

  std::optional<tun_interface> tun; ///< `tun7`
};

// For INSTANTIATE_TEST_SUITE_P.

inline const auto every_mode
  = testing::Values(sharing::alone, sharing::classifier, sharing::union_filter);

inline const auto shared_modes
  = testing::Values(sharing::classifier, sharing::union_filter);

std::string name_of(const testing::TestParamInfo<sharing>& mode);

} // namespace edgecap::test

#pragma once

#include "actors/follower.hpp"
#include "tests/simulation/network.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace edgecap::simulation {

/// A client that watches a capture, and judges what it is shown.
class watcher : public follower {
public:
  using violation = std::function<void(const char* rule, std::string text)>;

  explicit watcher(violation violated) : violated_(std::move(violated)) {}

  void begin(const std::string& savefile_header) override {
    if (begun_ || ended_ || savefile_header.size() != 24)
      violated_("a stream begins once", {});
    begun_ = true;
  }

  bool take(const capture::packet_batch& packets) override {
    if (!begun_ || ended_)
      violated_("a stream has packets between its begin and its end", {});
    packets.for_each(
      [this](const capture::record_header& header, const std::byte* data) {
        const auto identity = identify(data, header.captured_length);
        if (!identity)
          return violated_("a stream shows packets that were delivered", {});
        const auto [next, fresh]
          = next_.try_emplace(identity->source, identity->sequence);
        if (!fresh && identity->sequence < next->second)
          violated_("a stream shows a packet once", {});
        next->second = identity->sequence + 1;
      });
    return !gone_;
  }

  void miss(std::uint64_t) override {
    if (ended_)
      violated_("a stream's end is its last word", {});
  }

  void end(bool) override {
    if (ended_)
      violated_("a stream ends once", {});
    ended_ = true;
  }

  /// The client leaves.
  void leave() {
    gone_ = true;
  }

  bool ended() const {
    return ended_;
  }

private:
  violation violated_;
  std::map<std::uint32_t, std::uint32_t> next_; // by source
  bool begun_ = false;
  bool ended_ = false;
  bool gone_ = false;
};

} // namespace edgecap::simulation

#pragma once

#include "capture/packet_source.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::test {

/// Keeps what a packet source says, and lets a test wait for it. Notes in
/// `protocol_error` when calls come in an order that the contract forbids.
class recording_listener : public capture::source_listener {
public:
  struct record {
    capture::unix_ns time = 0;
    std::vector<std::byte> data;
    std::uint32_t original_length = 0;
  };

  /// All that was said so far.
  struct story {
    std::optional<capture::link_type> link;
    std::vector<record> records;
    std::uint64_t batches = 0;
    std::uint64_t batch_bytes = 0;
    std::uint64_t counted = 0; ///< How often its counters had changed.
    std::optional<capture::source_end> end;
    std::string protocol_error;
  };

  /// Called in `on_opened`, before anybody who waits hears of it.
  std::function<void()> when_opened;

  /// Called first in every `on_batch`; the reader waits meanwhile.
  std::function<void()> when_batch;

  void on_opened(capture::link_type link) override {
    if (when_opened)
      when_opened();
    tell([&](story& now) {
      if (now.link || now.end)
        now.protocol_error = "on_opened is not the first call";
      now.link = link;
    });
  }

  void on_batch(capture::packet_batch batch) override {
    if (when_batch)
      when_batch();
    tell([&](story& now) {
      if (!now.link || now.end || batch.empty())
        now.protocol_error = "on_batch when closed, or empty";
      ++now.batches;
      now.batch_bytes += batch.size_bytes();
      batch.for_each(
        [&](const capture::record_header& header, const std::byte* data) {
          now.records.push_back({header.time(),
                                 {data, data + header.captured_length},
                                 header.original_length});
        });
    });
  }

  void on_counters() override {
    tell([&](story& now) {
      if (!now.link || now.end)
        now.protocol_error = "on_counters when closed";
      ++now.counted;
    });
  }

  void on_ended(capture::source_end end) override {
    tell([&](story& now) {
      if (now.end)
        now.protocol_error = "on_ended twice";
      now.end = std::move(end);
    });
  }

  /// A copy of the story so far.
  story now() const {
    std::lock_guard guard{mutex_};
    return story_;
  }

  /// Waits until `happened` holds for the story; false after half a minute.
  bool wait(const std::function<bool(const story&)>& happened) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{30},
                             [&] { return happened(story_); });
  }

  bool wait_opened() {
    return wait([](const story& x) { return x.link || x.end; });
  }

  bool wait_records(std::size_t n) {
    return wait([n](const story& x) { return x.records.size() >= n || x.end; });
  }

  bool wait_ended() {
    return wait([](const story& x) { return x.end.has_value(); });
  }

private:
  template <class F>
  void tell(F change) {
    std::lock_guard guard{mutex_};
    change(story_);
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  story story_;
};

} // namespace edgecap::test

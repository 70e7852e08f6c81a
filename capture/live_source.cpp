#include "capture/live_source.hpp"

#include "capture/helper_pool.hpp"
#include "capture/live_session.hpp"
#include "capture/reactor.hpp"
#include "capture/ring_reserve.hpp"
#include "capture/tap_set.hpp"

#include <tins/network_interface.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace edgecap::capture {

namespace {

constexpr unsigned max_helper_threads = 64;

/// Sources that may exist at once.
constexpr std::size_t max_sources = 16384;

} // namespace

/// The reactor, the helpers and the sessions that are not yet closed. Handles
/// refer to it weakly: after `shutdown` what they ask for has no effect.
class live_capture::impl : public std::enable_shared_from_this<impl> {
public:
  /// @throws std::system_error if no thread can be had.
  explicit impl(const options& opts)
    : helpers_(std::clamp(opts.helper_threads, 1u, max_helper_threads)),
      reserve_(helpers_, spare_ring(opts), opts.spare_rings),
      taps_(std::make_shared<tap_set>(services_for_taps(opts))) {}

  std::unique_ptr<packet_source>
  open(source_options options, std::shared_ptr<source_listener> listener);

  void shutdown() {
    {
      std::unique_lock lock{mutex_};
      for (const auto& session : sessions_) {
        session->abandon();
        loop_.wake(session);
      }
      empty_.wait(lock, [this] { return sessions_.empty(); });
    }
    taps_->close();
    helpers_.stop();
    loop_.stop();
  }

private:
  class source;

  static ring_options spare_ring(const options& opts) {
    ring_options result;
    result.ring_bytes = opts.ring_bytes;
    result.wake_interval_ms = opts.wake_interval_ms;
    return result;
  }

  interface_tap::services services_for_taps(const options& opts) {
    interface_tap::services result;
    result.loop = &loop_;
    result.helpers = &helpers_;
    result.reserve = &reserve_;
    result.idle_time = opts.idle_time;
    result.use_classifier = opts.use_classifier;
    result.on_fallback = [tell = opts.on_fallback](const capture_error& why) {
      if (tell)
        tell(why);
    };
    return result;
  }

  void forget(const std::shared_ptr<live_session>& session) {
    std::lock_guard guard{mutex_};
    sessions_.erase(session);
    if (sessions_.empty())
      empty_.notify_all();
  }

  reactor loop_;
  helper_pool helpers_;
  ring_reserve reserve_;
  std::shared_ptr<tap_set> taps_;
  std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_set<std::shared_ptr<live_session>> sessions_;
};

/// What the user of a live source holds.
class live_capture::impl::source : public packet_source {
public:
  source(std::shared_ptr<live_session> session, std::weak_ptr<impl> owner)
    : session_(std::move(session)), owner_(std::move(owner)) {}

  ~source() override {
    session_->abandon();
    wake();
  }

  void grant(std::uint64_t bytes) override {
    if (session_->grant(bytes))
      wake();
  }

  void stop() override {
    session_->stop();
    wake();
  }

  source_counters counters() const override {
    return session_->counters();
  }

private:
  void wake() {
    if (auto owner = owner_.lock())
      owner->loop_.wake(session_);
  }

  std::shared_ptr<live_session> session_;
  std::weak_ptr<impl> owner_;
};

std::unique_ptr<packet_source>
live_capture::impl::open(source_options options,
                         std::shared_ptr<source_listener> listener) {
  const auto name = options.interface;
  live_session::services with;
  with.loop = &loop_;
  with.tap = [this](const auto& what) { return taps_->find(what); };
  with.closed = [this](const auto& session) { forget(session); };
  auto session = std::make_shared<live_session>(
    std::move(options), std::move(listener), std::move(with));
  auto result = std::make_unique<source>(session, weak_from_this());
  bool room;
  {
    std::lock_guard guard{mutex_};
    room = sessions_.size() < max_sources;
    sessions_.insert(session);
  }
  if (!room)
    session->refuse({capture_errc::io, "open interface " + name + ": "
                                         + std::to_string(max_sources)
                                         + " sources are open already"});
  loop_.wake(std::move(session));
  return result;
}

live_capture::live_capture(const options& opts)
  : impl_(std::make_shared<impl>(opts)) {}

live_capture::~live_capture() {
  impl_->shutdown();
}

std::unique_ptr<packet_source>
live_capture::open(source_options what,
                   std::shared_ptr<source_listener> listener) {
  return impl_->open(std::move(what), std::move(listener));
}

expected<std::vector<std::string>> list_interfaces() {
  try {
    auto found = Tins::NetworkInterface::all();
    std::sort(found.begin(), found.end(),
              [](const auto& x, const auto& y) { return x.id() < y.id(); });
    std::vector<std::string> result;
    for (const auto& interface : found)
      result.push_back(interface.name());
    return result;
  } catch (const std::exception& ex) {
    return fail(capture_errc::io, std::string{"list interfaces: "} + ex.what());
  }
}

} // namespace edgecap::capture

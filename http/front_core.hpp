#pragma once

#include "capture/descriptor.hpp"
#include "http/client_address.hpp"
#include "http/connection.hpp"
#include "http/front.hpp"
#include "http/listener.hpp"
#include "http/message.hpp"
#include "http/request_framer.hpp"
#include "http/router.hpp"
#include "http/streamer.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgecap::http {

class answer_channel;

/// How many connections may be open.
struct connection_bounds {
  std::uint32_t served = 0; ///< That are served.
  std::uint32_t told = 0;   ///< Besides: that are told that they are not.
};

/// What connections, answers and threads of a frontend share. Lives as long as
/// the last answer that is owed.
class front_core final : public connection_host,
                         public connection_owner,
                         public std::enable_shared_from_this<front_core> {
public:
  /// @throws std::runtime_error if the routes are contradictory or a thread
  /// cannot be had.
  front_core(front_options options, std::vector<route> routes,
             observer observe);
  ~front_core() override;
  front_core(const front_core&) = delete;
  front_core& operator=(const front_core&) = delete;

  // -- connections ----------------------------------------------------------

  std::shared_ptr<connection>
  connected(capture::shared_descriptor socket, std::string client_address,
            std::shared_ptr<io_thread> thread) override;
  void disconnected(const std::shared_ptr<connection>& which) override;

  // -- requests -------------------------------------------------------------

  void serve(std::shared_ptr<connection> from, framed_request framed,
             clock::time_point began) override;
  void refused(std::string_view method_name, int status,
               clock::time_point began) override;
  void timed_out() override {
    ++timed_out_;
  }
  void send_later(transfer job) override;
  bool draining() const override {
    return draining_;
  }

  // -- for answers ----------------------------------------------------------

  std::uint64_t begin_request() {
    return ++in_flight_;
  }
  void end_request() {
    --in_flight_;
    notify_drain();
  }

  /// Takes one of max_downloads until `body`, which is replaced by itself with
  /// a guard, is let go. Returns false if there is none left.
  template <class T>
  bool reserve_download(std::shared_ptr<T>& body) {
    auto slot = take_download();
    if (!slot)
      return false;
    auto guarded
      = std::make_shared<std::pair<std::shared_ptr<void>, std::shared_ptr<T>>>(
        std::move(slot), std::move(body));
    auto* inner = guarded->second.get();
    body = std::shared_ptr<T>(std::move(guarded), inner);
    return true;
  }
  void observe(std::string_view method_name, const std::string& pattern,
               int status, clock::time_point began) const;

  // -- for the frontend -----------------------------------------------------

  front_stats stats() const;
  bool drain(std::chrono::milliseconds patience);

  /// Has something done with each sweep, by the sweeper; empty takes it back.
  /// When this returns, what was done before is no longer.
  void on_sweep(std::function<void()> task);

  /// Ends the threads and all connections. The listener must be gone.
  void stop();

private:
  /// What becomes of a new connection.
  enum class entrance : std::uint8_t { served, told, closed };

  entrance enter(const std::shared_ptr<connection>& added, std::string network);
  std::shared_ptr<void> take_download();
  void route_request(request& incoming, std::string_view query,
                     std::unique_ptr<answer_channel> channel);
  void sweep_until_stopped();
  std::vector<std::shared_ptr<connection>> all_connections();
  void notify_drain();

  const front_options options_;
  const connection_bounds bounds_;
  const trusted_proxies proxies_;
  const router router_;
  const observer observe_;

  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> refused_connections_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> refused_requests_{0};
  std::atomic<std::uint64_t> timed_out_{0};
  std::atomic<std::uint64_t> in_flight_{0};
  std::atomic<std::uint64_t> downloads_{0};
  std::atomic<bool> draining_{false};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false; ///< Guarded by mutex_.
  /// Each with what it counts for, see connections_of_; guarded by mutex_.
  std::unordered_map<std::shared_ptr<connection>, std::string> connections_;
  /// How many there are of each `client_network`; guarded by mutex_.
  std::unordered_map<std::string, std::uint32_t> connections_of_;

  std::mutex sweep_mutex_;
  std::function<void()> sweep_task_; ///< Guarded by sweep_mutex_.

  streamer streamer_;
  std::thread sweeper_;
};

} // namespace edgecap::http

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace edgecap::capture {

/// Threads for work that blocks, such as opening and closing packet sockets:
/// both wait for the kernel's RCU grace periods, tens of milliseconds each.
/// The queue has no bound of its own: its user has to limit how many jobs can
/// be waiting. Thread-safe.
class helper_pool {
public:
  using job = std::function<void()>;

  /// @throws std::system_error if no thread can be had.
  explicit helper_pool(unsigned threads);

  ~helper_pool();

  helper_pool(const helper_pool&) = delete;
  helper_pool& operator=(const helper_pool&) = delete;

  /// Queues `work`, which must not throw.
  /// @pre `stop` was not called.
  void post(job work);

  /// Runs what is queued and joins the threads. Idempotent; called by one
  /// thread, which is not a helper.
  void stop();

private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<job> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace edgecap::capture

#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace edgecap::fuzz {

/// Sees to it that the daemon has a job that has ended, with packets, and one
/// that runs, whatever a campaign deletes. It has a thread of its own.
class supply {
public:
  /// Waits for the first two jobs.
  /// @throws std::runtime_error if the daemon gives none
  explicit supply(std::uint16_t port);
  ~supply();
  supply(const supply&) = delete;
  supply& operator=(const supply&) = delete;

  /// Ids of the two; any thread.
  std::string ended_job() const;
  std::string running_job() const;

private:
  void run();
  void renew();
  void renew_ended();
  void renew_running();

  const std::uint16_t port_;
  mutable std::mutex mutex_; ///< Guards all that follows.
  std::condition_variable changed_;
  std::string ended_;
  std::string running_;
  std::string ending_; ///< Becomes the next `ended_`.
  bool stopped_ = false;
  std::thread thread_;
};

} // namespace edgecap::fuzz

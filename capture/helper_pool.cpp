#include "capture/helper_pool.hpp"

#include "capture/named_thread.hpp"

#include <cassert>
#include <string>
#include <utility>

namespace edgecap::capture {

helper_pool::helper_pool(unsigned threads) {
  try {
    for (unsigned i = 0; i < threads; ++i)
      threads_.push_back(
        start_thread("capture-help-" + std::to_string(i), [this] { run(); }));
  } catch (...) {
    stop(); // A thread that is not joined would end the process.
    throw;
  }
}

helper_pool::~helper_pool() {
  stop();
}

void helper_pool::post(job work) {
  {
    std::lock_guard guard{mutex_};
    assert(!stopping_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void helper_pool::stop() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_)
    thread.join();
  threads_.clear();
}

void helper_pool::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty())
      return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr; // What it holds must not be freed under the lock.
    lock.lock();
  }
}

} // namespace edgecap::capture

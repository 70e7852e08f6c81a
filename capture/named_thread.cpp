#include "capture/named_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace edgecap::capture {

namespace {

constexpr std::size_t max_name_bytes = 15;

/// Blocks every signal in the calling thread while it lives. A new thread
/// inherits the mask, so that it never runs a moment with signals open.
class signal_blocker {
public:
  signal_blocker() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }

  ~signal_blocker() {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  signal_blocker(const signal_blocker&) = delete;
  signal_blocker& operator=(const signal_blocker&) = delete;

private:
  sigset_t before_;
};

} // namespace

std::thread start_thread(std::string name, std::function<void()> body) {
  if (name.size() > max_name_bytes)
    name.resize(max_name_bytes);
  signal_blocker blocked;
  return std::thread{[name = std::move(name), body = std::move(body)] {
    pthread_setname_np(pthread_self(), name.c_str());
    body();
  }};
}

} // namespace edgecap::capture

#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>

namespace edgecap::http {

/// Something that must be over in time.
class timed {
public:
  virtual ~timed() = default;

  /// It is not. May come when it is over after all.
  virtual void time_out() noexcept = 0;
};

/// What must be over, and until when. Usable on any thread.
class deadline_list {
  struct entry {
    std::chrono::steady_clock::time_point when;
    std::weak_ptr<timed> what;
  };

public:
  using time_point = std::chrono::steady_clock::time_point;
  using handle = std::list<entry>::iterator;

  struct added {
    handle place;
    bool first; ///< Nobody looks at the list yet: see `expire`.
  };

  added add(time_point when, std::weak_ptr<timed> what);

  /// It is over. The handle is void from here on.
  void remove(handle which);

  /// Tells those that are out of time. Returns whether there are others, and
  /// so whether to look again; if not, the next `add` is a first one.
  bool expire(time_point now);

private:
  std::mutex mutex_; // Guards the others.
  std::list<entry> entries_;
  bool watched_ = false;
};

} // namespace edgecap::http

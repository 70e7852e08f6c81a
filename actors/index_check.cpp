#include "actors/index_check.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

namespace edgecap {

namespace {

/// For somebody else's lock on the index.
constexpr int busy_timeout_ms = 250;

/// Between two attempts to interrupt SQLite, which hears none before its
/// statement runs.
constexpr std::chrono::milliseconds interrupt_interval{5};

/// ioprio_set(2), which the C library has no function for. The numbers of
/// linux/ioprio.h are written out: some kernels' copy of it (6.1.192) names a
/// parameter `class`, and C++ cannot include it.
constexpr int ioprio_who_process = 1;
constexpr int ioprio_class_idle = 3;
constexpr int ioprio_class_shift = 13;

/// Lets all other threads go first, on the processor and at the disk. Not so
/// far that it would never run: it may hold a lock of SQLite's for a moment.
void give_way() {
  constexpr int niceness = 10;
  // Without the right to it goes on as any other thread.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, niceness));
  static_cast<void>(::syscall(SYS_ioprio_set, ioprio_who_process, 0,
                              ioprio_class_idle << ioprio_class_shift));
}

store_error as_store_error(const std::string& file,
                           const SQLite::Exception& x) {
  const auto code = x.getErrorCode();
  const auto damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return {damaged ? store_errc::damaged : store_errc::unavailable,
          "check index " + file + ": " + x.what()};
}

} // namespace

class index_check::impl {
public:
  /// @throws SQLite::Exception
  impl(const std::string& file, const std::string& vfs, verdict_function tell)
    : file_(file), tell_(std::move(tell)),
      db_(file, SQLite::OPEN_READONLY, busy_timeout_ms, vfs),
      ended_(done_.get_future()), thread_([this] { run(); }) {}

  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  ~impl() {
    stopped_ = true;
    do {
      sqlite3_interrupt(db_.getHandle());
    } while (ended_.wait_for(interrupt_interval) != std::future_status::ready);
    thread_.join();
  }

private:
  void run() {
    give_way();
    const auto verdict = look();
    if (!stopped_)
      tell_(verdict);
    done_.set_value();
  }

  stored<void> look() {
    try {
      // Not all that is wrong: the first is enough.
      const auto found = db_.execAndGet("PRAGMA quick_check(1)").getString();
      if (found == "ok")
        return {};
      return store_failure(store_errc::damaged,
                           "check index " + file_ + ": " + found);
    } catch (const SQLite::Exception& x) {
      return tl::unexpected<store_error>{as_store_error(file_, x)};
    }
  }

  const std::string file_;
  const verdict_function tell_;
  SQLite::Database db_;
  std::atomic<bool> stopped_{false};
  std::promise<void> done_;
  std::future<void> ended_;
  std::thread thread_; ///< Uses all of the above.
};

index_check::index_check(std::unique_ptr<impl> x) : impl_(std::move(x)) {}

index_check::~index_check() = default;

stored<std::unique_ptr<index_check>>
index_check::begin(const std::filesystem::path& file, const std::string& vfs,
                   verdict_function tell) {
  try {
    auto begun = std::make_unique<impl>(file.string(), vfs, std::move(tell));
    return std::unique_ptr<index_check>{new index_check{std::move(begun)}};
  } catch (const SQLite::Exception& x) {
    return tl::unexpected<store_error>{as_store_error(file.string(), x)};
  }
}

} // namespace edgecap

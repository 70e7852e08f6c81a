#include "tests/simulation/faults.hpp"

#include <utility>

namespace edgecap::simulation {

const char* name_of(fault x) {
  static constexpr const char* names[] = {
    "open-refused",    "open-late",        "open-never",
    "source-fails",    "source-vanish",    "source-stalls",
    "source-bursts",   "no-drain",         "slow-drain",
    "survey-fails",    "insert-fails",     "append-fails",
    "close-fails",     "merge-fails",      "publish-fails",
    "commit-fails",    "clean-fails",      "resume-fails",
    "disk-full",       "disk-short-write", "disk-write-error",
    "disk-sync-error", "disk-read-error",  "no-descriptor",
    "disk-slow",       "disk-stays-full",  "savefile-lost",
    "torn-write",      "lost-write",       "lost-name",
    "storage-pauses",  "storage-stalls",   "job-dies",
    "sampler-dies",    "node-dies",        "registry-dies",
    "limiter-dies",    "storage-dies",     "edge-cut",
    "edge-silent",     "clock-forward",    "clock-back",
    "process-crash",   "host-crash",       "crash-in-call",
    "ordered-stop",
  };
  static_assert(sizeof names / sizeof *names == fault_kinds);
  return names[static_cast<std::size_t>(x)];
}

bool faults::only(const std::string& name) {
  if (!std::exchange(chosen_, true))
    enabled_.fill(false);
  if (name == "none")
    return true;
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (name == name_of(static_cast<fault>(i))) {
      enabled_[i] = true;
      return true;
    }
  return false;
}

bool faults::disable(const std::string& name) {
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (name == name_of(static_cast<fault>(i))) {
      enabled_[i] = false;
      return true;
    }
  return false;
}

} // namespace edgecap::simulation

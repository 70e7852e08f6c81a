// For LD_PRELOAD: a process with it believes that its host's clock is ahead by
// WRONG_CLOCK_AHEAD_NS. Its packets have the kernel's stamps all the same.

#include <dlfcn.h>

#include <cstdlib>
#include <ctime>

extern "C" int clock_gettime(clockid_t id, timespec* result) {
  using function = int (*)(clockid_t, timespec*);
  static const auto real
    = reinterpret_cast<function>(dlsym(RTLD_NEXT, "clock_gettime"));
  const auto done = real(id, result);
  if (done != 0 || id != CLOCK_REALTIME)
    return done;
  constexpr long long second = 1'000'000'000;
  static const auto* const ahead = std::getenv("WRONG_CLOCK_AHEAD_NS");
  const auto ns = result->tv_nsec + (ahead ? std::atoll(ahead) : 0);
  result->tv_sec += ns / second;
  result->tv_nsec = ns % second;
  return 0;
}

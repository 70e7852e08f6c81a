#include "tests/simulation/trace.hpp"

#include <cstdio>
#include <utility>

namespace edgecap::simulation {

void trace::note(instant now, const char* subject, std::uint64_t number,
                 const char* what, std::uint64_t value,
                 const std::string& text) {
  ++events_;
  mix(static_cast<std::uint64_t>(now.count()));
  mix(subject);
  mix(number);
  mix(what);
  mix(value);
  mix(text.c_str());
  line x{now, subject, number, what, value, text};
  if (print_)
    std::puts(rendered(x).c_str());
  if (kept_.size() == max_kept)
    kept_.pop_front();
  kept_.push_back(std::move(x));
}

std::string trace::tail() const {
  std::string result;
  for (const auto& x : kept_)
    result += rendered(x) + '\n';
  return result;
}

std::string trace::rendered(const line& x) {
  char head[160];
  std::snprintf(head, sizeof head, "%14.6f  %s %llu %s %llu",
                static_cast<double>(x.time.count()) / 1e9, x.subject,
                static_cast<unsigned long long>(x.number), x.what,
                static_cast<unsigned long long>(x.value));
  return x.text.empty() ? head : std::string{head} + "  " + x.text;
}

void trace::mix(std::uint64_t x) {
  hash_ = (hash_ ^ x) * 1099511628211u;
  hash_ ^= hash_ >> 29;
}

void trace::mix(const char* x) {
  for (; *x != '\0'; ++x)
    hash_ = (hash_ ^ static_cast<unsigned char>(*x)) * 1099511628211u;
}

} // namespace edgecap::simulation

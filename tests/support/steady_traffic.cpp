#include "tests/support/steady_traffic.hpp"

#include "tests/support/live_fixture.hpp"
#include "tests/support/traffic.hpp"

#include <chrono>
#include <stdexcept>

namespace edgecap::test {

capture::unix_ns unix_now() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch())
    .count();
}

steady_traffic::steady_traffic(const tun_interface& tun)
  : thread_{[this, &tun] { run(tun); }} {}

steady_traffic::~steady_traffic() {
  end();
}

void steady_traffic::run(const tun_interface& tun) {
  while (!done_) {
    const auto packet = udp_packet(sent_, wanted_port, 100);
    const auto from = unix_now();
    try {
      tun.receive(packet);
    } catch (const std::runtime_error&) {
      return;
    }
    spans_.push_back({from, unix_now()});
    ++sent_;
  }
}

void steady_traffic::pass_another() const {
  const auto before = sent();
  if (!eventually([&] { return sent() >= before + 2; }))
    throw std::runtime_error{"the traffic has stopped"};
}

const std::vector<steady_traffic::span>& steady_traffic::end() {
  done_ = true;
  if (thread_.joinable())
    thread_.join();
  return spans_;
}

} // namespace edgecap::test

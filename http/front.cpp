#include "http/front.hpp"

#include "http/front_core.hpp"
#include "http/listener.hpp"
#include "http/process_setup.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::http {

class front::impl {
public:
  impl(front_options options, std::vector<route> routes, observer observe) {
    ignore_sigpipe_unless_handled();
    const signals_blocked while_threads_start;
    const auto address = options.address;
    const auto port = options.port;
    const auto threads = std::max<std::uint32_t>(options.threads, 1);
    core_ = std::make_shared<front_core>(std::move(options), std::move(routes),
                                         std::move(observe));
    listener_ = std::make_unique<listener>(address, port, threads, core_);
    core_->on_sweep([this] { listener_->watch_descriptors(); });
  }

  ~impl() {
    core_->on_sweep({});
    listener_.reset();
    core_->stop();
  }

  std::uint16_t port() const {
    return listener_->port();
  }

  front_core& core() const {
    return *core_;
  }

private:
  std::shared_ptr<front_core> core_;
  std::unique_ptr<listener> listener_;
};

front::front(front_options options, std::vector<route> routes, observer observe)
  : impl_(std::make_unique<impl>(std::move(options), std::move(routes),
                                 std::move(observe))) {}

front::~front() = default;

std::uint16_t front::port() const {
  return impl_->port();
}

front_stats front::stats() const {
  return impl_->core().stats();
}

bool front::drain(std::chrono::milliseconds patience) {
  return impl_->core().drain(patience);
}

} // namespace edgecap::http

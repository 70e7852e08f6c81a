#include "http/server.hpp"

#include "http/handlers.hpp"
#include "http/routes.hpp"

#include <utility>

namespace edgecap::http {

class server::impl {
public:
  impl(caf::actor_system& system, engine_handles engine,
       const api_options& options, front_options limits)
    : handlers(std::make_shared<api>(system, std::move(engine), options)),
      frontend(std::move(limits), make_routes(handlers),
               [to = handlers](const std::string& method_name,
                               const std::string& pattern, int status,
                               std::chrono::nanoseconds duration) {
                 to->observe(method_name, pattern, status, duration);
               }) {
    handlers->set_front_stats([this] { return frontend.stats(); });
  }

  ~impl() {
    // Answers under way may outlive the frontend; its figures do not.
    handlers->set_front_stats({});
  }

  std::shared_ptr<api> handlers;
  front frontend;
};

server::server(caf::actor_system& system, engine_handles engine,
               const api_options& options, front_options limits)
  : impl_(std::make_unique<impl>(system, std::move(engine), options,
                                 std::move(limits))) {}

server::~server() = default;

std::uint16_t server::port() const {
  return impl_->frontend.port();
}

void server::set_rules(const api_rules& rules) {
  impl_->handlers->set_rules(rules);
}

void server::count_reload(bool applied) {
  impl_->handlers->count_reload(applied);
}

bool server::drain(std::chrono::milliseconds patience) {
  return impl_->frontend.drain(patience);
}

} // namespace edgecap::http

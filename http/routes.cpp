#include "http/routes.hpp"

#include "http/handlers.hpp"

#include <string>
#include <utility>

namespace edgecap::http {

std::vector<route> make_routes(const std::shared_ptr<api>& target) {
  using handler_of_api = void (api::*)(const request&, reply);
  const auto call = [&target](handler_of_api handle) {
    return [target, handle](const request& asked, reply answer) {
      (*target.*handle)(asked, std::move(answer));
    };
  };
  const std::string pcaps = "/client/v4/accounts/:account_id/pcaps";
  const std::string pcap = pcaps + "/:pcap_id";
  const std::string ownership = pcaps + "/ownership";
  return {
    {method::post, pcaps, call(&api::create)},
    {method::get, pcaps, call(&api::list)},
    // `nodes` and `ownership` are literals, not ids.
    {method::get, pcaps + "/nodes", call(&api::nodes)},
    {method::get, ownership, call(&api::ownership)},
    {method::post, ownership, call(&api::ownership)},
    {method::post, ownership + "/validate", call(&api::ownership)},
    {method::del, ownership + "/:ownership_id", call(&api::ownership)},
    {method::get, pcap, call(&api::get)},
    {method::del, pcap, call(&api::erase)},
    {method::get, pcap + "/download", call(&api::download)},
    {method::get, pcap + "/stream", call(&api::stream)},
    {method::put, pcap + "/stop", call(&api::stop)},
    {method::get, "/healthz", call(&api::healthz)},
    {method::get, "/readyz", call(&api::readyz)},
    {method::get, "/metrics", call(&api::scrape)},
    {method::get, "/openapi.json", call(&api::openapi)},
  };
}

} // namespace edgecap::http

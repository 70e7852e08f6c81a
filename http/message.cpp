#include "http/message.hpp"

#include "http/errors.hpp"

namespace edgecap::http {

reply::reply(std::unique_ptr<reply_channel> channel)
  : channel_(std::move(channel)) {}

reply::~reply() {
  if (channel_)
    send(failure_response({500, code::internal, "No answer was produced", {}}));
}

void reply::send(response answer) {
  if (auto channel = std::exchange(channel_, nullptr))
    channel->send(std::move(answer));
}

void reply::send_file(response head, file_slice body) {
  if (auto channel = std::exchange(channel_, nullptr))
    channel->send_file(std::move(head), std::move(body));
}

void reply::send_live(response head, std::shared_ptr<live_body> body) {
  if (auto channel = std::exchange(channel_, nullptr))
    channel->send_live(std::move(head), std::move(body));
}

bool reply::peer_gone() const {
  return !channel_ || channel_->peer_gone();
}

} // namespace edgecap::http

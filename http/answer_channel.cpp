#include "http/answer_channel.hpp"

#include "actors/log_event.hpp"
#include "http/errors.hpp"
#include "http/response_head.hpp"

#include <utility>

namespace edgecap::http {

response unavailable(int code, const char* message) {
  auto answer = failure_response({503, code, message, {}});
  answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

namespace {

/// In place of an answer that would break the framing.
response unsendable() {
  return failure_response(
    {500, code::internal, "The answer could not be sent", {}});
}

} // namespace

answer_channel::answer_channel(std::shared_ptr<front_core> core,
                               std::shared_ptr<connection> to,
                               method request_method,
                               connection::clock::time_point began)
  : core_(std::move(core)), to_(std::move(to)), method_(request_method),
    began_(began), in_flight_(core_->begin_request()) {}

answer_channel::~answer_channel() {
  core_->end_request();
}

void answer_channel::send(response answer) {
  write(std::move(answer), {});
}

void answer_channel::send_file(response head, file_slice body) {
  if (method_ != method::head && body.length > 0
      && !core_->reserve_download(body.descriptor))
    return send(unavailable(code::overloaded, "Too many downloads are open"));
  write(std::move(head), std::move(body));
}

void answer_channel::send_live(response head, std::shared_ptr<live_body> body) {
  const auto refuse = [&](response answer) {
    body->finished(false);
    send(std::move(answer));
  };
  if (!is_sound(head))
    return refuse(unsendable());
  if (method_ != method::head && !core_->reserve_download(body))
    return refuse(unavailable(code::overloaded, "Too many downloads are open"));
  core_->observe(to_string(method_), pattern(), head.status, began_);
  to_->send_live(head, body);
}

bool answer_channel::peer_gone() const {
  return to_->gone();
}

bool answer_channel::is_sound(const response& answer) const {
  if (is_writable(answer))
    return true;
  log_event{"http-unwritable-answer"}
    .with("route", pattern())
    .with("status", answer.status)
    .error();
  return false;
}

void answer_channel::write(response answer, file_slice body) {
  if (!is_sound(answer)) {
    answer = unsendable();
    body = {};
  }
  core_->observe(to_string(method_), pattern(), answer.status, began_);
  to_->send(std::move(answer), std::move(body));
}

const std::string& answer_channel::pattern() const {
  static const std::string none;
  return pattern_ == nullptr ? none : *pattern_;
}

} // namespace edgecap::http

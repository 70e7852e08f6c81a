#pragma once

#include "http/connection.hpp"
#include "http/front_core.hpp"
#include "http/message.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace edgecap::http {

/// The answer 503 with Retry-After.
response unavailable(int code, const char* message);

/// Where the answer to one request goes. Counts as a request in flight as long
/// as it lives.
class answer_channel final : public reply_channel {
public:
  answer_channel(std::shared_ptr<front_core> core,
                 std::shared_ptr<connection> to, method request_method,
                 connection::clock::time_point began);
  ~answer_channel() override;
  answer_channel(const answer_channel&) = delete;
  answer_channel& operator=(const answer_channel&) = delete;

  void send(response answer) override;
  void send_file(response head, file_slice body) override;
  void send_live(response head, std::shared_ptr<live_body> body) override;
  bool peer_gone() const override;

  /// Requests that were being served when this one came, with it.
  std::uint64_t in_flight() const {
    return in_flight_;
  }

  /// Notes which route the request has, for the observer.
  /// @param pattern must live as long as the core.
  void matched(const std::string& pattern) {
    pattern_ = &pattern;
  }

private:
  bool is_sound(const response& answer) const;
  void write(response answer, file_slice body);
  const std::string& pattern() const;

  const std::shared_ptr<front_core> core_;
  const std::shared_ptr<connection> to_;
  const method method_;
  const connection::clock::time_point began_;
  const std::uint64_t in_flight_;
  const std::string* pattern_ = nullptr;
};

} // namespace edgecap::http

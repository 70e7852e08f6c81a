#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::http {

/// Part of a live body. The bytes live as long as their owner.
struct body_piece {
  std::shared_ptr<const void> owner;
  const void* data = nullptr;
  std::size_t size = 0;
};

/// What a live body has to offer at the moment.
enum class live_state : std::uint8_t {
  piece,   ///< Bytes to send.
  waiting, ///< None yet.
  whole,   ///< All was sent.
  broken,  ///< The rest will never come.
};

/// A body of unknown length that comes into being while it is sent. The
/// streamer calls it, on one thread at a time; whoever fills it may do so on
/// any other.
class live_body {
public:
  virtual ~live_body() = default;

  /// Takes the next piece; `to` is written for `live_state::piece` only.
  virtual live_state next(body_piece& to) = 0;

  /// Has `wake` called when `next` has something else to say than `waiting`,
  /// at once if it already has; on any thread, at the latest when `next` is
  /// due, and never after `finished` has returned. It must not block.
  virtual void on_ready(std::function<void()> wake) = 0;

  /// Fields to send behind a whole body; see RFC 9110, 6.5.
  virtual std::vector<std::pair<std::string, std::string>> trailers() const = 0;

  /// Nothing will be taken any more. @param complete Whether all of it reached
  /// the socket.
  virtual void finished(bool complete) = 0;
};

} // namespace edgecap::http

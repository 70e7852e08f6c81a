#include "http/live_stream.hpp"

#include <memory>

namespace edgecap::http {

namespace {

/// The piece that the bytes of `from` are.
template <class Bytes>
body_piece piece_of(Bytes from, std::size_t size) {
  const auto owner = std::make_shared<const Bytes>(std::move(from));
  return {owner, owner->data(), size};
}

} // namespace

live_stream::live_stream(std::size_t max_buffered_bytes,
                         std::function<void(const stream_report&)> report)
  : max_buffered_bytes_(max_buffered_bytes), report_(std::move(report)) {}

void live_stream::abandon() {
  const std::lock_guard<std::mutex> lock(mutex_);
  gone_ = true;
  report_ = nullptr;
  wake_ = nullptr;
  queue_.clear();
}

// -- the job's side -----------------------------------------------------------

void live_stream::begin(const std::string& savefile_header) {
  const std::lock_guard<std::mutex> lock(mutex_);
  header_ = savefile_header;
  wake();
}

bool live_stream::take(const capture::packet_batch& packets) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (gone_)
    return false;
  if (!queue_.empty()
      && buffered_bytes_ + packets.size_bytes() > max_buffered_bytes_) {
    totals_.packets_dropped += packets.packets();
    return true;
  }
  buffered_bytes_ += packets.size_bytes();
  queue_.push_back(packets);
  wake();
  return true;
}

void live_stream::miss(std::uint64_t packets) {
  const std::lock_guard<std::mutex> lock(mutex_);
  totals_.packets_dropped += packets;
}

void live_stream::end(bool complete) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ended_ = true;
  complete_ = complete;
  wake();
}

/// Tells the streamer, once; it asks again when it has nothing left.
void live_stream::wake() {
  if (const auto tell = std::exchange(wake_, nullptr))
    tell();
}

// -- the streamer's side ------------------------------------------------------

bool live_stream::has_news() const {
  return ended_ || !header_.empty() || !queue_.empty();
}

live_state live_stream::next(body_piece& to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!header_.empty()) {
    const auto size = header_.size();
    totals_.bytes_sent += size;
    to = piece_of(std::exchange(header_, {}), size);
    return live_state::piece;
  }
  if (!queue_.empty()) {
    auto batch = std::move(queue_.front());
    queue_.pop_front();
    const auto size = batch.size_bytes();
    buffered_bytes_ -= size;
    totals_.packets_sent += batch.packets();
    totals_.bytes_sent += size;
    to = piece_of(std::move(batch), size);
    return live_state::piece;
  }
  if (!ended_)
    return live_state::waiting;
  return complete_ ? live_state::whole : live_state::broken;
}

void live_stream::on_ready(std::function<void()> wake) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (has_news())
    wake();
  else
    wake_ = std::move(wake);
}

std::vector<std::pair<std::string, std::string>> live_stream::trailers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {{sent_field, std::to_string(totals_.packets_sent)},
          {dropped_field, std::to_string(totals_.packets_dropped)}};
}

void live_stream::finished(bool complete) {
  std::function<void(const stream_report&)> report;
  stream_report totals;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    gone_ = true;
    wake_ = nullptr;
    queue_.clear();
    totals_.complete = complete;
    totals = totals_;
    report.swap(report_);
  }
  if (report)
    report(totals);
}

} // namespace edgecap::http

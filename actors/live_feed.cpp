#include "actors/live_feed.hpp"

#include "capture/savefile.hpp"
#include "capture/sll2.hpp"

#include <algorithm>
#include <utility>

namespace edgecap {

namespace {

using capture::link_type;
using capture::packet_batch;

/// The records of a batch with LINUX_SLL2 headers.
packet_batch to_sll2(const packet_batch& from) {
  capture::batch_builder result{
    link_type::linux_sll2,
    from.size_bytes() + from.packets() * capture::sll2_header_bytes};
  std::vector<std::byte> bytes;
  from.for_each(
    [&](const capture::record_header& header, const std::byte* data) {
      const auto changed = capture::to_sll2(from.link(), 0, header, data);
      const auto rest
        = changed.captured_length - std::uint32_t{capture::sll2_header_bytes};
      bytes.assign(changed.link_header.begin(), changed.link_header.end());
      const auto* payload = data + changed.skipped_bytes;
      bytes.insert(bytes.end(), payload, payload + rest);
      auto record = header;
      record.captured_length = changed.captured_length;
      record.original_length = changed.original_length;
      result.append(record, bytes.data());
    });
  return result.take();
}

} // namespace

live_feed::~live_feed() {
  for (const auto& each : followers_)
    each->end(false);
}

void live_feed::add(follower_ptr who) {
  if (link_)
    begin(*who);
  followers_.push_back(std::move(who));
}

void live_feed::settle(const std::set<link_type>& links) {
  if (link_)
    return;
  link_ = links.size() == 1 ? *links.begin() : link_type::linux_sll2;
  for (const auto& each : followers_)
    begin(*each);
  waiting_bytes_ = 0;
  for (const auto& each : std::exchange(waiting_, {}))
    deliver(each);
}

void live_feed::take(const packet_batch& packets) {
  if (followers_.empty())
    return;
  if (link_)
    deliver(packets);
  else
    wait(packets);
}

void live_feed::finish() {
  settle({});
  for (const auto& each : std::exchange(followers_, {}))
    each->end(true);
}

void live_feed::wait(const packet_batch& packets) {
  if (waiting_bytes_ + packets.size_bytes() > max_waiting_bytes)
    return miss(packets.packets());
  waiting_bytes_ += packets.size_bytes();
  waiting_.push_back(packets);
}

void live_feed::deliver(const packet_batch& packets) {
  const auto converts = packets.link() != *link_;
  // An interface that opened late may have a link type that nobody was told of.
  if (converts
      && (link_ != link_type::linux_sll2
          || !capture::converts_to_sll2(packets.link())))
    return miss(packets.packets());
  const auto shown = converts ? to_sll2(packets) : packets;
  const auto gone
    = [&shown](const follower_ptr& each) { return !each->take(shown); };
  followers_.erase(std::remove_if(followers_.begin(), followers_.end(), gone),
                   followers_.end());
}

void live_feed::begin(follower& who) const {
  const auto header = capture::savefile_header(
    *link_, capture::max_captured_length, capture::time_precision::nanoseconds);
  who.begin({reinterpret_cast<const char*>(header.data()), header.size()});
}

void live_feed::miss(std::uint64_t packets) const {
  for (const auto& each : followers_)
    each->miss(packets);
}

} // namespace edgecap

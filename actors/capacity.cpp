#include "actors/capacity.hpp"

#include <algorithm>
#include <utility>

namespace edgecap {

namespace {

/// What a packet takes more in a pcapng file: a longer header, and padding.
constexpr std::uint64_t pcapng_overhead_bytes = 16 + 3;

/// The header of a file, which is the least that a new job takes.
constexpr std::uint64_t min_savefile_bytes = 24;

std::uint64_t classic_bytes(const capture::packet_batch& batch) {
  return batch.size_bytes();
}

/// At most, unless interfaces of different link types are captured together,
/// which adds up to 20 bytes to each packet of the classic savefile.
std::uint64_t all_bytes(std::uint64_t classic, std::uint64_t packets,
                        bool pcapng) {
  return pcapng ? 2 * classic + packets * pcapng_overhead_bytes : classic;
}

std::uint64_t all_bytes(const capture::packet_batch& batch, bool pcapng) {
  return all_bytes(classic_bytes(batch), batch.packets(), pcapng);
}

} // namespace

capacity::capacity(options opts, look free_bytes)
  : options_(std::move(opts)), look_(std::move(free_bytes)) {
  // A cause that did not happen is a 0, for whoever waits for the first time.
  for (const auto* cause : {"disk_full", "unavailable",
                            account_scope.size_cause, account_scope.jobs_cause,
                            total_scope.size_cause, total_scope.jobs_cause})
    refusals_[cause] = 0;
}

void capacity::set_limits(storage_limits limits) {
  options_.limits = std::move(limits);
}

// -- a job --------------------------------------------------------------------

stored<void> capacity::admit(const job_record& job, job_index& index,
                             time_point now) {
  auto room = check_quotas(job.spec.account_id, index, {min_savefile_bytes, 1});
  if (room)
    room = check_space("insert job " + job.id, now);
  if (!room)
    count_refusal(room.error());
  return room;
}

stored<void> capacity::check_space(const std::string& attempt, time_point now) {
  return check_floor(attempt, largest_merge_bytes(), 0, now);
}

void capacity::count_refusal(const store_error& why) {
  // Which quota it was has been counted where that was known.
  if (why.code == store_errc::full)
    ++refusals_["disk_full"];
  else if (why.code != store_errc::quota)
    ++refusals_["unavailable"];
}

void capacity::open(const std::string& id, const std::string& account) {
  claims_[id].account = account;
}

stored<void> capacity::check(const std::string& id, std::uint32_t run,
                             const capture::packet_batch& batch,
                             job_index& index, time_point now) {
  const auto i = claims_.find(id);
  if (i == claims_.end())
    return {};
  const auto& x = i->second;
  const auto more = all_bytes(batch, options_.pcapng);
  if (auto room = check_quotas(x.account, index, {more, 0}); !room)
    return room;
  auto floor = largest_merge_bytes();
  if (needs_merge(x, addition_of(x, run, batch)))
    floor = std::max(floor, x.classic_bytes + classic_bytes(batch));
  return check_floor("append to job " + id, floor, classic_bytes(batch), now);
}

void capacity::adopt(const std::string& id, const run_infos& runs) {
  const auto i = claims_.find(id);
  if (i == claims_.end())
    return;
  for (const auto& [run, info] : runs)
    add(i->second,
        {run,
         info.captured_bytes + info.packets * sizeof(capture::record_header),
         info.packets, info.ordered, info.last_time});
}

void capacity::grow(const std::string& id, std::uint32_t run,
                    const capture::packet_batch& batch) {
  if (const auto i = claims_.find(id); i != claims_.end())
    add(i->second, addition_of(i->second, run, batch));
  free_bytes_ -= std::min(free_bytes_, classic_bytes(batch));
}

capacity::addition capacity::addition_of(const claim& x, std::uint32_t run,
                                         const capture::packet_batch& batch) {
  return {run, classic_bytes(batch), batch.packets(),
          batch.ordered() && batch.first_time() >= x.last_time,
          batch.last_time()};
}

void capacity::add(claim& x, const addition& what) {
  const auto more
    = all_bytes(what.classic_bytes, what.packets, options_.pcapng);
  x.needs_merge = needs_merge(x, what);
  x.classic_bytes += what.classic_bytes;
  x.all_bytes += more;
  accounts_[x.account] += more;
  total_ += more;
  x.only_run = what.run;
  x.last_time = std::max(x.last_time, what.last_time);
  if (x.needs_merge && largest_merge_)
    largest_merge_ = std::max(*largest_merge_, x.classic_bytes);
}

void capacity::close(const std::string& id) {
  const auto i = claims_.find(id);
  if (i == claims_.end())
    return;
  const auto& x = i->second;
  total_ -= x.all_bytes;
  if (const auto sum = accounts_.find(x.account);
      sum != accounts_.end() && (sum->second -= x.all_bytes) == 0)
    accounts_.erase(sum);
  if (x.needs_merge && largest_merge_ == x.classic_bytes)
    largest_merge_.reset();
  claims_.erase(i);
}

// -- helpers ------------------------------------------------------------------

const quota& capacity::quota_of(const std::string& account) const {
  const auto& limits = options_.limits;
  const auto own = limits.accounts.find(account);
  return own == limits.accounts.end() ? limits.each_account : own->second;
}

stored<void> capacity::check_quotas(const std::string& account,
                                    job_index& index, const space_use& more) {
  const auto check = [&](const quota& limit, const quota_scope& scope,
                         const stored<index_totals>& used,
                         std::uint64_t unsealed) -> stored<void> {
    if (!used)
      return tl::unexpected<store_error>{used.error()};
    auto over = check_quota(limit, scope, {*used, unsealed}, more);
    if (!over)
      return {};
    if (more.jobs > 0)
      ++refusals_[over->cause];
    return store_failure(store_errc::quota, std::move(over->text));
  };
  if (const auto& limit = quota_of(account);
      limit.bytes != 0 || limit.jobs != 0)
    if (auto room = check(limit, account_scope, index.totals_of(account),
                          unsealed_bytes_of(account));
        !room)
      return room;
  if (const auto& limit = options_.limits.total;
      limit.bytes != 0 || limit.jobs != 0)
    return check(limit, total_scope, index.totals(), total_);
  return {};
}

/// Whether a job can not be sealed by a link, with this: it can if all is in
/// one run, and in order.
bool capacity::needs_merge(const claim& x, const addition& more) const {
  return x.needs_merge || !options_.links
         || x.only_run.value_or(more.run) != more.run || !more.in_order;
}

stored<void> capacity::check_floor(const std::string& attempt,
                                   std::uint64_t floor, std::uint64_t more,
                                   time_point now) {
  floor = std::max(floor, options_.limits.min_free_bytes);
  // Until it is whole again, all space is for what must end.
  if (auto whole = refill(attempt, now); !whole)
    return whole;
  const auto has_room
    = [&] { return free_bytes_ >= more && free_bytes_ - more >= floor; };
  if (!looked_at_ || now - *looked_at_ >= look_interval || !has_room()) {
    const auto free_now = look_();
    if (!free_now)
      return tl::unexpected<store_error>{free_now.error()};
    free_bytes_ = *free_now;
    looked_at_ = now;
  }
  if (has_room())
    return {};
  return store_failure(store_errc::full,
                       attempt + ": " + std::to_string(free_bytes_)
                         + " bytes are free; " + std::to_string(more)
                         + " more would leave less than the floor of "
                         + std::to_string(floor));
}

stored<void> capacity::refill(const std::string& attempt, time_point now) {
  auto* reserve = options_.reserve;
  if (reserve == nullptr || reserve->missing_bytes() == 0)
    return {};
  const auto missing = reserve->missing_bytes();
  if (!refilled_at_ || now - *refilled_at_ >= look_interval) {
    refilled_at_ = now;
    looked_at_.reset();
    const auto free_now = look_();
    if (!free_now)
      return tl::unexpected<store_error>{free_now.error()};
    free_bytes_ = *free_now;
    if (free_bytes_ >= options_.limits.min_free_bytes + missing)
      if (const auto filled = reserve->fill(); filled)
        return {};
  }
  return store_failure(store_errc::full,
                       attempt + ": " + std::to_string(free_bytes_)
                         + " bytes are free, and " + std::to_string(missing)
                         + " bytes are missing in the reserve");
}

std::uint64_t capacity::unsealed_bytes_of(const std::string& account) const {
  const auto i = accounts_.find(account);
  return i == accounts_.end() ? 0 : i->second;
}

std::uint64_t capacity::largest_merge_bytes() {
  if (!largest_merge_) {
    largest_merge_ = 0;
    for (const auto& [id, x] : claims_)
      if (x.needs_merge)
        largest_merge_ = std::max(*largest_merge_, x.classic_bytes);
  }
  return *largest_merge_;
}

} // namespace edgecap

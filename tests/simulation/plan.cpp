#include "tests/simulation/plan.hpp"

#include "tests/simulation/random_stream.hpp"

#include <algorithm>
#include <array>

namespace edgecap::simulation {

using namespace std::chrono_literals;

namespace {

constexpr const char* accounts[] = {
  "023e105f4ecef8ad9ca31a8372d0c353",
  "11111111111111111111111111111111",
  "ffffffffffffffffffffffffffffffff",
};

constexpr std::uint32_t packet_limits[]
  = {1, 2, 5, 10, 20, 40, 77, 150, 500, 10000, 10000};
constexpr std::uint32_t time_limits_s[] = {1, 2, 5, 10, 20, 30, 60, 120, 300};

/// Of a hundred operations, so many are of each kind.
action draw_action(random_stream& draws) {
  static constexpr std::array<std::pair<action, std::uint64_t>, 8> shares{
    {{action::create, 34},
     {action::stop, 13},
     {action::erase, 9},
     {action::get, 16},
     {action::list, 10},
     {action::download, 9},
     {action::follow, 6},
     {action::stats, 3}}};
  auto x = draws.below(100);
  for (const auto& [what, share] : shares) {
    if (x < share)
      return what;
    x -= share;
  }
  return action::get;
}

job_spec draw_spec(random_stream& draws, const std::string& account,
                   std::uint16_t subject) {
  job_spec result;
  result.account_id = account;
  result.system = draws.one_in(50) ? "elsewhere" : "lab";
  result.packet_limit = draws.pick(packet_limits);
  result.time_limit_s = draws.pick(time_limits_s);
  result.filter.source_port = subject;
  return result;
}

/// What may be kept, and of how much disk. Mostly there is no end of it, for a
/// job that has no room is one that shows little else.
void draw_space(random_stream& draws, setup& to) {
  const auto limited = [&](std::uint64_t one_in, std::uint64_t none,
                           std::uint64_t tight, std::uint64_t wide) {
    const auto happens = draws.one_in(one_in);
    const auto limit = draws.one_in(2) ? tight : wide;
    return happens ? limit : none;
  };
  to.each_account.bytes = limited(6, 0, 2000, 40'000);
  to.total.bytes = limited(8, 0, 5000, 100'000);
  to.total.jobs = limited(6, 0, 3, 8);
  to.max_jobs = limited(4, to.max_jobs, 1, 3);
  to.max_bytes = limited(4, to.max_bytes, 2000, 50'000);
  to.sweep_interval = std::chrono::seconds{draws.one_of({60u, 60u, 5u})};
  to.min_free_bytes = draws.one_of({0u, 4096u, 65'536u, 1u << 20});
  to.reserve_bytes = draws.one_of({0u, 65'536u, 2u << 20});
}

} // namespace

const char* name_of(action x) {
  static constexpr const char* names[]
    = {"create", "stop", "erase", "get", "list", "download", "follow", "stats"};
  return names[static_cast<std::size_t>(x)];
}

setup make_setup(std::uint64_t seed) {
  random_stream draws{seed, setup_stream};
  setup result;
  const auto interfaces = draws.between(1, 3);
  for (std::uint64_t i = 0; i < interfaces; ++i)
    result.interfaces.push_back("eth" + std::to_string(i));
  result.mixed_links = draws.one_in(4);
  result.mean_gap_ms = draws.one_of({50u, 200u, 1000u, 4000u});
  result.most_at_once = draws.one_of({1u, 5u, 20u, 60u});
  result.batch_bytes = draws.one_of({512u, 4096u, 65536u});
  result.credit_bytes = result.batch_bytes * draws.one_of({1u, 4u, 16u});
  result.running_jobs = draws.one_of({2u, 5u, 256u, 256u});
  result.collects = draws.one_of({1u, 1u, 2u, 1000u, 1000u, 1000u});
  result.pcapng = !draws.one_in(3);
  result.microseconds = draws.one_in(5);
  result.max_age = std::chrono::seconds{draws.one_of({30u, 86400u, 86400u})};
  result.each_account.jobs = draws.one_of({0u, 0u, 0u, 2u, 6u});
  result.max_open_runs = draws.one_of({1u, 3u, 256u});
  result.seal_slice_bytes = draws.one_of({2048u, 16384u, 1u << 20});
  result.progress_interval
    = std::chrono::milliseconds{draws.one_of({250u, 1000u})};
  result.schedule = static_cast<std::uint32_t>(draws.below(8));
  result.hurry = draws.one_of({16u, 64u, 256u, 256u});
  result.storage_faults = draws.one_of({0u, 0u, 0u, 20u, 60u, 200u});
  result.disk_faults = draws.one_of({0u, 0u, 100u, 500u, 2000u});
  result.inspection_slice = draws.one_of({1u, 16u});
  result.edges = draws.one_of({0u, 0u, 0u, 1u, 2u, 3u});
  draw_space(draws, result);
  return result;
}

std::vector<operation> make_plan(std::uint64_t seed, const setup& how) {
  random_stream draws{seed, plan_stream};
  std::vector<operation> result;
  const auto n = draws.between(4, 32);
  const auto span_ms = draws.one_of({20u, 60u, 60u, 150u}) * 1000;
  // With many creates at once where they are allowed.
  const auto used_accounts
    = how.collects == 1 ? std::uint64_t{3} : draws.between(1, 3);
  for (std::uint64_t i = 0; i < n; ++i) {
    operation x;
    // The first one has something to work on, mostly.
    x.what = i == 0 ? action::create : draw_action(draws);
    x.at = std::chrono::milliseconds{draws.below(span_ms)};
    x.account = accounts[draws.below(used_accounts)];
    x.pick = draws.next();
    const auto subject = static_cast<std::uint16_t>(i + 1);
    x.spec = draw_spec(draws, x.account, subject);
    if (draws.one_in(3)) {
      x.key = draws.one_in(2) ? "key-a" : "key-b";
      // Mostly the request of an earlier one with the key, again.
      const auto like
        = std::find_if(result.begin(), result.end(), [&](const auto& y) {
            return y.account == x.account && y.key == x.key;
          });
      if (like != result.end() && !draws.one_in(4))
        x.spec = like->spec;
    }
    static constexpr const char* statuses[]
      = {"", "", "", "pending", "success", "failed"};
    x.status = draws.pick(statuses);
    if (draws.one_in(3))
      x.format = savefile_format::pcapng;
    static constexpr const char* colos[] = {"node-1", "edge-5", edges_colo};
    if (how.edges > 0 && x.key.empty() && draws.one_in(5))
      x.spec.colo_name = draws.pick(colos);
    if (draws.one_in(2))
      x.takes = std::chrono::milliseconds{draws.below(100'000)};
    result.push_back(std::move(x));
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& x, const auto& y) { return x.at < y.at; });
  return result;
}

} // namespace edgecap::simulation

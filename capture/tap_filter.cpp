#include "capture/tap_filter.hpp"

#include "capture/bpf_codes.hpp"
#include "capture/sampling.hpp"
#include "capture/union_filter.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace edgecap::capture {

namespace {

/// Most rows of which a union compares each filter with each packet: more cost
/// all packets more than user space saves.
constexpr std::size_t max_exact_rows = 32;

/// Lets all packets in, whole.
bpf_program everything() {
  return {{bpf::return_value, 0, 0, 262144}};
}

} // namespace

void tap_filter::use(kernel_classifier classifier) {
  for (const auto& [id, x] : rows_) {
    const auto ok = classifier.insert(x.match, threshold_of(x.sampling_one_in));
    if (!ok) {
      on_fallback_(ok.error());
      return;
    }
  }
  classifier_ = std::move(classifier);
  if (const auto ok = install(); !ok)
    give_classifier_up(ok.error());
}

expected<void> tap_filter::insert(std::uint32_t id,
                                  const source_options& wanted) {
  const auto match = capture::match_of(wanted.filter);
  if (!match)
    return tl::unexpected<capture_error>{match.error()};
  if (classifier_) {
    const auto ok
      = classifier_->insert(*match, threshold_of(wanted.sampling_one_in));
    if (!ok)
      give_classifier_up(ok.error());
  }
  const auto snaplen = std::max(wanted.snaplen_bytes, min_kernel_snaplen_bytes);
  snaplens_.insert(snaplen);
  count_kinds(*match, true);
  rows_.emplace(id,
                row{wanted.filter, *match, wanted.sampling_one_in, snaplen});
  auto ok = install();
  if (!ok)
    erase(id);
  return ok;
}

void tap_filter::erase(std::uint32_t id) {
  const auto pos = rows_.find(id);
  const auto& x = pos->second;
  // What fails here lets in more than is wanted. That is sorted out above.
  if (classifier_)
    (void)classifier_->erase(x.match, threshold_of(x.sampling_one_in));
  snaplens_.erase(snaplens_.find(x.snaplen_bytes));
  count_kinds(x.match, false);
  rows_.erase(pos);
  (void)install();
}

void tap_filter::give_classifier_up(const capture_error& why) {
  on_fallback_(why);
  classifier_.reset();
  (void)install(); // Otherwise the socket keeps what it has, until the next.
}

void tap_filter::count_kinds(const flow_match& match, bool in) {
  for (const auto& x : without_endpoints(match)) {
    const auto key = words_of(key_of(x));
    auto& found = kinds_[key];
    found.match = x;
    found.rows += in ? 1 : std::size_t(-1);
    kinds_changed_ = kinds_changed_ || found.rows == (in ? 1 : 0);
    if (found.rows == 0)
      kinds_.erase(key);
  }
}

// -- what the socket gets -----------------------------------------------------

expected<void> tap_filter::install() {
  if (rows_.size() > 1)
    return classifier_ ? install_classifier() : install_union();
  auto ok = rows_.empty() ? interface_.reject_all() : install_only();
  if (ok)
    attached_ = program::own;
  return ok;
}

expected<void> tap_filter::install_only() {
  const auto& x = rows_.begin()->second;
  filter_options how;
  how.layout = interface_.layout();
  how.sampling_one_in = x.sampling_one_in;
  how.snaplen_bytes = x.snaplen_bytes;
  const auto compiled = compile(x.fields, how);
  if (!compiled)
    return tl::unexpected<capture_error>{compiled.error()};
  return interface_.attach(*compiled);
}

expected<void> tap_filter::install_classifier() {
  classifier_->set_snaplen(*snaplens_.rbegin());
  if (attached_ == program::classifier)
    return {};
  auto ok = classifier_->attach(interface_.descriptor());
  if (ok)
    attached_ = program::classifier;
  return ok;
}

expected<void> tap_filter::install_union() {
  const auto coarse = rows_.size() > max_exact_rows;
  const auto snaplen = *snaplens_.rbegin();
  if (coarse && attached_ == program::coarse_union && !kinds_changed_
      && snaplen == attached_snaplen_)
    return {};
  std::vector<flow_match> filters;
  if (coarse)
    for (const auto& [key, x] : kinds_)
      filters.push_back(x.match);
  else
    for (const auto& [id, x] : rows_)
      filters.push_back(x.match);
  auto ok = attach_union(filters);
  if (!ok) {
    // The kernel counts old and new program at once (net.core.optmem_max): the
    // shortest one makes room.
    ok = interface_.attach(everything());
    if (ok)
      (void)attach_union(filters);
  }
  if (ok) {
    attached_ = coarse ? program::coarse_union : program::exact_union;
    attached_snaplen_ = snaplen;
    kinds_changed_ = false;
  }
  return ok;
}

expected<void>
tap_filter::attach_union(const std::vector<flow_match>& filters) {
  union_options how;
  how.layout = interface_.layout();
  how.snaplen_bytes = *snaplens_.rbegin();
  const auto compiled = compile_union(filters, how);
  if (!compiled)
    return tl::unexpected<capture_error>{compiled.error()};
  return interface_.attach(compiled->program);
}

} // namespace edgecap::capture

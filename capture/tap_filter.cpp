#include "capture/tap_filter.hpp"

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
  if (rows_.size() > 1)
    (void)install(); // Otherwise the socket keeps what it has, until the next.
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

/// The socket may keep its program, but that learns of no change any more.
void tap_filter::give_classifier_up(const capture_error& why) {
  on_fallback_(why);
  classifier_.reset();
}

void tap_filter::count_kinds(const flow_match& match, bool in) {
  for (const auto& x : without_endpoints(match)) {
    const auto key = words_of(key_of(x));
    auto& found = kinds_[key];
    found.match = x;
    found.rows += in ? 1 : std::size_t(-1);
    if (found.rows == (in ? 1 : 0))
      kinds_installed_ = false;
    if (found.rows == 0)
      kinds_.erase(key);
  }
}

// -- what the socket gets -----------------------------------------------------

expected<void> tap_filter::install() {
  if (rows_.empty())
    return replace_program(program::nothing,
                           [this] { return interface_.reject_all(); });
  if (rows_.size() == 1)
    return install_only();
  if (classifier_) {
    auto ok = install_classifier();
    if (ok)
      return ok;
    give_classifier_up(ok.error());
  }
  return install_union();
}

/// Has the socket get another program. On failure it has its old one, or none.
template <class F>
expected<void> tap_filter::replace_program(program next, F attach) {
  auto ok = attach();
  if (!ok) {
    ok = interface_.accept_all(); // Makes room.
    if (!ok)
      return ok;
    attached_ = program::everything;
    kinds_installed_ = false;
    leaked_ = true;
    ok = attach();
  }
  if (ok) {
    attached_ = next;
    kinds_installed_ = false;
  }
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
  return replace_program(program::own,
                         [&] { return interface_.attach(*compiled); });
}

expected<void> tap_filter::install_classifier() {
  classifier_->set_snaplen(*snaplens_.rbegin());
  if (attached_ == program::classifier)
    return {};
  return replace_program(program::classifier, [this] {
    return classifier_->attach(interface_.descriptor());
  });
}

expected<void> tap_filter::install_union() {
  const auto coarse = rows_.size() > max_exact_rows;
  const auto snaplen = *snaplens_.rbegin();
  if (coarse && kinds_installed_ && snaplen == kinds_snaplen_)
    return {};
  std::vector<flow_match> filters;
  if (coarse)
    for (const auto& [key, x] : kinds_)
      filters.push_back(x.match);
  else
    for (const auto& [id, x] : rows_)
      filters.push_back(x.match);
  auto ok = replace_program(program::some_union,
                            [&] { return attach_union(filters); });
  kinds_installed_ = coarse;
  kinds_snaplen_ = snaplen;
  if (attached_ == program::everything)
    return {}; // User space decides about each packet.
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

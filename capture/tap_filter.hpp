#pragma once

#include "capture/capture_error.hpp"
#include "capture/filter.hpp"
#include "capture/flow_key.hpp"
#include "capture/flow_match.hpp"
#include "capture/kernel_classifier.hpp"
#include "capture/live_interface.hpp"
#include "capture/packet_source.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgecap::capture {

/// Bytes that the kernel keeps even if the snaplen is smaller: a VLAN tag is
/// put back behind the two addresses, if these are there.
inline constexpr std::uint32_t min_kernel_snaplen_bytes = 64;

/// What the kernel lets into a tap's ring: packets that at least one row
/// wants, each with the chance that the row gives it that wants most.
///
/// A single row has its own program, which lets in nothing else. Several share
/// the classifier, once it is there, or a union of their filters. That is exact
/// for some rows, knows only families and protocols for many, and lets in
/// everything if the kernel has no room for more. Used by one thread at a time.
class tap_filter {
public:
  /// Why the classifier is of no use any more.
  using fallback_handler = std::function<void(const capture_error&)>;

  /// @param interface Has to outlive the filter.
  tap_filter(live_interface& interface, fallback_handler on_fallback)
    : interface_(interface), on_fallback_(std::move(on_fallback)) {}

  /// From now on several rows share the classifier, until it has no room for
  /// one of them.
  void use(kernel_classifier classifier);

  /// Adds a row. When this returns its packets are let in, but for those that
  /// the kernel is processing on another CPU at this moment. On failure all is
  /// as before. Of `wanted`, filter, sampling and snaplen count.
  expected<void> insert(std::uint32_t id, const source_options& wanted);

  /// Takes a row away; what only it wanted stays out, as above.
  void erase(std::uint32_t id);

  /// False if samples have to be taken from what is let in: a union does not
  /// know which row a packet is for.
  bool tosses_coin() const {
    return rows_.size() <= 1 || attached_ == program::classifier;
  }

  /// The filter of a row.
  const flow_match& match_of(std::uint32_t id) const {
    return rows_.at(id).match;
  }

  /// Number of rows.
  std::size_t size() const {
    return rows_.size();
  }

  /// The row that is alone.
  /// @pre size() == 1
  std::uint32_t only_row() const {
    return rows_.begin()->first;
  }

private:
  struct row {
    filter_fields fields;
    flow_match match; ///< The same.
    std::uint32_t sampling_one_in;
    std::uint32_t snaplen_bytes;
  };

  /// A filter without addresses and ports, of some rows.
  struct kind {
    flow_match match;
    std::size_t rows = 0;
  };

  /// What the socket has as its filter.
  enum class program {
    own,          ///< Of a single row or of none.
    exact_union,  ///< Of all rows.
    coarse_union, ///< Of `kinds_`, with the longest snaplen of the rows.
    classifier,
  };

  void give_classifier_up(const capture_error& why);
  void count_kinds(const flow_match& match, bool in);
  expected<void> install();
  expected<void> install_only();
  expected<void> install_classifier();
  expected<void> install_union();
  expected<void> attach_union(const std::vector<flow_match>& filters);

  live_interface& interface_;
  const fallback_handler on_fallback_;
  std::optional<kernel_classifier> classifier_;
  std::unordered_map<std::uint32_t, row> rows_;
  std::multiset<std::uint32_t> snaplens_; ///< Of the rows.
  std::map<flow_words, kind> kinds_;      ///< Of the rows.
  program attached_ = program::own;
  std::uint32_t attached_snaplen_ = 0; ///< Of a union.
  bool kinds_changed_ = false;         ///< Since a coarse union was attached.
};

} // namespace edgecap::capture

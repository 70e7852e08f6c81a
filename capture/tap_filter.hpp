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
///
/// The kernel counts the old program of a socket and its new one at once
/// (net.core.optmem_max). Where it has no room for both, the socket is without
/// a program in between.
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
    return attached_ != program::some_union && attached_ != program::everything;
  }

  /// True if no packet is let in at all.
  bool rejects_all() const {
    return attached_ == program::nothing;
  }

  /// The row that all that is let in is for, if there is such a one.
  std::optional<std::uint32_t> sole_row() const {
    if (attached_ != program::own || rows_.size() != 1)
      return std::nullopt;
    return rows_.begin()->first;
  }

  /// Whether everything was let in since `take_leak`, be it for a moment.
  bool leaked() const {
    return leaked_;
  }

  /// The same, for the last time: begins anew.
  bool take_leak() {
    return std::exchange(leaked_, attached_ == program::everything);
  }

  /// The filter of a row.
  const flow_match& match_of(std::uint32_t id) const {
    return rows_.at(id).match;
  }

  /// Number of rows.
  std::size_t size() const {
    return rows_.size();
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
    nothing, ///< Rejects all.
    own,     ///< Of the only row.
    some_union,
    classifier,
    everything, ///< None.
  };

  void give_classifier_up(const capture_error& why);
  void count_kinds(const flow_match& match, bool in);
  expected<void> install();
  expected<void> install_only();
  expected<void> install_classifier();
  expected<void> install_union();
  expected<void> attach_union(const std::vector<flow_match>& filters);

  template <class F>
  expected<void> replace_program(program next, F attach);

  live_interface& interface_;
  const fallback_handler on_fallback_;
  std::optional<kernel_classifier> classifier_;
  std::unordered_map<std::uint32_t, row> rows_;
  std::multiset<std::uint32_t> snaplens_; ///< Of the rows.
  std::map<flow_words, kind> kinds_;      ///< Of the rows.
  program attached_ = program::nothing;
  bool leaked_ = false; ///< See `take_leak`.
  /// A union of `kinds_` is attached, or was refused.
  bool kinds_installed_ = false;
  std::uint32_t kinds_snaplen_ = 0; ///< Of that union.
};

} // namespace edgecap::capture

#pragma once

#include "capture/capture_error.hpp"
#include "capture/descriptor.hpp"
#include "capture/filter.hpp"
#include "capture/flow_key.hpp"
#include "capture/flow_match.hpp"
#include "capture/sampling.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

struct bpf_object;

namespace edgecap::capture {

/// A table of rows in the kernel, and the eBPF program of packet sockets that
/// takes the packets that match any row (classifier.bpf.c). It decides about
/// each row as `compile` does. What it costs depends on the shapes that rows
/// have, not on how many there are; and so does a change, of which the sockets
/// learn at once, without a moment in which another row is not there.
///
/// A packet is kept by the highest threshold of all rows that it matches: one
/// random number decides for all of them. Of each packet that is kept there are
/// as many bytes as `read_flow` needs, also if the snaplen is smaller.
///
/// Wants CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, and Linux 5.12. Used by one
/// thread at a time.
class kernel_classifier {
public:
  /// Most filters of rows that differ.
  static constexpr std::size_t max_keys = 8192;

  /// Loads the program; takes some ten milliseconds. It matches nothing yet.
  /// Fails with `not_permitted`, or with `not_supported` if this kernel does
  /// not accept the program: neither passes by itself.
  static expected<kernel_classifier> create(filter_layout layout,
                                            std::uint32_t snaplen_bytes);

  kernel_classifier(kernel_classifier&&) noexcept;
  kernel_classifier& operator=(kernel_classifier&&) noexcept;

  /// Sockets that it was attached to keep the program and its last rows.
  ~kernel_classifier();

  /// Adds a row. If it fails, nothing has changed.
  expected<void> insert(const flow_match& match, sampling_threshold threshold);

  /// Takes out one row that was inserted with the same arguments. If it fails,
  /// packets of that row are still taken; it counts as out nevertheless.
  /// @pre There is such a row.
  expected<void> erase(const flow_match& match, sampling_threshold threshold);

  /// Bytes to keep of each packet, from now on; at least 1.
  void set_snaplen(std::uint32_t bytes);

  /// Makes it the filter of a packet socket, in place of any other.
  expected<void> attach(int socket) const;

private:
  struct closer {
    void operator()(bpf_object* x) const;
    void operator()(classifier_state* x) const;
  };

  using object_pointer = std::unique_ptr<bpf_object, closer>;
  using state_pointer = std::unique_ptr<classifier_state, closer>;

  /// The rows that share a key.
  struct entry {
    /// How many of them have each threshold.
    std::map<sampling_threshold, std::size_t> thresholds;

    sampling_threshold highest() const {
      return thresholds.empty() ? 0 : thresholds.rbegin()->first;
    }
  };

  using entries = std::unordered_map<flow_words, entry, flow_hash>;

  kernel_classifier(object_pointer object, state_pointer state, int program,
                    int rows, const flow_hash& hash);

  bool take_out(entries::iterator place, sampling_threshold threshold);
  expected<void> write(const flow_key& key, const entry& x);
  void count(const flow_key& key, int change);

  object_pointer object_;
  state_pointer state_; ///< Memory that the program reads.
  int program_;         ///< Descriptors, all of `object_`.
  int rows_;
  entries entries_;
  /// How many keys each place in the kernel's crowd stands for.
  std::vector<std::uint16_t> crowd_;
  /// How many keys each shape has.
  std::array<std::array<std::size_t, field_combinations>, flow_families>
    keys_{};
};

} // namespace edgecap::capture

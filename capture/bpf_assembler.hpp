#pragma once

#include "capture/capture_error.hpp"
#include "capture/filter.hpp"

#include <cstdint>
#include <vector>

namespace edgecap::capture {

/// Puts classic BPF together from instructions and labels, so that nobody
/// counts jump offsets by hand. Jumps go forward only, as the kernel demands.
class bpf_assembler {
public:
  /// A place in the program; made by `make_label`, set by `bind`.
  enum class label : std::uint32_t {};

  /// Target of a branch that goes on with the next instruction.
  static constexpr label next = label{0xffffffff};

  /// Makes a place that is not set yet.
  label make_label();

  /// Sets `place` to the next instruction.
  /// @pre It was not set before.
  void bind(label place);

  /// Appends an instruction that is no jump.
  void emit(std::uint16_t code, std::uint32_t k = 0);

  /// Appends a jump.
  void jump(label to);

  /// Appends a conditional jump: `BPF_JEQ`, `BPF_JGT`, `BPF_JGE` or `BPF_JSET`
  /// of the accumulator with `k`, or with the index register if `code` says
  /// `BPF_X`.
  void branch(std::uint16_t code, std::uint32_t k, label yes, label no);

  /// Resolves the labels. A conditional jump reaches 255 instructions far;
  /// where that is too little, it goes by way of an unconditional one. Fails
  /// with `bad_filter` if the program is longer than the kernel takes
  /// (`BPF_MAXINSNS`).
  /// @pre Every label that is jumped to is set, behind the jump.
  expected<bpf_program> assemble() const;

private:
  struct item {
    sock_filter instruction;
    label yes = next; ///< Also the target of an unconditional jump.
    label no = next;
    bool yes_far = false; ///< Needs an unconditional jump to get there.
    bool no_far = false;
  };

  /// Distance in instructions from the one behind `from` to `to`.
  std::size_t distance(const std::vector<std::size_t>& positions,
                       std::size_t from, label to) const;

  static bool lengthen(item& x, std::size_t yes, std::size_t no);

  std::vector<item> items_;
  std::vector<std::size_t> labels_; ///< Index into `items_` for each label.
};

} // namespace edgecap::capture

#include "capture/bpf_assembler.hpp"

#include <cassert>
#include <limits>
#include <string>

namespace edgecap::capture {

namespace {

constexpr auto unset = std::numeric_limits<std::size_t>::max();
constexpr std::size_t reach = 255; // jt and jf have eight bits.
constexpr std::uint16_t always = BPF_JMP | BPF_JA;

} // namespace

bpf_assembler::label bpf_assembler::make_label() {
  labels_.push_back(unset);
  return static_cast<label>(labels_.size() - 1);
}

void bpf_assembler::bind(label place) {
  auto& target = labels_.at(static_cast<std::size_t>(place));
  assert(target == unset);
  target = items_.size();
}

void bpf_assembler::emit(std::uint16_t code, std::uint32_t k) {
  items_.push_back({sock_filter{code, 0, 0, k}});
}

void bpf_assembler::jump(label to) {
  items_.push_back({sock_filter{always, 0, 0, 0}, to});
}

void bpf_assembler::branch(std::uint16_t code, std::uint32_t k, label yes,
                           label no) {
  const auto jump_code = static_cast<std::uint16_t>(BPF_JMP | code);
  items_.push_back({sock_filter{jump_code, 0, 0, k}, yes, no});
}

std::size_t bpf_assembler::distance(const std::vector<std::size_t>& positions,
                                    std::size_t from, label to) const {
  if (to == next)
    return 0;
  const auto target = labels_.at(static_cast<std::size_t>(to));
  assert(target != unset && target > from);
  return positions[target] - positions[from] - 1;
}

bool bpf_assembler::lengthen(item& x, std::size_t yes, std::size_t no) {
  if (x.instruction.code == always)
    return false;
  const auto before = x.yes_far + x.no_far;
  x.yes_far = x.yes_far || yes > reach;
  x.no_far = x.no_far || no > reach;
  return x.yes_far + x.no_far != before;
}

expected<bpf_program> bpf_assembler::assemble() const {
  auto items = items_;
  std::vector<std::size_t> positions(items.size() + 1);
  // A longer branch moves what lies behind it and may push other targets out
  // of reach. Branches only ever grow, so this comes to an end.
  for (auto changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < items.size(); ++i)
      positions[i + 1] = positions[i] + 1 + items[i].yes_far + items[i].no_far;
    for (std::size_t i = 0; i < items.size(); ++i)
      changed |= lengthen(items[i], distance(positions, i, items[i].yes),
                          distance(positions, i, items[i].no));
  }
  if (positions.back() > BPF_MAXINSNS)
    return fail(capture_errc::bad_filter,
                "compile filter: it takes " + std::to_string(positions.back())
                  + " instructions and the kernel accepts "
                  + std::to_string(BPF_MAXINSNS));
  bpf_program result;
  result.reserve(positions.back());
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto& x = items[i];
    const auto yes = distance(positions, i, x.yes);
    const auto no = distance(positions, i, x.no);
    const std::size_t detours = x.yes_far + x.no_far;
    if (x.instruction.code == always) {
      x.instruction.k = static_cast<std::uint32_t>(yes);
    } else if (BPF_CLASS(x.instruction.code) == BPF_JMP) {
      // Falling through skips the detours, which come right behind the branch.
      const auto near_yes = x.yes == next ? detours : yes;
      const auto near_no = x.no == next ? detours : no;
      x.instruction.jt = static_cast<std::uint8_t>(x.yes_far ? 0 : near_yes);
      x.instruction.jf
        = static_cast<std::uint8_t>(x.no_far ? detours - 1 : near_no);
    }
    result.push_back(x.instruction);
    if (x.yes_far)
      result.push_back({always, 0, 0, static_cast<std::uint32_t>(yes - 1)});
    if (x.no_far)
      result.push_back(
        {always, 0, 0, static_cast<std::uint32_t>(no - detours)});
  }
  return result;
}

} // namespace edgecap::capture

#pragma once

#include <linux/filter.h>

#include <cstdint>

namespace edgecap::capture::bpf {

// What classic BPF programs are made of. Offsets of `_at` loads are relative to
// the index register.
inline constexpr std::uint16_t load_byte = BPF_LD | BPF_B | BPF_ABS;
inline constexpr std::uint16_t load_half = BPF_LD | BPF_H | BPF_ABS;
inline constexpr std::uint16_t load_word = BPF_LD | BPF_W | BPF_ABS;
inline constexpr std::uint16_t load_byte_at = BPF_LD | BPF_B | BPF_IND;
inline constexpr std::uint16_t load_half_at = BPF_LD | BPF_H | BPF_IND;
inline constexpr std::uint16_t load_word_at = BPF_LD | BPF_W | BPF_IND;
inline constexpr std::uint16_t load_value = BPF_LD | BPF_IMM;
inline constexpr std::uint16_t load_length = BPF_LD | BPF_W | BPF_LEN;
inline constexpr std::uint16_t load_memory = BPF_LD | BPF_MEM;
inline constexpr std::uint16_t store = BPF_ST;
inline constexpr std::uint16_t set_index = BPF_LDX | BPF_IMM;
inline constexpr std::uint16_t load_index = BPF_LDX | BPF_MEM;
inline constexpr std::uint16_t store_index = BPF_STX;
inline constexpr std::uint16_t to_index = BPF_MISC | BPF_TAX;
inline constexpr std::uint16_t from_index = BPF_MISC | BPF_TXA;
inline constexpr std::uint16_t add = BPF_ALU | BPF_ADD | BPF_K;
inline constexpr std::uint16_t add_index = BPF_ALU | BPF_ADD | BPF_X;
inline constexpr std::uint16_t subtract = BPF_ALU | BPF_SUB | BPF_K;
inline constexpr std::uint16_t either = BPF_ALU | BPF_OR | BPF_K;
inline constexpr std::uint16_t mask = BPF_ALU | BPF_AND | BPF_K;
inline constexpr std::uint16_t shift_left = BPF_ALU | BPF_LSH | BPF_K;
inline constexpr std::uint16_t if_equal = BPF_JEQ | BPF_K;
inline constexpr std::uint16_t if_at_least = BPF_JGE | BPF_K;
inline constexpr std::uint16_t if_above_index = BPF_JGT | BPF_X;
inline constexpr std::uint16_t if_any_bit = BPF_JSET | BPF_K;
inline constexpr std::uint16_t return_accumulator = BPF_RET | BPF_A;
inline constexpr std::uint16_t return_value = BPF_RET | BPF_K;

/// Offset of an ancillary load (socket(7), bpf in the kernel's documentation).
constexpr std::uint32_t ancillary(int what) {
  return static_cast<std::uint32_t>(SKF_AD_OFF + what);
}

} // namespace edgecap::capture::bpf

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// How faults speak of what the operator wrote.
namespace edgecap::config {

/// Most bytes of the file's own text that a message repeats.
constexpr std::size_t max_quoted_bytes = 64;

/// `text` in single quotes, on one line, with control characters escaped, cut
/// at `max_quoted_bytes`.
std::string quoted(std::string_view text);

/// A key as a part of a fault's path: as it is if it is plain, else quoted.
std::string path_part(std::string_view key);

/// Damerau-Levenshtein distance (optimal string alignment): insertions,
/// deletions, substitutions and swaps of neighbours that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate at the least distance from `word`, if that is at most 2 and
/// at most half of the word; empty if none is so near.
std::string_view nearest(std::string_view word,
                         const std::vector<std::string_view>& candidates);

/// "a, b, c"; at most `limit` words, then "and N more".
std::string join(const std::vector<std::string_view>& words,
                 std::size_t limit = 32);

} // namespace edgecap::config

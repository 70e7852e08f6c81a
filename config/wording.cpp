#include "config/wording.hpp"

#include <algorithm>
#include <cstdio>

namespace edgecap::config {

namespace {

// Words longer than this have no near miss: the distance costs the product of
// both lengths, and the text comes from outside.
constexpr std::size_t max_compared_bytes = 64;

// Where to cut so that no UTF-8 sequence is split.
std::size_t cut_position(std::string_view text) {
  auto pos = std::min(text.size(), max_quoted_bytes);
  if (pos == text.size())
    return pos;
  while (pos > 0 && (static_cast<unsigned char>(text[pos]) & 0xC0u) == 0x80u)
    --pos;
  return pos;
}

} // namespace

std::string quoted(std::string_view text) {
  std::string result = "'";
  const auto end = cut_position(text);
  for (auto ch : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(ch);
    if (byte < 0x20 || byte == 0x7F) {
      char buf[8];
      std::snprintf(buf, sizeof(buf), "\\x%02x", byte);
      result += buf;
    } else {
      result += ch;
    }
  }
  if (end < text.size())
    result += "...";
  return result + '\'';
}

std::string path_part(std::string_view key) {
  constexpr std::string_view plain
    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const bool is_plain
    = !key.empty() && key.size() <= max_quoted_bytes
      && key.find_first_not_of(plain) == std::string_view::npos;
  return is_plain ? std::string{key} : quoted(key);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table suffice: a swap looks two rows back.
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string_view nearest(std::string_view word,
                         const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > max_compared_bytes)
    return {};
  // Half of a short word may not change: 'lo' is no misspelt 'a0'.
  auto limit = std::clamp<std::size_t>(word.size() / 2, 1, 2);
  std::string_view result;
  for (auto candidate : candidates) {
    if (candidate.size() > max_compared_bytes)
      continue;
    const auto distance = edit_distance(word, candidate);
    if (distance <= limit && (result.empty() || distance < limit)) {
      result = candidate;
      limit = distance;
    }
  }
  return result;
}

std::string join(const std::vector<std::string_view>& words,
                 std::size_t limit) {
  std::string result;
  for (std::size_t i = 0; i < std::min(words.size(), limit); ++i) {
    if (i > 0)
      result += ", ";
    result += words[i];
  }
  if (words.size() > limit)
    result += " and " + std::to_string(words.size() - limit) + " more";
  return result;
}

} // namespace edgecap::config

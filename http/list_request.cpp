#include "http/list_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace edgecap::http {

namespace {

/// Largest page; beyond it there can be no job.
constexpr std::uint32_t max_page = 1'000'000;

/// Largest number of jobs on a page.
constexpr std::uint32_t max_per_page = 50;

/// Longest value that an error repeats.
constexpr std::size_t max_shown = 32;

constexpr std::array<std::string_view, 8> statuses{"unknown",
                                                   "success",
                                                   "pending",
                                                   "running",
                                                   "complete",
                                                   "conversion_pending",
                                                   "conversion_running",
                                                   "failed"};

constexpr std::array<std::string_view, 2> types{"simple", "full"};

class reader {
public:
  void number(const std::string& name, const std::string& value,
              std::uint32_t most, std::uint32_t& to) {
    std::uint32_t parsed = 0;
    const auto* end = value.data() + value.size();
    const auto [stop, failed] = std::from_chars(value.data(), end, parsed);
    if (failed != std::errc{} || stop != end || parsed < 1 || parsed > most)
      refuse(name, value, "a whole number from 1 to " + std::to_string(most));
    else
      to = parsed;
  }

  template <std::size_t N>
  void word(const std::string& name, const std::string& value,
            const std::array<std::string_view, N>& words, std::string& to) {
    if (std::find(words.begin(), words.end(), value) != words.end()) {
      to = value;
      return;
    }
    std::string rule = "one of";
    for (const auto& x : words)
      rule += ' ' + std::string{x};
    refuse(name, value, rule);
  }

  std::vector<api_error> errors;

private:
  void refuse(const std::string& name, const std::string& value,
              const std::string& rule) {
    errors.push_back(
      {400, code::bad_query,
       name + " is '" + value.substr(0, max_shown) + "'; it must be " + rule,
       ""});
  }
};

} // namespace

tl::expected<list_query, std::vector<api_error>> parse_list_request(
  const std::vector<std::pair<std::string, std::string>>& query) {
  list_query result;
  reader in;
  for (const auto& [name, value] : query) {
    if (name == "page")
      in.number(name, value, max_page, result.page);
    else if (name == "per_page")
      in.number(name, value, max_per_page, result.per_page);
    else if (name == "status")
      in.word(name, value, statuses, result.status);
    else if (name == "type")
      in.word(name, value, types, result.type);
  }
  if (!in.errors.empty())
    return tl::unexpected<std::vector<api_error>>{std::move(in.errors)};
  return result;
}

} // namespace edgecap::http

#include "config/difference.hpp"

#include "config/key_values.hpp"

#include <unordered_map>
#include <utility>

namespace edgecap::config {

namespace {

/// A key, or a section of keys, that may change, and how it does.
struct live_key {
  std::string_view path;
  void (*take)(settings& to, const settings& from);
};

constexpr live_key live_keys[] = {
  {"accounts",
   [](settings& to, const settings& from) { to.accounts = from.accounts; }},
  {"limits",
   [](settings& to, const settings& from) { to.limits = from.limits; }},
  {"auth", [](settings& to, const settings& from) { to.auth = from.auth; }},
  {"storage.min_free",
   [](settings& to, const settings& from) {
     to.storage.min_free_bytes = from.storage.min_free_bytes;
   }},
  {"storage.idempotency_lifetime",
   [](settings& to, const settings& from) {
     to.storage.idempotency_lifetime = from.storage.idempotency_lifetime;
   }},
  {"retention",
   [](settings& to, const settings& from) { to.retention = from.retention; }},
  {"log.level",
   [](settings& to, const settings& from) { to.log.level = from.log.level; }},
};

/// Whether `path` is `outer` or a part of it.
bool is_within(std::string_view path, std::string_view outer) {
  if (path.substr(0, outer.size()) != outer)
    return false;
  path.remove_prefix(outer.size());
  return path.empty() || path.front() == '.' || path.front() == '[';
}

using index = std::unordered_map<std::string_view, const key_value*>;

index by_path(const std::vector<key_value>& values) {
  index result;
  for (const auto& x : values)
    result.emplace(x.path, &x);
  return result;
}

std::string shown(const key_value* x) {
  if (x == nullptr)
    return "absent";
  if (x->value.empty())
    return "none";
  return x->is_secret ? "hidden" : x->value;
}

/// Calls `report` for each of `values` that `others` does not have, except what
/// belongs to an item that was reported.
template <class Report>
void report_missing(const std::vector<key_value>& values, const index& others,
                    Report report) {
  std::string_view missing_item;
  for (const auto& x : values) {
    if (others.count(x.path) > 0
        || (!missing_item.empty() && is_within(x.path, missing_item)))
      continue;
    if (x.is_item)
      missing_item = x.path;
    report(x);
  }
}

} // namespace

bool is_live(std::string_view path) {
  for (const auto& key : live_keys)
    if (is_within(path, key.path))
      return true;
  return false;
}

std::vector<difference> differences(const settings& before,
                                    const settings& after) {
  std::vector<difference> result;
  const auto add = [&](const key_value* x, const key_value* y) {
    const auto& path = (x != nullptr ? x : y)->path;
    result.push_back({path, shown(x), shown(y), !is_live(path)});
  };
  const auto old_values = key_values(before);
  const auto new_values = key_values(after);
  const auto old_index = by_path(old_values);
  const auto new_index = by_path(new_values);
  report_missing(old_values, new_index,
                 [&](const key_value& x) { add(&x, nullptr); });
  for (const auto& y : new_values) {
    const auto x = old_index.find(y.path);
    if (x != old_index.end() && x->second->value != y.value)
      add(x->second, &y);
  }
  report_missing(new_values, old_index,
                 [&](const key_value& y) { add(nullptr, &y); });
  return result;
}

settings with_live_keys(const settings& running, const settings& wanted) {
  auto result = running;
  for (const auto& key : live_keys)
    key.take(result, wanted);
  result.lines = wanted.lines;
  return result;
}

} // namespace edgecap::config

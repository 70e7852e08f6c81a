#include "capture/flow_table.hpp"

#include <algorithm>

namespace edgecap::capture {

namespace {

/// Slots of the crowd for each key: how seldom a slot is taken by another one.
constexpr std::size_t slots_per_key = 8;

constexpr std::size_t min_slots = 1024;

} // namespace

flow_table::flow_table()
  : hash_(make_flow_hash()), rows_(0, hash_), crowd_(min_slots) {
  for (unsigned family = 0; family < flow_families; ++family)
    for (unsigned fields = 0; fields < field_combinations; ++fields) {
      flow_key tag{};
      tag.family = static_cast<__u8>(family);
      tag.fields = static_cast<__u8>(fields);
      how_[family][fields] = {words_of(mask_of(fields)), words_of(tag).back()};
    }
}

void flow_table::insert(const flow_match& match, row x) {
  const auto key = key_of(match);
  auto& rows = key.fields == 0 ? everything_ : rows_[words_of(key)];
  rows.push_back(x);
  ++size_;
  if (key.fields != 0 && rows.size() == 1)
    count(key, 1);
}

bool flow_table::erase(const flow_match& match, std::uint32_t id) {
  const auto key = key_of(match);
  const auto found = rows_.find(words_of(key));
  if (key.fields != 0 && found == rows_.end())
    return false;
  auto& rows = key.fields == 0 ? everything_ : found->second;
  const auto place = std::find_if(rows.begin(), rows.end(),
                                  [id](const auto& x) { return x.id == id; });
  if (place == rows.end())
    return false;
  *place = rows.back();
  rows.pop_back();
  --size_;
  if (key.fields != 0 && rows.empty()) {
    rows_.erase(found);
    count(key, -1);
  }
  return true;
}

void flow_table::count(const flow_key& key, int change) {
  const auto bit = std::uint32_t{1} << key.fields;
  auto& keys = keys_[key.family][key.fields];
  keys += static_cast<std::size_t>(change);
  if (keys == 0)
    shapes_[key.family] &= ~bit;
  else
    shapes_[key.family] |= bit;
  if (rows_.size() * slots_per_key > crowd_.size()) {
    // It is among the rows already.
    crowd_.assign(crowd_.size() * 2, 0);
    for (const auto& x : rows_)
      ++crowd_[hash_(x.first) & (crowd_.size() - 1)];
  } else {
    auto& slot = crowd_[hash_(words_of(key)) & (crowd_.size() - 1)];
    slot = static_cast<std::uint16_t>(slot + change);
  }
}

} // namespace edgecap::capture

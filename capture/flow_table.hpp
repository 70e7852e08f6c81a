#pragma once

#include "capture/flow.hpp"
#include "capture/flow_key.hpp"
#include "capture/flow_match.hpp"
#include "capture/sampling.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace edgecap::capture {

/// Rows that are each found by what a filter says, thousands of them at once:
/// tuple space search (Srinivasan et al., SIGCOMM 1999). Rows that ask for the
/// same fields have the same shape, and a packet is looked up once per shape,
/// however many rows that has. Used by one thread at a time.
class flow_table {
public:
  struct row {
    std::uint32_t id; ///< The caller's.
    sampling_threshold threshold;
  };

  flow_table();

  /// Adds a row.
  /// @pre No row with this filter has this id.
  void insert(const flow_match& match, row x);

  /// Takes a row out. Returns false if it is not there.
  bool erase(const flow_match& match, std::uint32_t id);

  /// Calls `f(const row&)` for each row that the packet matches, in any order,
  /// once each.
  /// @pre `f` does not change the table.
  template <class F>
  void for_each_match(const flow& packet, F&& f) const {
    const auto report = [&f](const std::vector<row>& rows) {
      for (const auto& x : rows)
        f(x);
    };
    report(everything_);
    if (!packet.is_ip())
      return;
    constexpr auto with_ports
      = shapes_with(field_source_port | field_destination_port);
    constexpr auto with_protocol = shapes_with(field_protocol);
    auto shapes = ~std::uint32_t{0};
    if ((packet.key.fields & field_source_port) == 0)
      shapes &= ~with_ports;
    if ((packet.key.fields & field_protocol) == 0)
      shapes &= ~with_protocol;
    search(packet.key, shapes, report);
    // Each extension header is one more protocol of the packet.
    auto key = packet.key;
    for (std::size_t i = 0; packet.extensions >> i != 0; ++i) {
      if ((packet.extensions >> i & 1) == 0)
        continue;
      key.protocol = extension_headers[i];
      search(key, with_protocol & ~with_ports, report);
    }
  }

  /// Number of rows.
  std::size_t size() const {
    return size_;
  }

private:
  /// How the key of a row is made from that of a packet.
  struct shape {
    flow_words mask;
    std::uint64_t tag; ///< Family and fields; added to the last word.
  };

  /// Calls `f` with the rows that are found under those of `shapes` that there
  /// are.
  template <class F>
  void search(const flow_key& packet, std::uint32_t shapes, F&& f) const {
    const auto words = words_of(packet);
    const auto source = hash_.sum(words, 0, 2);
    const auto destination = hash_.sum(words, 2, 4);
    for (const auto family : {unsigned{family_any}, unsigned{packet.family}})
      for (auto left = shapes_[family] & shapes; left != 0; left &= left - 1) {
        const auto& how
          = how_[family][static_cast<unsigned>(__builtin_ctz(left))];
        const auto last = (words[4] & how.mask[4]) | how.tag;
        const auto sum = (source & how.mask[0]) + (destination & how.mask[2])
                         + last * hash_.factors[4];
        if (crowd_[flow_hash::finish(sum) & (crowd_.size() - 1)] != 0)
          look_up(words, how, f);
      }
  }

  /// Calls `f` with the rows of the key, if there are some.
  template <class F>
  void look_up(const flow_words& packet, const shape& how, F&& f) const {
    flow_words key;
    for (std::size_t i = 0; i < key.size(); ++i)
      key[i] = packet[i] & how.mask[i];
    key.back() |= how.tag;
    if (const auto found = rows_.find(key); found != rows_.end())
      f(found->second);
  }

  /// Counts a key in, or out.
  void count(const flow_key& key, int change);

  std::array<std::array<shape, field_combinations>, flow_families> how_;
  flow_shapes shapes_{}; ///< There are rows of these.
  /// How many keys each shape has.
  std::array<std::array<std::size_t, field_combinations>, flow_families>
    keys_{};
  std::vector<row> everything_; ///< Rows that ask for no field.
  flow_hash hash_;
  std::unordered_map<flow_words, std::vector<row>, flow_hash> rows_;
  /// How many keys have a hash that ends with the index. Nearly all that is
  /// looked up is not there, and this says so from a small part of the memory.
  std::vector<std::uint16_t> crowd_;
  std::size_t size_ = 0;
};

} // namespace edgecap::capture

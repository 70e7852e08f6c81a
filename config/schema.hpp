#pragma once

#include "config/amount.hpp"
#include "config/settings.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Which keys there are, said once: `load` reads a file along the schema and
// `describe` lists it, so that the example, the documentation and the loader
// cannot disagree.
namespace edgecap::config {

/// Whether a key must be given.
enum class presence { optional, required };

/// What a text may be, besides one line of printable text.
struct text_rule {
  std::size_t max_bytes = 64;
  presence needed = presence::optional;
  bool is_secret = false; ///< Not to be shown to anybody, not even as a hash.
};

/// What a list or a mapping with free keys may hold. At least one item, if it
/// is required.
struct list_rule {
  std::size_t max_items = 0;
  /// If not empty, an item may be a text: the value of this key, the others
  /// at their defaults.
  std::string_view shorthand;
  /// If not empty, an item is known by the value of this key, which is a text
  /// and unique; if empty, by its place.
  std::string_view identity;
  presence needed = presence::required;
};

/// Is shown every key of one mapping, in order, with the variable that it sets.
class schema_visitor {
public:
  using section_body = std::function<void(schema_visitor&)>;
  /// Shows the item at a place; one behind the last makes it, with defaults.
  using item_body = std::function<void(std::size_t, schema_visitor&)>;
  /// Shows the item of a name; one that is not there is made, with defaults.
  using named_item_body
    = std::function<void(const std::string&, schema_visitor&)>;

  virtual ~schema_visitor() = default;

  /// One line of text.
  virtual void text(std::string_view key, std::string& x, text_rule rule) = 0;

  /// One of some words.
  virtual void choice(std::string_view key, std::string& x,
                      const std::vector<std::string_view>& words)
    = 0;

  /// `true` or `false`.
  virtual void flag(std::string_view key, bool& x) = 0;

  /// A list of words, at least one, each setting its variable. Required.
  virtual void
  word_set(std::string_view key,
           const std::vector<std::pair<std::string_view, bool*>>& words)
    = 0;

  /// A list of texts, at most `max_items`. Optional, and may be empty.
  virtual void texts(std::string_view key, std::vector<std::string>& x,
                     std::size_t max_items, text_rule each)
    = 0;

  /// A number with its unit; returns what it is to be.
  virtual std::uint64_t amount(std::string_view key, std::uint64_t x,
                               const amount_rule& rule)
    = 0;

  /// A mapping with keys of its own; optional, as all its keys are.
  virtual void section(std::string_view key, const section_body& body) = 0;

  /// A list of mappings, of which `size` are there.
  virtual void list(std::string_view key, const list_rule& rule,
                    std::size_t size, const item_body& item)
    = 0;

  /// A mapping from names that the operator chooses to mappings, of which those
  /// of `names` are there.
  virtual void named(std::string_view key, const list_rule& rule,
                     const std::vector<std::string>& names,
                     const named_item_body& item)
    = 0;

  /// A rule between `keys` of this mapping does not hold.
  virtual void reject(std::string message,
                      const std::vector<std::string_view>& keys)
    = 0;
};

/// Shows all settings to `v`.
void visit(schema_visitor& v, settings& x);

} // namespace edgecap::config

#include "config/key_values.hpp"

#include "config/schema.hpp"
#include "config/wording.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace edgecap::config {

namespace {

/// Lists the keys of one mapping, with their paths inside of it.
class lister : public schema_visitor {
public:
  void text(std::string_view key, std::string& x, text_rule rule) override {
    found_.push_back({std::string{key}, x, rule.is_secret});
  }

  void choice(std::string_view key, std::string& x,
              const std::vector<std::string_view>&) override {
    add(key, x);
  }

  void flag(std::string_view key, bool& x) override {
    add(key, x ? "true" : "false");
  }

  void word_set(
    std::string_view key,
    const std::vector<std::pair<std::string_view, bool*>>& words) override {
    std::vector<std::string_view> set;
    for (const auto& [word, is_set] : words)
      if (*is_set)
        set.push_back(word);
    add(key, all_of(set));
  }

  void texts(std::string_view key, std::vector<std::string>& x, std::size_t,
             text_rule) override {
    add(key, all_of({x.begin(), x.end()}));
  }

  std::uint64_t amount(std::string_view key, std::uint64_t x,
                       const amount_rule& rule) override {
    add(key, format_amount(x, rule.kind));
    return x;
  }

  void section(std::string_view key, const section_body& body) override {
    lister inner;
    body(inner);
    take(std::string{key}, std::move(inner));
  }

  void list(std::string_view key, const list_rule& rule, std::size_t size,
            const item_body& item) override {
    for (std::size_t i = 0; i < size; ++i) {
      lister inner;
      item(i, inner);
      const auto known_by
        = rule.identity.empty() ? std::to_string(i) : inner.at(rule.identity);
      take_item(std::string{key} + '[' + known_by + ']', std::move(inner));
    }
  }

  void named(std::string_view key, const list_rule&,
             const std::vector<std::string>& names,
             const named_item_body& item) override {
    for (const auto& name : names) {
      lister inner;
      item(name, inner);
      take_item(std::string{key} + '.' + path_part(name), std::move(inner));
    }
  }

  void reject(std::string, const std::vector<std::string_view>&) override {
    // What is listed here was read before, and judged then.
  }

  std::vector<key_value>& found() {
    return found_;
  }

private:
  static std::string all_of(const std::vector<std::string_view>& words) {
    return join(words, words.size());
  }

  void add(std::string_view key, std::string value) {
    found_.push_back({std::string{key}, std::move(value)});
  }

  /// The value of a key of this mapping.
  std::string at(std::string_view key) const {
    const auto i = std::find_if(found_.begin(), found_.end(),
                                [&](const auto& x) { return x.path == key; });
    return i == found_.end() ? std::string{} : i->value;
  }

  void take(const std::string& path, lister inner) {
    for (auto& x : inner.found_) {
      x.path.insert(0, path + '.');
      found_.push_back(std::move(x));
    }
  }

  void take_item(const std::string& path, lister inner) {
    found_.push_back({path, "present", false, true});
    take(path, std::move(inner));
  }

  std::vector<key_value> found_;
};

} // namespace

std::vector<key_value> key_values(settings x) {
  lister root;
  visit(root, x);
  return std::move(root.found());
}

} // namespace edgecap::config

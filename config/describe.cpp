#include "config/describe.hpp"

#include "config/schema.hpp"
#include "config/wording.hpp"

namespace edgecap::config {

namespace {

class describer : public schema_visitor {
public:
  describer(std::vector<key_description>& out, std::string prefix)
    : out_(out), prefix_(std::move(prefix)) {}

  void text(std::string_view key, std::string& x, text_rule rule) override {
    auto value = x;
    if (rule.needed == presence::required)
      value = "required";
    else if (x.empty())
      value = "none";
    add(key, std::move(value),
        "1 to " + std::to_string(rule.max_bytes) + " bytes of text");
  }

  void choice(std::string_view key, std::string& x,
              const std::vector<std::string_view>& words) override {
    add(key, x, join(words));
  }

  void flag(std::string_view key, bool& x) override {
    add(key, x ? "true" : "false", "true, false");
  }

  void word_set(
    std::string_view key,
    const std::vector<std::pair<std::string_view, bool*>>& words) override {
    std::vector<std::string_view> names;
    for (const auto& word : words)
      names.push_back(word.first);
    add(key, "required", "list of " + join(names));
  }

  void texts(std::string_view key, std::vector<std::string>& x,
             std::size_t max_items, text_rule) override {
    add(key, x.empty() ? "none" : join({x.begin(), x.end()}),
        "list of at most " + std::to_string(max_items) + " texts");
  }

  std::uint64_t amount(std::string_view key, std::uint64_t x,
                       const amount_rule& rule) override {
    add(key, format_amount(x, rule.kind), format_range(rule));
    return x;
  }

  void section(std::string_view key, const section_body& body) override {
    describer inner{out_, path(key) + '.'};
    body(inner);
  }

  void list(std::string_view key, const list_rule&, std::size_t size,
            const item_body& item) override {
    describer inner{out_, path(key) + "[]."};
    item(size, inner);
  }

  void named(std::string_view key, const list_rule&,
             const std::vector<std::string>&,
             const named_item_body& item) override {
    describer inner{out_, path(key) + ".*."};
    item("*", inner);
  }

  void reject(std::string, const std::vector<std::string_view>&) override {
    // The scratch items that are described here follow no rules.
  }

private:
  std::string path(std::string_view key) const {
    return prefix_ + std::string{key};
  }

  void add(std::string_view key, std::string value, std::string allowed) {
    out_.push_back({path(key), std::move(value), std::move(allowed)});
  }

  std::vector<key_description>& out_;
  std::string prefix_;
};

} // namespace

std::vector<key_description> describe(settings x) {
  std::vector<key_description> result;
  describer root{result, ""};
  visit(root, x);
  return result;
}

} // namespace edgecap::config

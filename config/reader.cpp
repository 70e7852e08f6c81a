#include "config/reader.hpp"

#include "config/schema.hpp"
#include "config/wording.hpp"

#include <algorithm>
#include <map>

namespace edgecap::config {

namespace {

using kind = yaml_value::kind;

std::string_view kind_name(const yaml_value& x) {
  switch (x.type) {
  case kind::null:
    return "nothing";
  case kind::scalar:
    return "a single value";
  case kind::sequence:
    return "a list";
  case kind::mapping:
    return "a mapping";
  case kind::alias:
    return "an alias";
  }
  return "unknown";
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char ch) {
    const auto byte = static_cast<unsigned char>(ch);
    return byte < 0x20 || byte == 0x7F;
  });
}

// What all readers of one file share.
struct findings {
  std::vector<fault> faults;
  std::map<std::string, int> lines;

  void add(const std::string& path, int line, std::string message) {
    faults.push_back({path, line, std::move(message)});
  }
};

// Reads one mapping along the schema.
class reader : public schema_visitor {
public:
  // `value` must outlive the reader. Its keys are not looked at if it is no
  // mapping; the caller has reported that.
  reader(findings& out, std::string where, const yaml_value& value)
    : out_(out), path_(std::move(where)), value_(value),
      faults_before_(out.faults.size()) {
    for (const auto& entry : value_.entries)
      if (!first_.emplace(entry.key, &entry).second)
        out_.add(path(entry.key), entry.line,
                 "is given twice: first on line "
                   + std::to_string(first_[entry.key]->line));
  }

  void text(std::string_view key, std::string& x, text_rule rule) override {
    if (auto scalar = find_scalar(key, rule.needed))
      read_text(path(key), *scalar, x, rule);
  }

  void choice(std::string_view key, std::string& x,
              const std::vector<std::string_view>& words) override {
    auto scalar = find_scalar(key, presence::optional);
    if (scalar && is_one_of(*scalar, path(key), words))
      x = scalar->text;
  }

  void flag(std::string_view key, bool& x) override {
    auto scalar = find_scalar(key, presence::optional);
    if (!scalar)
      return;
    if (scalar->is_quoted
        || (scalar->text != "true" && scalar->text != "false"))
      out_.add(path(key), scalar->line,
               quoted(scalar->text)
                 + (scalar->is_quoted ? " is quoted text:" : " is not allowed:")
                 + " must be true or false, without quotes");
    else
      x = scalar->text == "true";
  }

  void word_set(
    std::string_view key,
    const std::vector<std::pair<std::string_view, bool*>>& words) override {
    auto list = find_required(key, kind::sequence, "a list");
    if (!list)
      return;
    std::vector<std::string_view> names;
    for (const auto& word : words)
      names.push_back(word.first);
    std::size_t index = 0;
    for (const auto& item : list->entries) {
      const auto item_path = indexed(key, index++);
      if (!is_scalar(item.value, item_path)
          || !is_one_of(item.value, item_path, names))
        continue;
      for (const auto& word : words) {
        if (word.first != item.value.text)
          continue;
        if (*word.second)
          out_.add(item_path, item.line,
                   quoted(word.first) + " is listed twice");
        *word.second = true;
      }
    }
  }

  void texts(std::string_view key, std::vector<std::string>& x,
             std::size_t max_items, text_rule each) override {
    auto list = find(key);
    if (!list || !is_kind(*list, path(key), kind::sequence, "a list")
        || !has_room(*list, path(key), max_items))
      return;
    for (const auto& item : list->entries) {
      const auto item_path = indexed(key, x.size());
      note_line(item_path, item.line);
      // One that cannot be read stays empty, so that the indices of the others
      // are those of the file.
      auto& text = x.emplace_back();
      if (is_scalar(item.value, item_path))
        read_text(item_path, item.value, text, each);
    }
  }

  std::uint64_t amount(std::string_view key, std::uint64_t x,
                       const amount_rule& rule) override {
    auto scalar = find_scalar(key, presence::optional);
    if (!scalar)
      return x;
    if (scalar->is_quoted && rule.kind == amount_kind::count) {
      out_.add(path(key), scalar->line,
               quoted(scalar->text)
                 + " is quoted text, not a number: remove the quotes");
      return x;
    }
    auto result = parse_amount(scalar->text, rule);
    if (result)
      return *result;
    out_.add(path(key), scalar->line, result.error());
    return x;
  }

  void section(std::string_view key, const section_body& body) override {
    auto value = find(key);
    // An empty section is what is left when all its keys are commented out.
    if (!value || value->type == kind::null)
      return;
    if (is_kind(*value, path(key), kind::mapping, "a mapping"))
      read_mapping(path(key), *value, body);
  }

  void list(std::string_view key, const list_rule& rule, std::size_t size,
            const item_body& item) override {
    auto list = find_entries(key, kind::sequence, "a list", rule);
    if (!list)
      return;
    std::size_t index = 0;
    for (const auto& entry : list->entries) {
      const auto item_path = indexed(key, index);
      const auto body = [&item, place = size + index++](schema_visitor& v) {
        item(place, v);
      };
      note_line(item_path, entry.line);
      if (!rule.shorthand.empty() && entry.value.type == kind::scalar)
        read_shorthand(item_path, entry.value, rule.shorthand, body);
      else if (is_kind(entry.value, item_path, kind::mapping, "a mapping"))
        read_mapping(item_path, entry.value, body);
      else
        skip_item(body);
    }
  }

  void named(std::string_view key, const list_rule& rule,
             const std::vector<std::string>&,
             const named_item_body& item) override {
    auto mapping = find_entries(key, kind::mapping, "a mapping", rule);
    if (!mapping)
      return;
    // Finds duplicate names.
    reader names{out_, path(key), *mapping};
    for (const auto& entry : mapping->entries) {
      const auto item_path = names.path(entry.key);
      if (names.first_[entry.key] != &entry)
        continue;
      note_line(item_path, entry.line);
      if (is_kind(entry.value, item_path, kind::mapping, "a mapping"))
        read_mapping(item_path, entry.value,
                     [&](schema_visitor& v) { item(entry.key, v); });
    }
  }

  void reject(std::string message,
              const std::vector<std::string_view>& keys) override {
    // A key that is at fault itself has no value to judge by.
    for (auto i = faults_before_; i < out_.faults.size(); ++i)
      for (auto key : keys)
        if (out_.faults[i].path == path(key))
          return;
    out_.add(path_, value_.line, std::move(message));
  }

  // Reports the keys that the schema did not ask for. Call last.
  void finish() {
    for (const auto& [key, entry] : first_) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end())
        continue;
      auto guess = nearest(key, known_);
      out_.add(path(key), entry->line,
               guess.empty()
                 ? "unknown key: there are " + join(known_)
                 : "unknown key: did you mean " + quoted(guess) + '?');
    }
  }

private:
  std::string path(std::string_view key) const {
    if (!shorthand_.empty() && key == shorthand_)
      return path_;
    return (path_.empty() ? "" : path_ + '.') + path_part(key);
  }

  std::string indexed(std::string_view key, std::size_t index) const {
    return path(key) + '[' + std::to_string(index) + ']';
  }

  void note_line(const std::string& path, int line) {
    out_.lines.emplace(path, line);
  }

  void read_text(const std::string& path, const yaml_value& scalar,
                 std::string& x, text_rule rule) {
    if (auto problem = text_problem(scalar.text, rule); !problem.empty())
      out_.add(path, scalar.line, problem);
    else
      x = scalar.text;
  }

  void read_mapping(const std::string& path, const yaml_value& value,
                    const section_body& body) {
    reader inner{out_, path, value};
    body(inner);
    inner.finish();
  }

  // Reads `veth0` as if it were `{match: veth0}`.
  void read_shorthand(const std::string& path, const yaml_value& scalar,
                      std::string_view key, const section_body& body) {
    yaml_value mapping;
    mapping.type = kind::mapping;
    mapping.line = scalar.line;
    mapping.entries.push_back({std::string{key}, scalar.line, scalar});
    reader inner{out_, path, mapping};
    inner.shorthand_ = key;
    body(inner);
  }

  // Lets the schema make an item of defaults in the place of one that cannot
  // be read, so that the indices of the others stay those of the file.
  static void skip_item(const section_body& body) {
    findings ignored;
    yaml_value nothing;
    reader inner{ignored, "", nothing};
    body(inner);
  }

  // The value of `key`, if there is one. Makes the key known.
  const yaml_value* find(std::string_view key) {
    known_.push_back(key);
    auto found = first_.find(std::string{key});
    if (found == first_.end())
      return nullptr;
    note_line(path(key), found->second->line);
    return &found->second->value;
  }

  bool is_kind(const yaml_value& x, const std::string& path, kind wanted,
               std::string_view wanted_name) {
    if (x.type == wanted)
      return true;
    if (x.type == kind::null)
      out_.add(path, x.line, "has no value");
    else if (x.type == kind::alias)
      out_.add(path, x.line,
               "is an alias, which is not supported: write the value out");
    else
      out_.add(path, x.line,
               std::string{"must be "}.append(wanted_name) + ", not "
                 + std::string{kind_name(x)});
    return false;
  }

  bool is_scalar(const yaml_value& x, const std::string& path) {
    return is_kind(x, path, kind::scalar, "a single value");
  }

  const yaml_value* find_scalar(std::string_view key, presence needed) {
    auto value = find(key);
    if (!value) {
      if (needed == presence::required)
        out_.add(path(key), value_.line, "is missing");
      return nullptr;
    }
    return is_scalar(*value, path(key)) ? value : nullptr;
  }

  // A sequence or mapping that must be there and not be empty.
  const yaml_value* find_required(std::string_view key, kind wanted,
                                  std::string_view wanted_name) {
    auto value = find(key);
    if (!value) {
      out_.add(path(key), value_.line, "is missing");
      return nullptr;
    }
    if (!is_kind(*value, path(key), wanted, wanted_name))
      return nullptr;
    if (value->entries.empty()) {
      out_.add(path(key), value->line, "is empty: needs at least one entry");
      return nullptr;
    }
    return value;
  }

  // The same, by a rule that says whether it must be.
  const yaml_value* find_entries(std::string_view key, kind wanted,
                                 std::string_view wanted_name,
                                 const list_rule& rule) {
    const yaml_value* value = nullptr;
    if (rule.needed == presence::required)
      value = find_required(key, wanted, wanted_name);
    else if (value = find(key);
             value && !is_kind(*value, path(key), wanted, wanted_name))
      return nullptr;
    return value && has_room(*value, path(key), rule.max_items) ? value
                                                                : nullptr;
  }

  bool has_room(const yaml_value& x, const std::string& path,
                std::size_t max_items) {
    if (x.entries.size() <= max_items)
      return true;
    out_.add(path, x.line,
             "has " + std::to_string(x.entries.size())
               + " entries: must be at most " + std::to_string(max_items));
    return false;
  }

  bool is_one_of(const yaml_value& x, const std::string& path,
                 const std::vector<std::string_view>& words) {
    if (std::find(words.begin(), words.end(), x.text) != words.end())
      return true;
    auto guess = nearest(x.text, words);
    out_.add(
      path, x.line,
      quoted(x.text) + " is not one of " + join(words)
        + (guess.empty() ? "" : ": did you mean " + quoted(guess) + '?'));
    return false;
  }

  // Says nothing of the text itself: it may be a secret in the wrong place.
  static std::string text_problem(const std::string& text, text_rule rule) {
    if (text.empty())
      return "is empty";
    if (text.size() > rule.max_bytes)
      return "has " + std::to_string(text.size()) + " bytes: must be at most "
             + std::to_string(rule.max_bytes);
    if (has_control_character(text))
      return "holds a control character or a line break";
    // Also what yaml-cpp makes of a quote that is never closed.
    if (text.front() == ' ' || text.back() == ' ')
      return "begins or ends with a space";
    return {};
  }

  findings& out_;
  std::string path_;
  const yaml_value& value_;
  std::size_t faults_before_;
  std::string_view shorthand_; ///< Key that stands for the item itself.
  std::map<std::string, const yaml_value::entry*> first_;
  std::vector<std::string_view> known_;
};

} // namespace

settings read_settings(const yaml_value& root, std::vector<fault>& faults) {
  settings result;
  findings found;
  reader top{found, "", root};
  visit(top, result);
  top.finish();
  result.lines = std::move(found.lines);
  faults.insert(faults.end(), found.faults.begin(), found.faults.end());
  return result;
}

} // namespace edgecap::config

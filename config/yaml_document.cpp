#include "config/yaml_document.hpp"

#include "config/amount.hpp"
#include "config/wording.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <sstream>
#include <utility>

namespace edgecap::config {

namespace {

using kind = yaml_value::kind;

// Ends parsing at once when the file goes beyond a limit.
struct limit_reached {
  int line;
  std::string message;
};

// Builds the tree from yaml-cpp's events. YAML::Load would do so too, but it
// follows aliases, keeps neither duplicate keys in order nor quotes, and knows
// no limits.
class tree_builder : public YAML::EventHandler {
public:
  explicit tree_builder(std::vector<fault>& faults) : faults_(faults) {}

  yaml_value take_root() {
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark&) override {}

  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(make(kind::null, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    add(make(kind::alias, mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    auto x = make(kind::scalar, mark);
    // yaml-cpp's tags for untagged scalars: "?" if plain, "!" if quoted.
    x.is_quoted = tag == "!";
    x.text = value;
    check_tag(tag, x.line);
    add(std::move(x));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(make(kind::sequence, mark), tag);
  }

  void OnSequenceEnd() override {
    close();
  }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(make(kind::mapping, mark), tag);
  }

  void OnMapEnd() override {
    close();
  }

private:
  // A sequence or mapping whose end is still to come.
  struct frame {
    yaml_value value;
    bool has_key = false; ///< The next value belongs to `key`.
    bool drop = false;    ///< ... which is not text: the value is left out.
    std::string key;
    int key_line = 1;
  };

  yaml_value make(kind type, const YAML::Mark& mark) {
    yaml_value result;
    result.type = type;
    result.line = mark.line + 1;
    if (++values_ > max_yaml_values)
      throw limit_reached{result.line, "the file has more than "
                                         + std::to_string(max_yaml_values)
                                         + " values"};
    return result;
  }

  void check_tag(const std::string& tag, int line) {
    if (!tag.empty() && tag != "?" && tag != "!")
      faults_.push_back(
        {"", line, "the tag " + quoted(tag) + " is not supported: remove it"});
  }

  void open(yaml_value x, const std::string& tag) {
    check_tag(tag, x.line);
    if (open_.size() == max_yaml_depth)
      throw limit_reached{x.line, "the file is nested more than "
                                    + std::to_string(max_yaml_depth)
                                    + " levels deep"};
    open_.emplace_back();
    open_.back().value = std::move(x);
  }

  void close() {
    auto x = std::move(open_.back().value);
    open_.pop_back();
    add(std::move(x));
  }

  void add(yaml_value x) {
    if (open_.empty()) {
      root_ = std::move(x);
      return;
    }
    auto& parent = open_.back();
    auto& entries = parent.value.entries;
    if (parent.value.type == kind::sequence) {
      const auto line = x.line;
      entries.push_back({{}, line, std::move(x)});
    } else if (!parent.has_key) {
      parent.has_key = true;
      parent.drop = x.type != kind::scalar;
      parent.key = std::move(x.text);
      parent.key_line = x.line;
      if (parent.drop)
        faults_.push_back({"", x.line, "a key must be plain text"});
    } else {
      parent.has_key = false;
      if (x.type != kind::scalar && x.type != kind::alias)
        x.line = parent.key_line;
      if (!parent.drop)
        entries.push_back(
          {std::move(parent.key), parent.key_line, std::move(x)});
    }
  }

  std::vector<fault>& faults_;
  std::vector<frame> open_;
  yaml_value root_;
  std::size_t values_ = 0;
};

// Length of the well-formed UTF-8 sequence at `text[pos]`, or 0. NUL counts as
// ill-formed: it is what UTF-16 looks like, and nothing here may hold one.
std::size_t utf8_length(std::string_view text, std::size_t pos) {
  auto byte = [&](std::size_t i) {
    return pos + i < text.size()
             ? std::uint32_t{static_cast<unsigned char>(text[pos + i])}
             : 0u;
  };
  const auto first = byte(0);
  if (first < 0x80)
    return first == 0 ? 0 : 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4)
    return 0;
  auto code = first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u)
      return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < least[length] || is_surrogate || code > 0x10FFFF ? 0 : length;
}

// Line of the first byte that is not UTF-8, or 0.
int line_of_bad_byte(std::string_view text) {
  int line = 1;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto length = utf8_length(text, pos);
    if (length == 0)
      return line;
    if (text[pos] == '\n')
      ++line;
    pos += length;
  }
  return 0;
}

// Whether a line (from 1) is indented with a tab: yaml-cpp's words for that
// rarely say so.
bool has_tab_indent(std::string_view text, int line) {
  std::size_t begin = 0;
  for (int i = 1; i < line; ++i) {
    begin = text.find('\n', begin);
    if (begin == std::string_view::npos)
      return false;
    ++begin;
  }
  const auto end = text.find_first_not_of(" \t", begin);
  return text.substr(begin, end - begin).find('\t') != std::string_view::npos;
}

fault syntax_fault(const YAML::Exception& x, std::string_view text) {
  if (x.mark.is_null())
    return {"", 0, "not valid YAML: " + x.msg};
  const auto line = x.mark.line + 1;
  auto message = "not valid YAML: " + x.msg + " (column "
                 + std::to_string(x.mark.column + 1) + ')';
  if (has_tab_indent(text, line))
    message += "; the line is indented with a tab, YAML takes spaces only";
  return {"", line, std::move(message)};
}

// Runs the parser; whatever it throws leaves as a fault.
std::optional<yaml_value> build_tree(std::string_view text,
                                     std::vector<fault>& faults) {
  try {
    std::istringstream in{std::string{text}};
    YAML::Parser parser{in};
    tree_builder first{faults};
    if (!parser.HandleNextDocument(first)) {
      faults.push_back({"", 0, "the file is empty"});
      return std::nullopt;
    }
    tree_builder second{faults};
    if (parser.HandleNextDocument(second)) {
      faults.push_back({"", second.take_root().line,
                        "a second document begins here: there must be one"});
      return std::nullopt;
    }
    return first.take_root();
  } catch (const limit_reached& x) {
    faults.push_back({"", x.line, x.message});
  } catch (const YAML::Exception& x) {
    faults.push_back(syntax_fault(x, text));
  } catch (const std::exception& x) {
    faults.push_back({"", 0, std::string{"cannot be read: "} + x.what()});
  }
  return std::nullopt;
}

} // namespace

std::optional<yaml_value> parse_yaml(std::string_view text,
                                     std::vector<fault>& faults) {
  if (text.size() > max_file_bytes) {
    faults.push_back({"", 0,
                      "the file is larger than "
                        + format_amount(max_file_bytes, amount_kind::bytes)});
    return std::nullopt;
  }
  if (auto line = line_of_bad_byte(text)) {
    faults.push_back({"", line, "the file is not UTF-8 text"});
    return std::nullopt;
  }
  auto root = build_tree(text, faults);
  if (!root)
    return std::nullopt;
  if (root->type == kind::null) {
    faults.push_back({"", 0, "the file is empty"});
    return std::nullopt;
  }
  if (root->type != kind::mapping) {
    faults.push_back({"", root->line,
                      "the file must be a mapping of sections, such as "
                      "'listen:' and 'accounts:'"});
    return std::nullopt;
  }
  return root;
}

} // namespace edgecap::config

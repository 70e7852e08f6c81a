#include "http/strict_json.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::http {

namespace {

using json = nlohmann::json;

/// Longest part of a parser's complaint that is passed on; it may quote the
/// input.
constexpr std::size_t max_complaint_bytes = 200;

/// Builds the document from the parser's events. A member function returns
/// false to end parsing; then `fault` says why.
class builder {
public:
  explicit builder(std::string_view text) : text_(text) {}

  json take() {
    return std::move(root_);
  }

  const api_error& fault() const {
    return fault_;
  }

  // -- scalars ----------------------------------------------------------------

  bool null() {
    return add(nullptr);
  }

  bool boolean(bool x) {
    return add(x);
  }

  bool number_integer(std::int64_t x) {
    return add(x);
  }

  bool number_unsigned(std::uint64_t x) {
    return add(x);
  }

  bool number_float(double x, const std::string&) {
    return add(x);
  }

  bool string(std::string& x) {
    return add(std::move(x));
  }

  bool binary(json::binary_t&) {
    return false; // There is none in JSON text.
  }

  // -- containers -------------------------------------------------------------

  bool start_object(std::size_t) {
    return open(json::object());
  }

  bool key(std::string& name) {
    if (open_.back()->contains(name)) {
      fault_ = {400, code::bad_json,
                "The body names the member \"" + cut(name) + "\" twice",
                append_pointer(pointer_of(open_.size() - 1), cut(name))};
      return false;
    }
    names_.back() = std::move(name);
    return true;
  }

  bool end_object() {
    return close();
  }

  bool start_array(std::size_t) {
    return open(json::array());
  }

  bool end_array() {
    return close();
  }

  // -- errors -----------------------------------------------------------------

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) {
    if (error.id == 406) { // number overflow
      fault_ = {400, code::out_of_range,
                "The number " + cut(token) + " is too large",
                pointer_of(open_.size())};
      return false;
    }
    fault_ = not_json(position, complaint(error.what()));
    return false;
  }

  /// @param position Of the byte at fault, from 1.
  api_error not_json(std::size_t position, const std::string& why) const {
    return {400, code::bad_json,
            "The body is not valid JSON at " + place(position) + ": " + why,
            ""};
  }

private:
  static std::string cut(const std::string& x) {
    return x.size() <= max_complaint_bytes
             ? x
             : x.substr(0, max_complaint_bytes) + "...";
  }

  /// Without the parser's own prefix, which says the position in another way.
  static std::string complaint(const char* what) {
    constexpr std::string_view last_of_prefix = "syntax error ";
    const std::string text{what};
    const auto i = text.find(last_of_prefix);
    return cut(i == std::string::npos ? text : text.substr(i));
  }

  std::string place(std::size_t position) const {
    // The parser counts the byte that it fails on as read; at the end there
    // is none.
    const auto byte = std::clamp<std::size_t>(position, 1, text_.size() + 1);
    const auto before = text_.substr(0, byte - 1);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto newline = before.rfind('\n');
    const auto column
      = newline == std::string_view::npos ? byte : byte - 1 - newline;
    return "line " + std::to_string(line) + ", column " + std::to_string(column)
           + " (byte " + std::to_string(byte) + ")";
  }

  /// Pointer to the member that is being read in the first `depth` containers.
  std::string pointer_of(std::size_t depth) const {
    std::string result;
    for (std::size_t i = 0; i < depth; ++i) {
      // An inner container is an element already, a scalar not yet.
      const auto pending = i + 1 == open_.size();
      result = append_pointer(std::move(result),
                              open_[i]->is_array() ? std::to_string(
                                open_[i]->size() - (pending ? 0 : 1))
                                                   : cut(names_[i]));
    }
    return result;
  }

  json* place_value(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    auto& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[names_.back()] = std::move(value));
  }

  bool add(json value) {
    place_value(std::move(value));
    return true;
  }

  bool open(json value) {
    if (open_.size() == max_json_depth) {
      fault_ = {400, code::bad_json,
                "The body is nested deeper than "
                  + std::to_string(max_json_depth) + " levels",
                pointer_of(open_.size())};
      return false;
    }
    // Pointers stay valid: only the innermost container grows.
    open_.push_back(place_value(std::move(value)));
    names_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  std::string_view text_;
  json root_;
  std::vector<json*> open_;
  std::vector<std::string> names_; ///< Current member of each open object.
  api_error fault_;
};

} // namespace

tl::expected<nlohmann::json, api_error> parse_strict(std::string_view text) {
  if (text.empty())
    return tl::unexpected<api_error>{
      {400, code::bad_json, "The body is empty; it must be a JSON object", ""}};
  builder events{text};
  // The parser takes a NUL for the end and would not look behind it.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return tl::unexpected<api_error>{
      events.not_json(nul + 1, "syntax error - a NUL byte")};
  if (json::sax_parse(text.begin(), text.end(), &events))
    return events.take();
  return tl::unexpected<api_error>{events.fault()};
}

std::string append_pointer(std::string pointer, std::string_view member) {
  pointer += '/';
  for (const auto c : member) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
  return pointer;
}

} // namespace edgecap::http

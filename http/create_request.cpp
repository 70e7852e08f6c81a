#include "http/create_request.hpp"

#include "capture/filter.hpp"
#include "http/strict_json.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace edgecap::http {

namespace {

using nlohmann::json;

/// Longest value or field name that is quoted in a message.
constexpr std::size_t max_quoted_bytes = 64;

/// Longest text of an address: more than any IPv6 literal.
constexpr std::size_t max_address_bytes = 64;

/// Least number that a double cannot tell from its neighbour (RFC 8259, 6).
constexpr double first_inexact = 9007199254740992.0;

constexpr std::array<std::string_view, 6> known_fields{
  "type", "system", "time_limit", "packet_limit", "filter_v1", "offset_time"};

/// Fields that mean something for `type: full` alone; so do those of a colo
/// where there are no nodes to choose from.
constexpr std::array<std::string_view, 2> full_fields{"byte_limit",
                                                      "destination_conf"};

/// Two names of one field, the first of which is the documented one.
constexpr std::array<std::string_view, 2> colo_fields{"colo_name", "colo"};

/// What names of nodes and of places are made of.
constexpr std::string_view name_characters
  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

constexpr std::array<std::string_view, 5> filter_members{
  "source_address", "destination_address", "source_port", "destination_port",
  "protocol"};

template <class Names>
bool contains(const Names& names, std::string_view x) {
  return std::find(names.begin(), names.end(), x) != names.end();
}

std::string cut(std::string text) {
  if (text.size() <= max_quoted_bytes)
    return text;
  // Not inside a UTF-8 sequence: its further bytes are 10xxxxxx.
  auto end = max_quoted_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end) + "...";
}

/// The value as it may stand in a message.
std::string quoted(const json& value) {
  return cut(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

const char* type_of(const json& value) {
  return value.is_number()    ? "a number"
         : value.is_string()  ? "a string"
         : value.is_boolean() ? "a boolean"
         : value.is_array()   ? "an array"
         : value.is_object()  ? "an object"
                              : "null";
}

/// Range of an integral number, both ends included.
struct bounds {
  std::uint32_t min;
  std::uint32_t max;
};

/// Reads one body and collects what is wrong with it.
class reader {
public:
  explicit reader(const create_limits& limits) : limits_(limits) {}

  void read(const json& body) {
    if (!body.is_object()) {
      add(code::bad_type, "",
          std::string{"The body is "} + type_of(body)
            + "; it must be a JSON object");
      return;
    }
    if (!read_type(body))
      return;
    read_system(body);
    if (limits_.choose_nodes)
      read_colo(body);
    read_limit(body, "time_limit", {1, limits_.max_time_limit_s}, "seconds",
               result_.spec.time_limit_s);
    read_limit(body, "packet_limit", {1, limits_.max_packet_limit}, "packets",
               result_.spec.packet_limit);
    read_offset_time(body);
    read_filter(body);
    name_ignored(body);
  }

  tl::expected<create_request, std::vector<api_error>> take() {
    if (errors_.empty())
      return std::move(result_);
    return tl::unexpected<std::vector<api_error>>{std::move(errors_)};
  }

private:
  void add(int error_code, std::string pointer, std::string message) {
    errors_.push_back(
      {400, error_code, std::move(message), std::move(pointer)});
  }

  /// The member, or null with an error if it is required and absent.
  const json* required(const json& body, const char* name,
                       const std::string& rule) {
    const auto i = body.find(name);
    if (i != body.end())
      return &*i;
    add(code::missing_field, append_pointer("", name),
        std::string{name} + " is missing: it must be " + rule);
    return nullptr;
  }

  void wrong_type(const std::string& name, const std::string& pointer,
                  const json& value, const std::string& rule) {
    add(code::bad_type, pointer,
        name + " is " + type_of(value)
          + (value.is_structured() || value.is_null()
               ? ""
               : " (" + quoted(value) + ")")
          + "; it must be " + rule);
  }

  /// Returns false if nothing else can be judged: the rules of `full` are
  /// others.
  bool read_type(const json& body) {
    const std::string rule = "\"simple\"";
    const auto* value = required(body, "type", rule);
    if (value == nullptr)
      return true;
    if (!value->is_string()) {
      wrong_type("type", "/type", *value, "the string " + rule);
    } else if (*value == "full") {
      add(code::not_supported, "/type",
          "type \"full\" is not supported yet; ask for \"simple\"");
      return false;
    } else if (*value != "simple") {
      add(code::bad_value, "/type",
          "type is " + quoted(*value) + "; it must be " + rule);
    }
    return true;
  }

  void read_system(const json& body) {
    std::string rule;
    for (const auto& name : limits_.systems)
      rule += (rule.empty() ? "" : ", ") + json(name).dump();
    rule = "one of " + rule;
    const auto* value = required(body, "system", rule);
    if (value == nullptr)
      return;
    if (!value->is_string())
      return wrong_type("system", "/system", *value, "a string, " + rule);
    const auto& name = value->get_ref<const std::string&>();
    if (!contains(limits_.systems, name))
      return add(code::unknown_system, "/system",
                 "system " + quoted(*value) + " is not configured; it must be "
                   + rule);
    result_.spec.system = name;
  }

  /// The field has two names.
  void read_colo(const json& body) {
    for (const auto& name : colo_fields)
      read_colo(body, std::string{name});
  }

  void read_colo(const json& body, const std::string& name) {
    const auto rule = "a string, the name of a node or of a colo: 1 to "
                      + std::to_string(max_node_name_bytes)
                      + " letters, digits, '.', '_' and '-'";
    const auto i = body.find(name);
    if (i == body.end())
      return;
    const auto pointer = append_pointer("", name);
    if (!i->is_string())
      return wrong_type(name, pointer, *i, rule);
    const auto& text = i->get_ref<const std::string&>();
    auto& chosen = result_.spec.colo_name;
    if (text.empty() || text.size() > max_node_name_bytes
        || text.find_first_not_of(name_characters) != std::string::npos)
      add(code::bad_value, pointer,
          name + " is " + quoted(*i) + "; it must be " + rule);
    else if (!chosen.empty() && chosen != text)
      add(code::bad_value, pointer,
          name + " is " + quoted(*i)
            + "; it must be what colo_name is, or absent");
    else
      chosen = text;
  }

  void read_limit(const json& body, const char* name, bounds range,
                  const std::string& unit, std::uint32_t& out) {
    const auto rule = rule_of(range) + " (" + unit + ")";
    if (const auto* value = required(body, name, rule))
      if (const auto number
          = integer(name, append_pointer("", name), *value, range, rule))
        out = *number;
  }

  static std::string rule_of(bounds range) {
    return "a whole number from " + std::to_string(range.min) + " to "
           + std::to_string(range.max);
  }

  /// `60` and `60.0` are whole numbers, `"60"` and `true` no numbers at all.
  std::optional<std::uint32_t> integer(const std::string& name,
                                       const std::string& pointer,
                                       const json& value, bounds range,
                                       const std::string& rule) {
    if (!value.is_number()) {
      wrong_type(name, pointer, value, rule);
      return std::nullopt;
    }
    const auto number = value.get<double>();
    const auto exact = std::abs(number) < first_inexact;
    if (exact && number != std::floor(number)) {
      add(code::bad_value, pointer,
          name + " is " + quoted(value) + "; it must be " + rule);
      return std::nullopt;
    }
    if (!exact || number < range.min || number > range.max) {
      add(code::out_of_range, pointer,
          name + " is " + quoted(value) + "; it must be " + rule);
      return std::nullopt;
    }
    return static_cast<std::uint32_t>(number);
  }

  void read_offset_time(const json& body) {
    if (body.contains("offset_time"))
      add(code::not_supported, "/offset_time",
          "offset_time is not supported yet: packets are captured from the "
          "request on");
  }

  void read_filter(const json& body) {
    const auto i = body.find("filter_v1");
    if (i == body.end())
      return;
    if (!i->is_object())
      return wrong_type("filter_v1", "/filter_v1", *i, "an object");
    auto& filter = result_.spec.filter;
    filter.source_address = address(*i, "source_address");
    filter.destination_address = address(*i, "destination_address");
    filter.source_port = small<std::uint16_t>(*i, "source_port");
    filter.destination_port = small<std::uint16_t>(*i, "destination_port");
    filter.protocol = small<std::uint8_t>(*i, "protocol");
    // Members that are wrong by themselves are absent here, and absence never
    // makes a fault.
    for (const auto& fault : capture::validate(filter))
      add(code::bad_value, append_pointer("/filter_v1", fault.field),
          "filter_v1." + fault.field + ": " + fault.message);
  }

  std::optional<std::string> address(const json& filter, const char* name) {
    const auto i = filter.find(name);
    if (i == filter.end())
      return std::nullopt;
    const std::string rule = "an IPv4 or IPv6 address";
    const auto full_name = std::string{"filter_v1."} + name;
    const auto pointer = append_pointer("/filter_v1", name);
    if (!i->is_string()) {
      wrong_type(full_name, pointer, *i, "a string, " + rule);
      return std::nullopt;
    }
    const auto& text = i->get_ref<const std::string&>();
    if (text.size() > max_address_bytes) {
      add(code::bad_value, pointer,
          full_name + " is " + quoted(*i) + "; it must be " + rule);
      return std::nullopt;
    }
    return text;
  }

  template <class T>
  std::optional<T> small(const json& filter, const char* name) {
    const auto i = filter.find(name);
    if (i == filter.end())
      return std::nullopt;
    const bounds range{0, std::numeric_limits<T>::max()};
    const auto number
      = integer(std::string{"filter_v1."} + name,
                append_pointer("/filter_v1", name), *i, range, rule_of(range));
    if (!number)
      return std::nullopt;
    return static_cast<T>(*number);
  }

  void name_ignored(const json& body) {
    std::size_t ignored = 0;
    const auto ignore = [&](const std::string& base, const std::string& name,
                            const std::string& why) {
      if (++ignored <= max_messages)
        result_.messages.push_back({code::unknown_field,
                                    cut(name) + " was ignored: " + why,
                                    append_pointer(base, cut(name))});
    };
    for (const auto& [name, value] : body.items()) {
      const auto colo = contains(colo_fields, name);
      if (contains(full_fields, name) || (colo && !limits_.choose_nodes))
        ignore("", name, "it has no meaning for type \"simple\"");
      else if (!colo && !contains(known_fields, name))
        ignore("", name, "the field is unknown");
    }
    const auto filter = body.find("filter_v1");
    if (filter != body.end() && filter->is_object())
      for (const auto& [name, value] : filter->items())
        if (!contains(filter_members, name))
          ignore("/filter_v1", name, "the field is unknown");
    if (ignored > max_messages)
      result_.messages.push_back(
        {code::unknown_field,
         std::to_string(ignored - max_messages) + " more fields were ignored",
         ""});
  }

  const create_limits& limits_;
  create_request result_;
  std::vector<api_error> errors_;
};

} // namespace

tl::expected<create_request, std::vector<api_error>>
parse_create_request(std::string_view body, const create_limits& limits) {
  const auto parsed = parse_strict(body);
  if (!parsed)
    return tl::unexpected<std::vector<api_error>>{{parsed.error()}};
  reader result{limits};
  result.read(*parsed);
  return result.take();
}

} // namespace edgecap::http

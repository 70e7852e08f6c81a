#include "http/create_request.hpp"
#include "http/strict_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace edgecap::http;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

namespace {

const create_limits limits{{"magic-transit", "lab"}, 300, 10000};

/// Members as raw JSON, so that a test can write what no library would.
using members = std::map<std::string, std::string>;

const members valid{{"type", R"("simple")"},
                    {"system", R"("magic-transit")"},
                    {"time_limit", "60"},
                    {"packet_limit", "100"}};

std::string text_of(const members& from) {
  std::string result;
  for (const auto& [name, value] : from)
    result += (result.empty() ? "{\"" : ",\"") + name + "\":" + value;
  return result + "}";
}

/// A valid body but for one member.
std::string with(const std::string& name, const std::string& value) {
  auto changed = valid;
  changed[name] = value;
  return text_of(changed);
}

std::string without(const std::string& name) {
  auto changed = valid;
  changed.erase(name);
  return text_of(changed);
}

create_request accepted(const std::string& body) {
  auto result = parse_create_request(body, limits);
  EXPECT_TRUE(result) << body << ": " << result.error().front().message;
  return result ? *result : create_request{};
}

std::vector<api_error> refused(const std::string& body) {
  auto result = parse_create_request(body, limits);
  EXPECT_FALSE(result) << body;
  return result ? std::vector<api_error>{} : result.error();
}

/// Code and pointer of each error.
std::vector<std::pair<int, std::string>> faults(const std::string& body) {
  std::vector<std::pair<int, std::string>> result;
  for (const auto& x : refused(body)) {
    EXPECT_EQ(x.status, 400) << x.message;
    EXPECT_FALSE(x.message.empty());
    result.emplace_back(x.code, x.pointer);
  }
  return result;
}

/// One value of a member and the code that refuses it.
struct bad_value {
  const char* value;
  int code;
};

void expect_refusals(const std::string& name,
                     const std::vector<bad_value>& values) {
  for (const auto& x : values)
    EXPECT_THAT(faults(with(name, x.value)),
                ElementsAre(Pair(x.code, "/" + name)))
      << name << ": " << x.value;
}

std::string filter_with(const std::string& name, const std::string& value) {
  return with("filter_v1", "{\"" + name + "\":" + value + "}");
}

} // namespace

// -- the body as such ---------------------------------------------------------

TEST(CreateRequestTest, TakesTheLeastBody) {
  const auto request = accepted(text_of(valid));
  EXPECT_EQ(request.spec.type, "simple");
  EXPECT_EQ(request.spec.system, "magic-transit");
  EXPECT_EQ(request.spec.time_limit_s, 60u);
  EXPECT_EQ(request.spec.packet_limit, 100u);
  EXPECT_EQ(request.spec.filter, edgecap::capture::filter_fields{});
  EXPECT_EQ(request.spec.account_id, "");
  EXPECT_TRUE(request.messages.empty());
}

TEST(CreateRequestTest, RefusesABodyThatIsNoObject) {
  for (const auto* body : {"[]", "null", "1", "\"simple\"", "true"})
    EXPECT_THAT(faults(body), ElementsAre(Pair(code::bad_type, ""))) << body;
}

TEST(CreateRequestTest, RefusesTextThatIsNoStrictJson) {
  const auto body = text_of(valid);
  EXPECT_THAT(faults(""), ElementsAre(Pair(code::bad_json, "")));
  EXPECT_THAT(faults(body + "x"), ElementsAre(Pair(code::bad_json, "")));
  EXPECT_THAT(faults(with("system", "\"\xFF\"")),
              ElementsAre(Pair(code::bad_json, "")));
  EXPECT_THAT(faults(R"({"type":"simple","type":"simple"})"),
              ElementsAre(Pair(code::bad_json, "/type")));
  EXPECT_THAT(faults(with("filter_v1", R"({"protocol":6,"protocol":6})")),
              ElementsAre(Pair(code::bad_json, "/filter_v1/protocol")));
  const auto deep
    = std::string(max_json_depth, '[') + std::string(max_json_depth, ']');
  const auto error = refused(with("x", deep));
  ASSERT_EQ(error.size(), 1u);
  EXPECT_EQ(error.front().code, code::bad_json);
}

TEST(CreateRequestTest, SkipsAByteOrderMark) {
  EXPECT_EQ(accepted("\xEF\xBB\xBF" + text_of(valid)).spec.packet_limit, 100u);
}

TEST(CreateRequestTest, NamesEachMissingField) {
  for (const auto* name : {"type", "system", "time_limit", "packet_limit"})
    EXPECT_THAT(faults(without(name)),
                ElementsAre(Pair(code::missing_field, "/" + std::string{name})))
      << name;
  EXPECT_THAT(faults("{}"),
              ElementsAre(Pair(code::missing_field, "/type"),
                          Pair(code::missing_field, "/system"),
                          Pair(code::missing_field, "/time_limit"),
                          Pair(code::missing_field, "/packet_limit")));
}

TEST(CreateRequestTest, ReportsEveryFaultAtOnce) {
  const auto body = R"({
    "type": 1, "system": "nowhere", "time_limit": "60", "packet_limit": 0,
    "offset_time": "2026-01-01T00:00:00Z",
    "filter_v1": {"source_address": 1, "destination_address": "x",
                  "source_port": 65536, "destination_port": -1,
                  "protocol": 1.5}})";
  EXPECT_THAT(
    faults(body),
    ElementsAre(Pair(code::bad_type, "/type"),
                Pair(code::unknown_system, "/system"),
                Pair(code::bad_type, "/time_limit"),
                Pair(code::out_of_range, "/packet_limit"),
                Pair(code::not_supported, "/offset_time"),
                Pair(code::bad_type, "/filter_v1/source_address"),
                Pair(code::out_of_range, "/filter_v1/source_port"),
                Pair(code::out_of_range, "/filter_v1/destination_port"),
                Pair(code::bad_value, "/filter_v1/protocol"),
                Pair(code::bad_value, "/filter_v1/destination_address")));
}

// -- the fields ---------------------------------------------------------------

TEST(CreateRequestTest, ChecksType) {
  expect_refusals("type", {{"\"\"", code::bad_value},
                           {"\"Simple\"", code::bad_value},
                           {"\"lite\"", code::bad_value},
                           {"null", code::bad_type},
                           {"1", code::bad_type},
                           {"true", code::bad_type},
                           {"[\"simple\"]", code::bad_type},
                           {"{}", code::bad_type}});
}

TEST(CreateRequestTest, RefusesFullAndNothingElseThen) {
  // Its fields have other rules, so that they cannot be judged.
  EXPECT_THAT(faults(R"({"type":"full","time_limit":86400,"system":1})"),
              ElementsAre(Pair(code::not_supported, "/type")));
}

TEST(CreateRequestTest, ChecksSystem) {
  EXPECT_EQ(accepted(with("system", "\"lab\"")).spec.system, "lab");
  expect_refusals("system", {{"\"\"", code::unknown_system},
                             {"\"LAB\"", code::unknown_system},
                             {"\"lab \"", code::unknown_system},
                             {"\"lab\\u0000\"", code::unknown_system},
                             {"null", code::bad_type},
                             {"1", code::bad_type},
                             {"false", code::bad_type},
                             {"[]", code::bad_type},
                             {"{}", code::bad_type}});
  // Whoever misspells one learns which there are.
  EXPECT_THAT(refused(with("system", "\"x\"")).front().message,
              HasSubstr(R"("magic-transit", "lab")"));
}

TEST(CreateRequestTest, TakesWholeNumbersHoweverWritten) {
  struct row {
    const char* value;
    std::uint32_t number;
  };
  for (const auto& x : {row{"1", 1}, row{"300", 300}, row{"60.0", 60},
                        row{"6e1", 60}, row{"600E-1", 60}, row{"1.50e2", 150}})
    EXPECT_EQ(accepted(with("time_limit", x.value)).spec.time_limit_s, x.number)
      << x.value;
  for (const auto& x : {row{"1", 1}, row{"10000", 10000}, row{"1e4", 10000}})
    EXPECT_EQ(accepted(with("packet_limit", x.value)).spec.packet_limit,
              x.number)
      << x.value;
}

TEST(CreateRequestTest, ChecksBothLimits) {
  for (const auto* name : {"time_limit", "packet_limit"})
    expect_refusals(name, {{"0", code::out_of_range},
                           {"-0.0", code::out_of_range},
                           {"-1", code::out_of_range},
                           {"10001", code::out_of_range},
                           {"4294967297", code::out_of_range},       // 2^32 + 1
                           {"9007199254740992", code::out_of_range}, // 2^53
                           {"9007199254740993", code::out_of_range},
                           {"18446744073709551617", code::out_of_range},
                           {"-9223372036854775809", code::out_of_range},
                           {"1e300", code::out_of_range},
                           {"1e400", code::out_of_range},
                           {"1.5", code::bad_value},
                           {"1e-400", code::out_of_range},
                           {"0.5", code::bad_value},
                           {"10000.5", code::bad_value},
                           {"\"60\"", code::bad_type},
                           {"\"\"", code::bad_type},
                           {"true", code::bad_type},
                           {"null", code::bad_type},
                           {"[60]", code::bad_type},
                           {"{}", code::bad_type}});
  expect_refusals("time_limit", {{"301", code::out_of_range}});
}

TEST(CreateRequestTest, TakesItsLimitsFromTheConfiguration) {
  const create_limits small{{"lab"}, 5, 7};
  const auto try_with = [&](const char* time, const char* packets) {
    return parse_create_request(R"({"type":"simple","system":"lab",)"
                                R"("time_limit":)"
                                  + std::string{time}
                                  + ",\"packet_limit\":" + packets + "}",
                                small)
      .has_value();
  };
  EXPECT_TRUE(try_with("5", "7"));
  EXPECT_FALSE(try_with("6", "7"));
  EXPECT_FALSE(try_with("5", "8"));
}

TEST(CreateRequestTest, SaysValueAndRule) {
  const auto message = [](const std::string& name, const std::string& value) {
    return refused(with(name, value)).front().message;
  };
  EXPECT_EQ(message("time_limit", "301"),
            "time_limit is 301; it must be a whole number from 1 to 300 "
            "(seconds)");
  EXPECT_EQ(message("packet_limit", "\"60\""),
            "packet_limit is a string (\"60\"); it must be a whole number from "
            "1 to 10000 (packets)");
  EXPECT_EQ(message("packet_limit", "null"),
            "packet_limit is null; it must be a whole number from 1 to 10000 "
            "(packets)");
}

TEST(CreateRequestTest, CutsLongValuesOutsideOfCharacters) {
  std::string name;
  for (auto i = 0; i < 1000; ++i)
    name += "\u00e9";
  for (const auto* lead : {"", "x"}) {
    const auto error = refused(with("system", "\"" + (lead + name) + "\""));
    const auto& message = error.front().message;
    EXPECT_LT(message.size(), 200u);
    // A cut inside of a character would not survive.
    EXPECT_NO_THROW(nlohmann::json(message).dump());
  }
}

TEST(CreateRequestTest, RefusesOffsetTimeWhateverItIs) {
  expect_refusals("offset_time",
                  {{R"("2026-01-01T00:00:00Z")", code::not_supported},
                   {"null", code::not_supported},
                   {"1", code::not_supported}});
}

// -- the filter ---------------------------------------------------------------

TEST(CreateRequestTest, TakesFilters) {
  const edgecap::capture::filter_fields everything;
  EXPECT_EQ(accepted(with("filter_v1", "{}")).spec.filter, everything);
  const auto all = accepted(with("filter_v1", R"({
    "source_address": "192.0.2.1", "destination_address": "198.51.100.2",
    "source_port": 0, "destination_port": 65535.0, "protocol": 17})"));
  edgecap::capture::filter_fields expected;
  expected.source_address = "192.0.2.1";
  expected.destination_address = "198.51.100.2";
  expected.source_port = 0;
  expected.destination_port = 65535;
  expected.protocol = 17;
  EXPECT_EQ(all.spec.filter, expected);
  EXPECT_EQ(accepted(filter_with("source_address", "\"2001:db8::1\""))
              .spec.filter.source_address,
            "2001:db8::1");
  EXPECT_EQ(accepted(filter_with("protocol", "0")).spec.filter.protocol, 0);
  EXPECT_EQ(accepted(filter_with("protocol", "255")).spec.filter.protocol, 255);
}

TEST(CreateRequestTest, RefusesAFilterThatIsNoObject) {
  expect_refusals("filter_v1", {{"null", code::bad_type},
                                {"\"\"", code::bad_type},
                                {"[]", code::bad_type},
                                {"1", code::bad_type},
                                {"true", code::bad_type}});
}

TEST(CreateRequestTest, ChecksFilterNumbers) {
  struct row {
    const char* name;
    const char* beyond;
  };
  for (const auto& x :
       {row{"source_port", "65536"}, row{"destination_port", "65536"},
        row{"protocol", "256"}}) {
    const auto pointer = "/filter_v1/" + std::string{x.name};
    for (const auto* value : {"-1", x.beyond, "9007199254740992", "1e400"})
      EXPECT_THAT(faults(filter_with(x.name, value)),
                  ElementsAre(Pair(code::out_of_range, pointer)))
        << value;
    EXPECT_THAT(faults(filter_with(x.name, "1.5")),
                ElementsAre(Pair(code::bad_value, pointer)));
    for (const auto* value : {"\"53\"", "true", "null", "[]", "{}"})
      EXPECT_THAT(faults(filter_with(x.name, value)),
                  ElementsAre(Pair(code::bad_type, pointer)))
        << value;
  }
}

TEST(CreateRequestTest, ChecksFilterAddresses) {
  for (const std::string name : {"source_address", "destination_address"}) {
    const auto pointer = "/filter_v1/" + name;
    for (const auto* value : {"1", "true", "null", "[]", "{}"})
      EXPECT_THAT(faults(filter_with(name, value)),
                  ElementsAre(Pair(code::bad_type, pointer)))
        << value;
    for (const std::string value :
         {"", "x", "192.0.2.256", "192.0.2", "192.0.2.0/24", "fe80::1%eth0",
          "[::1]", "::ffff:192.0.2.1", "192.0.2.1\\u0000", " 192.0.2.1"})
      EXPECT_THAT(faults(filter_with(name, '"' + value + '"')),
                  ElementsAre(Pair(code::bad_value, pointer)))
        << value;
    const auto error
      = refused(filter_with(name, '"' + std::string(100'000, '1') + '"'));
    ASSERT_EQ(error.size(), 1u);
    EXPECT_EQ(error.front().pointer, pointer);
    EXPECT_LT(error.front().message.size(), 300u);
  }
}

TEST(CreateRequestTest, ChecksFiltersAsAWhole) {
  EXPECT_THAT(
    faults(with("filter_v1", R"({"source_address":"192.0.2.1",
                                 "destination_address":"2001:db8::1"})")),
    ElementsAre(Pair(code::bad_value, "/filter_v1/destination_address")));
  EXPECT_THAT(faults(with("filter_v1", R"({"source_port":1,"protocol":1})")),
              ElementsAre(Pair(code::bad_value, "/filter_v1/protocol")));
  // A member that is wrong by itself is not held against the others too.
  EXPECT_THAT(faults(with("filter_v1", R"({"source_port":"1","protocol":1})")),
              ElementsAre(Pair(code::bad_type, "/filter_v1/source_port")));
}

// -- what is ignored ----------------------------------------------------------

TEST(CreateRequestTest, NamesFieldsThatItIgnores) {
  auto body = valid;
  body["byte_limit"] = "\"whatever\"";
  body["colo"] = "1";
  body["colo_name"] = "null";
  body["destination_conf"] = "[]";
  body["frobnicate"] = "{}";
  body["a/b~c"] = "1";
  body["filter_v1"] = R"({"vlan":7,"protocol":6})";
  const auto request = accepted(text_of(body));
  EXPECT_EQ(request.spec.filter.protocol, 6);
  const std::string simple = " was ignored: it has no meaning for type "
                             "\"simple\"";
  const std::string unknown = " was ignored: the field is unknown";
  const auto at = code::unknown_field;
  EXPECT_THAT(
    request.messages,
    ElementsAre(
      api_message{at, "a/b~c" + unknown, "/a~1b~0c"},
      api_message{at, "byte_limit" + simple, "/byte_limit"},
      api_message{at, "colo" + simple, "/colo"},
      api_message{at, "colo_name" + simple, "/colo_name"},
      api_message{at, "destination_conf" + simple, "/destination_conf"},
      api_message{at, "frobnicate" + unknown, "/frobnicate"},
      api_message{at, "vlan" + unknown, "/filter_v1/vlan"}));
}

// -- nodes --------------------------------------------------------------------

TEST(CreateRequestTest, ChoosesNodesWhereThereAreSome) {
  auto fleet = limits;
  fleet.choose_nodes = true;
  const std::string longest(64, 'x');
  for (const auto* field : {"colo_name", "colo"})
    for (const auto& name : {std::string{"ams01"}, std::string{"edge-1.a_b"},
                             std::string{"A"}, longest}) {
      const auto result
        = parse_create_request(with(field, '"' + name + '"'), fleet);
      ASSERT_TRUE(result) << field << ' ' << name;
      EXPECT_EQ(result->spec.colo_name, name);
      EXPECT_TRUE(result->messages.empty());
    }
  EXPECT_EQ(parse_create_request(text_of(valid), fleet)->spec.colo_name, "");
  EXPECT_EQ(accepted(with("colo_name", R"("ams01")")).spec.colo_name, "")
    << "one node alone";
}

TEST(CreateRequestTest, RefusesNamesThatNoNodeCanHave) {
  auto fleet = limits;
  fleet.choose_nodes = true;
  const bad_value bad[]{
    {R"("")", code::bad_value},        {R"("a b")", code::bad_value},
    {R"("a/b")", code::bad_value},     {R"("\u00e9")", code::bad_value},
    {R"("a\u0000")", code::bad_value}, {"1", code::bad_type},
    {"null", code::bad_type},          {"[]", code::bad_type},
    {"true", code::bad_type}};
  const auto fault = [&](const std::string& body) {
    const auto result = parse_create_request(body, fleet);
    EXPECT_FALSE(result) << body;
    return result ? api_error{} : result.error().at(0);
  };
  for (const auto& x : bad) {
    const auto error = fault(with("colo_name", x.value));
    EXPECT_EQ(error.code, x.code) << x.value;
    EXPECT_EQ(error.pointer, "/colo_name");
    EXPECT_THAT(error.message, HasSubstr("1 to 64 letters, digits"));
    EXPECT_EQ(fault(with("colo", x.value)).pointer, "/colo");
  }
  EXPECT_EQ(fault(with("colo_name", '"' + std::string(65, 'x') + '"')).code,
            code::bad_value);
  auto both = valid;
  both["colo_name"] = R"("a")";
  both["colo"] = R"("b")";
  EXPECT_EQ(fault(text_of(both)).pointer, "/colo");
  both["colo"] = R"("a")";
  EXPECT_EQ(parse_create_request(text_of(both), fleet)->spec.colo_name, "a");
}

TEST(CreateRequestTest, BoundsWhatItSaysAboutIgnoredFields) {
  auto body = valid;
  for (auto i = 0; i < 1000; ++i)
    body["x" + std::to_string(i) + std::string(1000, 'y')] = "1";
  const auto request = accepted(text_of(body));
  ASSERT_EQ(request.messages.size(), max_messages + 1);
  for (const auto& x : request.messages) {
    EXPECT_LT(x.message.size(), 200u);
    EXPECT_LT(x.pointer.size(), 200u);
  }
  EXPECT_EQ(request.messages.back().message, "980 more fields were ignored");
  // Exactly as many as are named need no such line.
  body = valid;
  for (auto i = 0; i < 20; ++i)
    body["x" + std::to_string(i)] = "1";
  EXPECT_EQ(accepted(text_of(body)).messages.size(), max_messages);
}

// Build tool: turns http/openapi.yaml, the one description of the API, into the
// JSON that is served at /openapi.json, as a C++ source file.
//
//     embed_openapi OPENAPI.YAML VERSION OUT.CPP
//
// `info.version` becomes VERSION. What YAML can say and JSON cannot, or what
// two parsers would read differently, is an error.

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <regex>
#include <stdexcept>
#include <string>

namespace {

using json = nlohmann::ordered_json;

/// Deeper than any description; ends aliases that contain themselves.
constexpr int max_depth = 64;

/// Delimiter of the raw string: nothing in JSON looks like it.
constexpr const char* delimiter = "~openapi~";

[[noreturn]] void refuse(const YAML::Node& where, const std::string& why) {
  throw std::runtime_error("line " + std::to_string(where.Mark().line + 1)
                           + ": " + why);
}

/// A scalar by YAML's core schema; what is quoted is text.
json scalar(const YAML::Node& node) {
  static const std::regex integer{"-?(0|[1-9][0-9]*)"};
  static const std::regex number{"-?(0|[1-9][0-9]*)\\.[0-9]+"};
  // YAML 1.1 reads these as booleans and octals, YAML 1.2 as text and decimals.
  static const std::regex ambiguous{
    "y|Y|n|N|(y|Y)es|YES|(n|N)o|NO|(o|O)n|ON|(o|O)ff|OFF|[-+]?0[0-9]+"};
  const auto& text = node.Scalar();
  const auto is_plain = node.Tag() == "?";
  if (!is_plain)
    return text;
  if (text.empty() || text == "~" || text == "null")
    return nullptr;
  if (text == "true" || text == "false")
    return text == "true";
  if (std::regex_match(text, integer))
    return std::stoll(text);
  if (std::regex_match(text, number))
    return std::stod(text);
  if (std::regex_match(text, ambiguous))
    refuse(node, "quote '" + text + "': YAML's versions disagree on it");
  return text;
}

json convert(const YAML::Node& node, int depth) {
  if (depth > max_depth)
    refuse(node, "it is nested too deep");
  switch (node.Type()) {
  case YAML::NodeType::Scalar:
    return scalar(node);
  case YAML::NodeType::Sequence: {
    auto result = json::array();
    for (const auto& item : node)
      result.push_back(convert(item, depth + 1));
    return result;
  }
  case YAML::NodeType::Map: {
    auto result = json::object();
    for (const auto& member : node) {
      const auto& name = member.first.Scalar();
      if (name == "<<")
        refuse(member.first, "merge keys are not supported");
      if (result.contains(name))
        refuse(member.first, "'" + name + "' is there twice");
      result[name] = convert(member.second, depth + 1);
    }
    return result;
  }
  case YAML::NodeType::Null:
    return nullptr;
  case YAML::NodeType::Undefined:
    break;
  }
  refuse(node, "it is undefined");
}

void embed(const std::string& from, const std::string& version,
           const std::string& to) {
  auto document = convert(YAML::LoadFile(from), 0);
  document.at("info").at("version") = version;
  std::ofstream out{to, std::ios::trunc};
  out << "// Made of http/openapi.yaml; do not edit.\n"
      << "#include \"http/openapi.hpp\"\n\n"
      << "namespace edgecap::http {\n\n"
      << "const std::string_view openapi_json = R\"" << delimiter << '('
      << document.dump() << ")" << delimiter << "\";\n\n"
      << "} // namespace edgecap::http\n";
  out.close();
  if (!out)
    throw std::runtime_error("write " + to + " failed");
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: embed_openapi OPENAPI.YAML VERSION OUT.CPP\n";
    return EXIT_FAILURE;
  }
  try {
    embed(argv[1], argv[2], argv[3]);
    return EXIT_SUCCESS;
  } catch (const std::exception& x) {
    std::cerr << argv[1] << ": " << x.what() << '\n';
    return EXIT_FAILURE;
  }
}

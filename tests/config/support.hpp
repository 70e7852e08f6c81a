#pragma once

#include "config/load.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

// What the tests of this folder share.
namespace edgecap::config {

/// 7 lines that, with nothing else, load without faults.
inline const std::string minimal = R"(accounts:
  - id: 0123456789abcdef0123456789abcdef
    credentials:
      - {name: ops, token_hash: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1fe9eda6d98dc60c306ac3a35ac1f266cfce52870e24f02fa6e8360a3357a41a", rights: [read]}
systems:
  magic-transit:
    interfaces: [lo]
)";

/// What the operator would be told of `yaml`; empty if nothing is wrong.
inline std::string faults_of(const std::string& yaml) {
  return report(load_text(yaml), "f");
}

/// The content of a file below the project's root.
inline std::string slurp(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  EXPECT_TRUE(in) << "open " << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

} // namespace edgecap::config

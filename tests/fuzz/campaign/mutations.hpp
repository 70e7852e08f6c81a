#pragma once

#include "tests/fuzz/campaign/dice.hpp"
#include "tests/fuzz/campaign/request_text.hpp"

#include <string>
#include <vector>

// What makes good requests bad, so that nobody can say beforehand how many
// answers they get.
namespace edgecap::fuzz {

/// Changes the structure: lengths that conflict, smuggling shapes, chunking,
/// control bytes, odd targets, versions, methods, hosts, expectations.
void mutate(dice& random, request_text& what);

/// Changes bytes, whatever they mean; may splice with one of `corpus`.
void mutate(dice& random, std::string& bytes,
            const std::vector<std::string>& corpus);

/// Puts a body into chunks, some of them wrong.
void chunk(dice& random, request_text& what);

} // namespace edgecap::fuzz

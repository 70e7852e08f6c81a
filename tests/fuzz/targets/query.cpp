// Any bytes as a query: a bad escape refuses it, otherwise what was decoded can
// be encoded and is then decoded to the same; and a list request is in bounds
// or refused with errors that make a proper answer.
#include "http/list_request.hpp"
#include "http/percent.hpp"
#include "tests/fuzz/target.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace {

using namespace edgecap;
using namespace edgecap::http;
using fuzz::require;
using parameters = std::vector<std::pair<std::string, std::string>>;

std::string encode(const std::string& text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    result += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return result;
}

std::string encode(const parameters& query) {
  std::string result;
  for (const auto& [name, value] : query) {
    result += result.empty() ? "" : "&";
    result += encode(name);
    result += '=';
    result += encode(value);
  }
  return result;
}

void check_query(std::string_view text) {
  const auto query = parse_query(text);
  if (!query)
    return;
  require(query->size() <= max_query_parameters, "parameters are bounded");
  require(parse_query(encode(*query)) == query, "a query survives encoding");
  const auto wanted = parse_list_request(*query);
  if (wanted) {
    require(wanted->page >= 1 && wanted->per_page >= 1
              && wanted->per_page <= 50,
            "a page is in bounds");
    return;
  }
  for (const auto& x : wanted.error())
    require(x.status == 400 && x.code >= 1000 && !x.message.empty(),
            "an error says what is wrong");
  const auto answer = nlohmann::json::parse(
    failure_response(wanted.error()).body, nullptr, false);
  require(answer.is_object() && !answer["errors"].empty(),
          "errors make an envelope");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  if (const auto segment = percent_decode(text)) {
    require(segment->size() <= text.size(), "decoding adds nothing");
    require(percent_decode(encode(*segment)) == segment,
            "a segment survives encoding");
  }
  check_query(text);
  return 0;
}

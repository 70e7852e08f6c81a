// Any Idempotency-Key: it is refused with a reason, or is a key within its
// limits, and its quoted spelling is the same key.
#include "http/idempotency_key.hpp"

#include "tests/fuzz/target.hpp"

#include <algorithm>

namespace {

using namespace edgecap;
using namespace edgecap::http;
using fuzz::require;

std::string quoted(const std::string& key) {
  std::string result = "\"";
  for (const auto c : key) {
    if (c == '"' || c == '\\')
      result += '\\';
    result += c;
  }
  return result + '"';
}

tl::expected<std::string, api_error> parse(const std::string& header) {
  request asked;
  asked.headers["idempotency-key"] = header;
  return parse_idempotency_key(asked);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto key = parse(std::string{fuzz::text_of(data, size)});
  if (!key) {
    require(key.error().status == 400 && key.error().code >= 1000,
            "a refusal says what is wrong");
    return 0;
  }
  require(!key->empty() && key->size() <= max_idempotency_key_chars,
          "a key is within its limits");
  require(std::all_of(key->begin(), key->end(),
                      [](char c) { return c >= 0x21 && c <= 0x7E; }),
          "a key is visible");
  const auto again = parse(quoted(*key));
  require(again && *again == *key, "a quoted key is the same key");
  return 0;
}

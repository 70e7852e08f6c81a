// The framer's answer must not depend on how TCP cuts its input: the bytes in
// the largest pieces allowed, byte by byte, and cut at places that the input
// itself chooses must all be framed alike.
#include "http/request_framer.hpp"

#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace edgecap::http;
using edgecap::fuzz::require;

/// Small, so that short inputs reach them.
constexpr framer_limits small{48, 256, 8, 64};

/// What became of some input.
struct outcome {
  std::vector<framed_request> requests;
  bool failed = false;
  bool unfinished = false;
  api_error error;
};

void check(const framed_request& x, const framer_limits& limits) {
  require(x.path == "*" || (!x.path.empty() && x.path.front() == '/'),
          "a path is absolute or an asterisk");
  require(x.path.size() + x.query.size() <= limits.max_target_bytes + 1,
          "a target is within its limit");
  require(x.body.size() <= limits.max_body_bytes, "a body is within its limit");
  require(x.headers.size() <= limits.max_headers, "so are headers");
  for (const auto& [name, value] : x.headers)
    require(
      std::none_of(value.begin(), value.end(),
                   [](char c) { return c == '\0' || c == '\r' || c == '\n'; }),
      "a header's value is one line");
}

/// Frames what is buffered; returns whether more may come.
bool drain(request_framer& framer, const framer_limits& limits, outcome& to) {
  for (;;) {
    framed_request request;
    switch (framer.next(request)) {
    case request_framer::status::need_more:
      return true;
    case request_framer::status::failed:
      to.failed = true;
      to.error = framer.error();
      require(to.error.status >= 400 && to.error.code >= 1000
                && !to.error.message.empty(),
              "an error says what is wrong");
      return false;
    case request_framer::status::complete:
      check(request, limits);
      to.requests.push_back(std::move(request));
    }
  }
}

template <class NextSize>
outcome frame(std::string_view bytes, const framer_limits& limits,
              NextSize next_size) {
  request_framer framer{limits};
  outcome result;
  while (!bytes.empty()) {
    const auto size = std::min<std::size_t>(next_size(), bytes.size());
    require(framer.append(bytes.substr(0, size)), "a framer takes max_append");
    bytes.remove_prefix(size);
    if (!drain(framer, limits, result))
      return result;
  }
  result.unfinished = framer.begun();
  return result;
}

bool same(const framed_request& a, const framed_request& b) {
  return a.method == b.method && a.path == b.path && a.query == b.query
         && a.headers == b.headers && a.body == b.body
         && a.keep_alive == b.keep_alive;
}

void require_same(const outcome& a, const outcome& b) {
  require(std::equal(a.requests.begin(), a.requests.end(), b.requests.begin(),
                     b.requests.end(), same),
          "segments do not change the requests");
  require(a.failed == b.failed && a.error.status == b.error.status
            && a.error.code == b.error.code
            && a.error.message == b.error.message,
          "segments do not change the error");
  require(a.unfinished == b.unfinished, "segments do not change the end");
}

void compare_segmentations(std::string_view bytes,
                           const framer_limits& limits) {
  const auto whole
    = frame(bytes, limits, [] { return request_framer::max_append; });
  require_same(whole, frame(bytes, limits, [] { return 1u; }));
  std::minstd_rand random{static_cast<std::minstd_rand::result_type>(
    std::hash<std::string_view>{}(bytes))};
  require_same(whole, frame(bytes, limits, [&] { return 1 + random() % 40; }));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto bytes = edgecap::fuzz::text_of(data, size);
  compare_segmentations(bytes, small);
  compare_segmentations(bytes, framer_limits{});
  return 0;
}

// Any conditional and range headers against a file of any size: the slice lies
// in the file, the headers say the same as the slice, and nothing in them
// breaks the answer's framing. Input: lines with the file's size, the method,
// then Range, If-Range, If-Match and If-None-Match.
#include "http/download.hpp"
#include "http/response_head.hpp"
#include "tests/fuzz/target.hpp"

#include <charconv>
#include <string>

namespace {

using namespace edgecap;
using namespace edgecap::http;
using fuzz::input_reader;
using fuzz::require;

std::uint64_t number(const std::string& text) {
  std::uint64_t result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

std::string header(const response& answer, std::string_view name) {
  for (const auto& [key, value] : answer.headers)
    if (key == name)
      return value;
  return {};
}

void check_slice(const download_answer& x, const request& asked,
                 std::uint64_t size) {
  const auto& slice = x.slice;
  require(slice.offset <= size && slice.length <= size - slice.offset,
          "the slice lies in the file");
  if (x.head.status == 200) {
    require(slice.offset == 0 && slice.length == size, "200 is the whole file");
    return;
  }
  require(x.head.status == 206, "a slice is 200 or 206");
  require(slice.length > 0, "a part is not empty");
  require(asked.method == method::get && !asked.header("range").empty(),
          "a part was asked for");
  require(header(x.head, "Content-Range")
            == "bytes " + std::to_string(slice.offset) + '-'
                 + std::to_string(slice.offset + slice.length - 1) + '/'
                 + std::to_string(size),
          "Content-Range says what is sent");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  input_reader in{fuzz::text_of(data, size)};
  const auto file_size = number(in.line());
  request asked;
  asked.method = in.line() == "HEAD" ? method::head : method::get;
  for (const auto* name : {"range", "if-range", "if-match", "if-none-match"})
    if (auto value = in.line(); !value.empty())
      asked.headers[name] = std::move(value);
  const auto x = answer_download(
    asked, {file_size, "0123456789abcdef", "application/x-pcapng", "x.pcapng"});
  require(is_writable(x.head), "the answer keeps its framing");
  if (x.has_slice) {
    check_slice(x, asked, file_size);
    return 0;
  }
  const auto status = x.head.status;
  require(status == 304 || status == 412 || status == 416,
          "what sends nothing is 304, 412 or 416");
  require((status == 304) == (x.error_code == 0), "errors have a code");
  return 0;
}

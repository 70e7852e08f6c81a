#include "tests/fuzz/campaign/mutations.hpp"

#include <algorithm>
#include <cstdio>

namespace edgecap::fuzz {

namespace {

template <std::size_t N>
using words = std::array<std::string_view, N>;

using mutation = void (*)(dice&, request_text&);

constexpr std::string_view smuggled
  = "GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n";

void set(request_text& to, const std::string& name, std::string value) {
  for (auto& header : to.headers)
    if (header.first == name) {
      header.second = std::move(value);
      return;
    }
  to.headers.emplace_back(name, std::move(value));
}

void remove(request_text& from, const std::string& name) {
  from.headers.erase(
    std::remove_if(from.headers.begin(), from.headers.end(),
                   [&](const auto& x) { return x.first == name; }),
    from.headers.end());
}

// -- framing ------------------------------------------------------------------

void odd_length(dice& random, request_text& to) {
  constexpr words<14> lengths{"",
                              "-1",
                              "+5",
                              "0x5",
                              "5,5",
                              "5 5",
                              "05",
                              "5a",
                              "1e1",
                              "65537",
                              "8589934592",
                              "18446744073709551615",
                              "18446744073709551616",
                              "\xEF\xBC\x95"};
  set(to, "Content-Length", random.pick(lengths));
}

void wrong_length(dice& random, request_text& to) {
  const auto size = to.body.size();
  set(to, "Content-Length",
      std::to_string(random.one_in(2) ? size + 1 + random.below(100)
                                      : size / (1 + random.below(4))));
}

void two_lengths(dice& random, request_text& to) {
  set(to, "Content-Length", std::to_string(to.body.size()));
  to.headers.emplace_back(
    random.one_in(2) ? "Content-Length" : "content-length",
    std::to_string(random.one_in(2) ? to.body.size() : random.below(50)));
}

void length_and_coding(dice& random, request_text& to) {
  set(to, "Content-Length", std::to_string(to.body.size()));
  chunk(random, to);
}

void odd_coding(dice& random, request_text& to) {
  constexpr words<9> codings{
    "identity",    "xchunked",    "chunked, identity", "gzip, chunked",
    "\"chunked\"", "chunked\x0b", "chunked,chunked",   "",
    "chunKED"};
  to.headers.emplace_back(random.one_in(4) ? "Transfer-Encoding "
                                           : "Transfer-Encoding",
                          random.pick(codings));
}

void smuggle(dice& random, request_text& to) {
  to.body = random.one_in(2) ? "0\r\n\r\n" + std::string{smuggled}
                             : std::string{smuggled};
  set(to, "Content-Length", std::to_string(random.below(to.body.size())));
}

// -- heads --------------------------------------------------------------------

void odd_method(dice& random, request_text& to) {
  constexpr words<10> methods{"TRACE", "CONNECT", "get", "FOO", "",
                              "G\tET", "GET ",    "\r",  "PRI", "M-SEARCH"};
  to.method = random.one_in(12) ? std::string(random.below(4000), 'M')
                                : random.pick(methods);
}

void odd_version(dice& random, request_text& to) {
  constexpr words<11> versions{"HTTP/1.0", "HTTP/1.0",  "HTTP/0.9",  "HTTP/2.0",
                               "HTTP/1.2", "http/1.1",  "HTTP/1.1 ", "HTTP/1,1",
                               "",         "HTTP/11.1", "ICY"};
  to.version = random.pick(versions);
}

void odd_target(dice& random, request_text& to) {
  constexpr words<16> targets{"*",
                              "",
                              "healthz",
                              "http://127.0.0.1/healthz",
                              "https://[::1]:1/healthz?x",
                              "http:///healthz",
                              "HTTP://user:pw@h/healthz",
                              "127.0.0.1:80",
                              "/healthz#x",
                              "/health%7a",
                              "/%",
                              "/%00/%0d%0a",
                              "/\x7f",
                              "/\xC3\xA9",
                              "/a b",
                              "/?%=&=&&%zz"};
  switch (random.below(4)) {
  case 0:
    to.target.insert(random.below(to.target.size() + 1), 1, random.byte());
    break;
  case 1:
    to.target = std::string(random.below(random.one_in(8) ? 30000 : 2300), '/')
                + to.target;
    break;
  default:
    to.target = random.pick(targets);
  }
}

void odd_host(dice& random, request_text& to) {
  constexpr words<8> hosts{"",    ":::::", "a b",  "a,b",
                           "a/b", "[::1",  "a\tb", "\x80"};
  remove(to, "Host");
  for (auto left = random.below(3); left > 0; --left)
    to.headers.emplace_back("Host", random.pick(hosts));
}

void odd_expectation(dice& random, request_text& to) {
  constexpr words<5> expectations{"100-continue", "100-Continue, x", "",
                                  "200-ok", "100-continue"};
  to.headers.emplace_back("Expect", random.pick(expectations));
}

void odd_connection(dice& random, request_text& to) {
  constexpr words<4> connections{"close", "close, keep-alive", "CLOSE", "\x01"};
  to.headers.emplace_back("Connection", random.pick(connections));
}

void odd_header(dice& random, request_text& to) {
  constexpr words<10> names{"",  " ",       "X Y", "X\t",           "\x80",
                            ":", "X\r\n Y", "X\n", "Authorization", "Range"};
  const auto control = static_cast<char>(random.below(0x20));
  to.headers.insert(
    to.headers.begin()
      + static_cast<std::ptrdiff_t>(random.below(to.headers.size() + 1)),
    {random.one_in(2) ? random.pick(names) : "X-Odd",
     random.one_in(2) ? "a" + std::string(1, control) + "b" : "a"});
}

void large_head(dice& random, request_text& to) {
  if (random.one_in(2))
    to.headers.emplace_back("X-Large", std::string(random.below(40000), 'x'));
  else
    for (auto left = random.below(300); left > 0; --left)
      to.headers.emplace_back("X-Many", "x");
}

void repeat_header(dice& random, request_text& to) {
  if (!to.headers.empty())
    to.headers.push_back(to.headers[random.below(to.headers.size())]);
}

void odd_lines(dice& random, request_text& to) {
  constexpr words<5> ends{"\n", "\r", "\r\r\n", "\n\r", "\r\n "};
  to.line_end = random.pick(ends);
}

void large_body(dice& random, request_text& to) {
  to.body.assign(random.below(random.one_in(4) ? 200000 : 70000), '[');
  set(to, "Content-Length", std::to_string(to.body.size()));
}

constexpr std::array<mutation, 18> mutations{
  odd_length, wrong_length, two_lengths,     length_and_coding,
  odd_coding, smuggle,      odd_method,      odd_version,
  odd_target, odd_host,     odd_expectation, odd_connection,
  odd_header, large_head,   repeat_header,   odd_lines,
  large_body, chunk};

std::string hexadecimal(std::size_t value) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%zx", value);
  return text.data();
}

} // namespace

void mutate(dice& random, request_text& what) {
  for (auto left = 1 + random.below(3); left > 0; --left)
    mutations.at(random.below(mutations.size()))(random, what);
}

void chunk(dice& random, request_text& what) {
  constexpr words<8> odd_chunks{"-1\r\na\r\n",
                                "0x1\r\na\r\n",
                                "ffffffffffffffff\r\na\r\n",
                                "1;x=\"\r\n\"\r\na\r\n",
                                "\r\n",
                                "1\r\naa\r\n",
                                "1\na\n",
                                "fffffffffffffffff\r\n"};
  std::string chunked;
  for (std::size_t at = 0; at < what.body.size();) {
    const auto size = std::min(1 + random.below(40), what.body.size() - at);
    chunked += hexadecimal(size) + "\r\n" + what.body.substr(at, size) + "\r\n";
    at += size;
    if (random.one_in(20))
      chunked += random.pick(odd_chunks);
  }
  what.body = chunked + "0\r\n" + (random.one_in(8) ? "X: y\r\n" : "") + "\r\n";
  what.headers.emplace_back("Transfer-Encoding", "chunked");
}

void mutate(dice& random, std::string& bytes,
            const std::vector<std::string>& corpus) {
  constexpr words<12> tokens{"\r\n",      "\r\n\r\n", "\n",
                             "\r",        " ",        ":",
                             "HTTP/1.1",  "%00",      "Content-Length: 1\r\n",
                             "0\r\n\r\n", "\t",       ","};
  for (auto left = 1 + random.below(6); left > 0; --left) {
    const auto at = random.below(bytes.size() + 1);
    switch (random.below(6)) {
    case 0:
      bytes.insert(at, 1, random.byte());
      break;
    case 1:
      if (at < bytes.size())
        bytes[at] = random.byte();
      break;
    case 2:
      bytes.erase(at, random.below(20));
      break;
    case 3:
      bytes.insert(
        at, bytes.substr(random.below(bytes.size() + 1), random.below(60)));
      break;
    case 4:
      bytes.insert(at, random.pick(tokens));
      break;
    default:
      if (!corpus.empty()) {
        const auto& other = random.pick(corpus);
        bytes
          = bytes.substr(0, at) + other.substr(random.below(other.size() + 1));
      }
    }
  }
}

} // namespace edgecap::fuzz

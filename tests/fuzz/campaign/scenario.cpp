#include "tests/fuzz/campaign/scenario.hpp"

#include "tests/fuzz/campaign/grammar.hpp"
#include "tests/fuzz/campaign/mutations.hpp"

#include <algorithm>
#include <istream>
#include <ostream>
#include <stdexcept>
#include <utility>

namespace edgecap::fuzz {

namespace {

/// Bytes that are dribbled at most, one by one.
constexpr std::size_t max_dribbled_bytes = 600;

/// Largest number of exchanges, segments or awaited answers, and of bytes, that
/// a file may speak of.
constexpr std::size_t max_count = 100'000;
constexpr std::size_t max_segment_bytes = 16u << 20;

constexpr std::array<std::pair<std::string_view, farewell>, 4> farewells{{
  {"half_close", farewell::half_close},
  {"wait", farewell::wait},
  {"reset", farewell::reset},
  {"leave", farewell::leave},
}};

/// Cuts bytes into segments: mostly one, sometimes a few, sometimes each byte.
std::vector<std::string> segments_of(dice& random, const std::string& bytes) {
  std::vector<std::string> result;
  if (random.one_in(40)) {
    const auto dribbled = std::min(bytes.size(), max_dribbled_bytes);
    for (std::size_t i = 0; i < dribbled; ++i)
      result.emplace_back(1, bytes[i]);
    if (dribbled < bytes.size())
      result.push_back(bytes.substr(dribbled));
    return result;
  }
  std::size_t begin = 0;
  for (auto cuts = random.one_in(4) ? random.below(5) : 0; cuts > 0; --cuts) {
    const auto end = begin + random.below(bytes.size() - begin + 1);
    if (end > begin)
      result.push_back(bytes.substr(begin, end - begin));
    begin = end;
  }
  if (begin < bytes.size())
    result.push_back(bytes.substr(begin));
  return result;
}

/// Good requests, each after the answer to the last, or all ahead.
scenario polite(dice& random) {
  scenario result;
  const auto pipelines = random.one_in(3);
  const auto count = 1 + random.below(random.one_in(10) ? 40 : 8);
  std::string ahead;
  std::vector<bool> awaited;
  for (std::size_t i = 0; i < count; ++i) {
    auto what = make_request(random);
    if (i + 1 == count && random.one_in(2))
      what.headers.emplace_back("Connection", "close");
    ++result.requests;
    const auto is_head = what.method == "HEAD";
    if (pipelines) {
      ahead += to_bytes(what);
      awaited.push_back(is_head);
    } else {
      result.exchanges.push_back(
        {segments_of(random, to_bytes(what)), {is_head}});
    }
  }
  if (pipelines)
    result.exchanges.push_back({segments_of(random, ahead), awaited});
  return result;
}

/// Requests with broken structure or bytes, among good ones.
scenario hostile(dice& random, const std::vector<std::string>& corpus) {
  scenario result;
  std::string bytes;
  const auto count = 1 + random.below(4);
  for (std::size_t i = 0; i < count; ++i) {
    auto what = make_request(random);
    if (!random.one_in(4))
      mutate(random, what);
    bytes += to_bytes(what);
    ++result.requests;
  }
  if (random.one_in(3))
    mutate(random, bytes, corpus);
  result.exchanges.push_back({segments_of(random, bytes), {}});
  return result;
}

/// Bytes of the corpus, mutated.
scenario raw(dice& random, const std::vector<std::string>& corpus) {
  scenario result;
  auto bytes = corpus.empty() ? std::string{"GET / HTTP/1.1\r\n\r\n"}
                              : random.pick(corpus);
  mutate(random, bytes, corpus);
  result.requests = 1;
  result.exchanges.push_back({segments_of(random, bytes), {}});
  return result;
}

/// A request that is never finished: the server must lose its patience.
scenario unfinished(dice& random) {
  scenario result;
  const auto bytes = to_bytes(make_request(random));
  result.requests = 1;
  result.exchanges.push_back(
    {segments_of(random, bytes.substr(0, random.below(bytes.size()))), {}});
  result.end = farewell::wait;
  return result;
}

/// A chunked body, cut in two at any byte: what once hung a worker.
scenario chunked(dice& random) {
  scenario result;
  request_text what;
  what.method = "POST";
  what.target = "/client/v4/accounts/" + std::string{account} + "/pcaps";
  what.headers
    = {{"Host", "a"}, {"Authorization", "Bearer " + std::string{full_token}}};
  what.body = make_body(random);
  chunk(random, what);
  const auto bytes = to_bytes(what);
  const auto cut = random.below(bytes.size());
  result.requests = 1;
  result.exchanges.push_back({{bytes.substr(0, cut), bytes.substr(cut)}, {}});
  return result;
}

farewell choose_farewell(dice& random) {
  const auto choice = random.below(200);
  return choice < 4    ? farewell::wait
         : choice < 14 ? farewell::reset
         : choice < 22 ? farewell::leave
                       : farewell::half_close;
}

// -- files --------------------------------------------------------------------

void expect(std::istream& in, std::string_view word) {
  std::string got;
  if (!(in >> got) || got != word)
    throw std::runtime_error{"no scenario: '" + std::string{word}
                             + "' is missing"};
}

std::size_t read_count(std::istream& in, std::string_view word,
                       std::size_t most) {
  expect(in, word);
  std::size_t result = 0;
  if (!(in >> result) || result > most || in.get() != '\n')
    throw std::runtime_error{"no scenario: no count of " + std::string{word}};
  return result;
}

exchange read_exchange(std::istream& in) {
  exchange result;
  for (auto left = read_count(in, "segments", max_count); left > 0; --left) {
    std::string bytes(read_count(in, "bytes", max_segment_bytes), '\0');
    if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
      throw std::runtime_error{"no scenario: a segment is cut"};
    result.segments.push_back(std::move(bytes));
  }
  for (auto left = read_count(in, "awaited", max_count); left > 0; --left) {
    std::string kind;
    in >> kind;
    result.awaited.push_back(kind == "head");
  }
  return result;
}

} // namespace

bool scenario::may_ask_head() const {
  std::string all;
  for (const auto& x : exchanges)
    for (const auto& segment : x.segments)
      all += segment;
  return all.find("HEAD") != std::string::npos;
}

scenario make_scenario(dice random, const std::vector<std::string>& corpus) {
  if (random.one_in(60))
    return unfinished(random);
  const auto kind = random.below(20);
  auto result = kind < 9    ? polite(random)
                : kind < 17 ? hostile(random, corpus)
                : kind < 19 ? raw(random, corpus)
                            : chunked(random);
  result.end = choose_farewell(random);
  return result;
}

void write_scenario(std::ostream& out, const scenario& what) {
  const auto name
    = std::find_if(farewells.begin(), farewells.end(), [&](const auto& x) {
        return x.second == what.end;
      })->first;
  out << "end " << name << "\nrequests " << what.requests << "\nexchanges "
      << what.exchanges.size() << '\n';
  for (const auto& x : what.exchanges) {
    out << "segments " << x.segments.size() << '\n';
    for (const auto& segment : x.segments)
      out << "bytes " << segment.size() << '\n' << segment << '\n';
    out << "awaited " << x.awaited.size() << '\n';
    for (const auto is_head : x.awaited)
      out << (is_head ? "head\n" : "any\n");
  }
}

scenario read_scenario(std::istream& in) {
  scenario result;
  expect(in, "end");
  std::string name;
  in >> name;
  const auto known
    = std::find_if(farewells.begin(), farewells.end(),
                   [&](const auto& x) { return x.first == name; });
  if (known == farewells.end())
    throw std::runtime_error{"no scenario: unknown end '" + name + "'"};
  result.end = known->second;
  result.requests = read_count(in, "requests", max_count);
  for (auto left = read_count(in, "exchanges", max_count); left > 0; --left)
    result.exchanges.push_back(read_exchange(in));
  return result;
}

} // namespace edgecap::fuzz

#include "http/router.hpp"

#include "http/request_framer.hpp"

#include <pistache/router.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace edgecap::http {

namespace {

constexpr std::array<method, 7> all_methods{
  method::get,   method::head, method::post,   method::put,
  method::patch, method::del,  method::options};

Pistache::Http::Method to_pistache(method value) {
  using pistache_method = Pistache::Http::Method;
  switch (value) {
  case method::get:
    return pistache_method::Get;
  case method::head:
    return pistache_method::Head;
  case method::post:
    return pistache_method::Post;
  case method::put:
    return pistache_method::Put;
  case method::patch:
    return pistache_method::Patch;
  case method::del:
    return pistache_method::Delete;
  case method::options:
    return pistache_method::Options;
  }
  throw std::logic_error("unknown method");
}

/// Splits at slashes; empty segments do not count.
std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> result;
  while (!path.empty()) {
    const auto end = path.find('/');
    if (end != 0)
      result.push_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return result;
}

bool matches(std::string_view pattern, std::string_view path) {
  const auto wanted = segments(pattern);
  const auto given = segments(path);
  return std::equal(wanted.begin(), wanted.end(), given.begin(), given.end(),
                    [](std::string_view want, std::string_view have) {
                      return want.front() == ':' || want == have;
                    });
}

/// The path with runs of slashes as one. Pistache does the same with a regular
/// expression that recurses once per slash and so overflows the stack when a
/// client sends enough of them.
std::string collapse_slashes(std::string_view path) {
  std::string result;
  result.reserve(path.size());
  for (const auto c : path)
    if (c != '/' || result.empty() || result.back() != '/')
      result += c;
  return result;
}

/// Pistache's writer wants a handler to ask for limits; it never gets a byte.
class mute_handler : public Pistache::Http::Handler {
public:
  HTTP_PROTOTYPE(mute_handler)

  void onRequest(const Pistache::Http::Request&,
                 Pistache::Http::ResponseWriter) override {}
};

/// A path that no request can have: the framer refuses control characters.
constexpr auto unreachable_path = "/\x01";

/// Most bytes of the request line that Pistache's parser is given.
constexpr std::size_t max_parser_bytes = 1u << 20;

/// Names of the `:name` segments, without the colon.
std::vector<std::string> parameter_names(std::string_view pattern) {
  std::vector<std::string> result;
  for (const auto segment : segments(pattern))
    if (segment.front() == ':')
      result.emplace_back(segment.substr(1));
  return result;
}

/// Has Pistache parse a request line. Headers and body stay outside: nothing
/// in the router reads them, and its typed headers refuse what clients may
/// send (such as an unknown Content-Type).
Pistache::Http::Request parse(method request_method, std::string_view path) {
  thread_local Pistache::Http::RequestParser parser(max_parser_bytes);
  parser.reset();
  std::string line(to_string(request_method));
  line += ' ';
  line += collapse_slashes(path);
  line += " HTTP/1.1\r\n\r\n";
  if (!parser.feed(line.data(), line.size())
      || parser.parse() != Pistache::Http::Private::State::Done)
    throw std::runtime_error("parse a request line: Pistache refuses it");
  return std::move(parser.request);
}

} // namespace

class router::impl {
public:
  explicit impl(std::vector<route> routes) : routes_(std::move(routes)) {
    for (const auto& entry : routes_) {
      add(entry.method, entry);
      if (entry.method == method::get && !has(method::head, entry.pattern))
        add(method::head, entry);
    }
    // Pistache adds a method to its table when it is first asked for it, which
    // would be a data race between the I/O threads.
    for (const auto each : all_methods)
      pistache_.addRoute(to_pistache(each), unreachable_path, nothing);
    // Keeps Pistache from writing its own 404 or 405.
    pistache_.addCustomHandler(nothing);
  }

  result find(method request_method, const std::string& path) {
    result found;
    if (path.front() == '/') {
      const auto request = parse(request_method, path);
      // Without a peer the writer could not send if it wanted to.
      Pistache::Http::ResponseWriter writer(request.version(), nullptr, &mute_,
                                            {});
      current_ = &found;
      pistache_.route(request, std::move(writer));
      current_ = nullptr;
    }
    if (found.route == nullptr)
      found.allowed = allowed(path);
    return found;
  }

private:
  using pistache_result = Pistache::Rest::Route::Result;

  static pistache_result nothing(const Pistache::Rest::Request&,
                                 const Pistache::Http::ResponseWriter&) {
    return pistache_result::Ok;
  }

  void add(method when, const route& entry) {
    pistache_.addRoute(to_pistache(when), entry.pattern,
                       [&entry, names = parameter_names(entry.pattern)](
                         const Pistache::Rest::Request& request,
                         const Pistache::Http::ResponseWriter&) {
                         current_->route = &entry;
                         for (const auto& name : names)
                           current_->params.emplace(
                             name, request.param(':' + name).as<std::string>());
                         return pistache_result::Ok;
                       });
  }

  bool has(method when, std::string_view pattern) const {
    return std::any_of(routes_.begin(), routes_.end(), [&](const route& entry) {
      return entry.method == when && entry.pattern == pattern;
    });
  }

  /// Methods of the routes whose pattern fits; `*` asks for all of them.
  std::string allowed(std::string_view path) const {
    std::string list;
    for (const auto each : all_methods) {
      const auto fits = [&](const route& entry) {
        return (entry.method == each
                || (entry.method == method::get && each == method::head))
               && (path == "*" || matches(entry.pattern, path));
      };
      if (std::any_of(routes_.begin(), routes_.end(), fits)) {
        list += list.empty() ? "" : ", ";
        list += to_string(each);
      }
    }
    return list;
  }

  /// Where the route that Pistache calls notes itself.
  static thread_local result* current_;

  const std::vector<route> routes_;
  mute_handler mute_;
  Pistache::Rest::Router pistache_;
};

thread_local router::result* router::impl::current_ = nullptr;

router::router(std::vector<route> routes)
  : impl_(std::make_unique<impl>(std::move(routes))) {}

router::~router() = default;

router::result router::find(method request_method,
                            const std::string& path) const {
  return impl_->find(request_method, path);
}

} // namespace edgecap::http

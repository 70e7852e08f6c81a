#include "http/router.hpp"

#include "http/request_framer.hpp"

#include <pistache/router.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace edgecap::http {

namespace {

constexpr std::array<method, 7> all_methods{
  method::get,   method::head, method::post,   method::put,
  method::patch, method::del,  method::options};

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

/// The path as Pistache's tree takes it: without slashes at its ends and
/// without runs of them. Pistache has a regular expression for that, which
/// costs more than the look-up, recurses once per slash, and so overflows the
/// stack when a client sends enough of them.
std::string sanitize(std::string_view path) {
  std::string result;
  result.reserve(path.size());
  for (const auto c : path)
    if (c != '/' || (!result.empty() && result.back() != '/'))
      result += c;
  if (!result.empty() && result.back() == '/')
    result.pop_back();
  return result;
}

/// What a route of Pistache's leads to. Nobody calls it: it says which of our
/// routes was found.
struct leads_to {
  const route* entry;

  Pistache::Rest::Route::Result
  operator()(const Pistache::Rest::Request&,
             const Pistache::Http::ResponseWriter&) const {
    return Pistache::Rest::Route::Result::Failure;
  }
};

} // namespace

class router::impl {
public:
  explicit impl(std::vector<route> routes) : routes_(std::move(routes)) {
    for (const auto& entry : routes_) {
      add(entry.method, entry);
      if (entry.method == method::get && !has(method::head, entry.pattern))
        add(method::head, entry);
    }
  }

  result find(method request_method, const std::string& path) const {
    result found;
    const auto sanitized = sanitize(path);
    if (path.front() == '/' && !sanitized.empty()) {
      const auto& tree = trees_.at(static_cast<std::size_t>(request_method));
      const auto [leaf, params, splats] = tree.findRoute(sanitized);
      if (leaf != nullptr) {
        found.route = leaf->handler_.target<leads_to>()->entry;
        for (const auto& param : params)
          found.params.emplace(param.name().substr(1), // without the colon
                               param.as<std::string>());
      }
    }
    if (found.route == nullptr)
      found.allowed = allowed(path);
    return found;
  }

private:
  void add(method when, const route& entry) {
    const auto pattern = sanitize(entry.pattern);
    // The tree looks into this copy for as long as it has the route.
    const std::shared_ptr<char> copy{new char[pattern.size()],
                                     std::default_delete<char[]>()};
    std::copy(pattern.begin(), pattern.end(), copy.get());
    trees_.at(static_cast<std::size_t>(when))
      .addRoute({copy.get(), pattern.size()}, leads_to{&entry}, copy);
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

  const std::vector<route> routes_;
  /// By method. Only looked at once they are made, by any number of threads.
  std::array<Pistache::Rest::SegmentTreeNode, all_methods.size()> trees_;
};

router::router(std::vector<route> routes)
  : impl_(std::make_unique<impl>(std::move(routes))) {}

router::~router() = default;

router::result router::find(method request_method,
                            const std::string& path) const {
  return impl_->find(request_method, path);
}

} // namespace edgecap::http

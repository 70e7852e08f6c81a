#include "config/validate.hpp"

#include "config/amount.hpp"
#include "config/secret_check.hpp"
#include "config/wording.hpp"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace edgecap::config {

namespace {

constexpr std::string_view lower_hex = "0123456789abcdef";
constexpr std::string_view letters_and_digits
  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Interfaces that a message names before it says "and N more".
constexpr std::size_t max_interfaces_named = 16;

/// Different salts of all secrets together: each request is hashed with each.
constexpr std::size_t max_salts = 16;

/// Largest batch that crosses the network: a larger one would hold up what
/// follows it.
constexpr std::uint32_t max_edge_batch_bytes = 1u << 20;

/// What everyone knows from the quick start.
constexpr std::string_view demo_secrets[]
  = {"edgecap-demo-token", "edgecap-demo-key"};

bool consists_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

std::string item_path(const std::string& list, std::size_t index) {
  return list + '[' + std::to_string(index) + ']';
}

// Line of what is at `path`, or of the nearest thing around it; 1 if nothing
// of it is written down, so that a default is at fault.
int line_of(const settings& x, std::string path) {
  for (;;) {
    if (auto found = x.lines.find(path); found != x.lines.end())
      return found->second;
    const auto end = path.find_last_of(".[");
    if (end == std::string::npos)
      return 1;
    path.resize(end);
  }
}

// Path of an interface's pattern, whichever way it was written.
std::string pattern_path(const settings& x, const system_settings& system,
                         std::size_t index) {
  const auto item
    = item_path("systems." + path_part(system.name) + ".interfaces", index);
  return x.lines.count(item + ".match") > 0 ? item + ".match" : item;
}

enum class reach { invalid, loopback, everyone };

// Whether `address` is what a server listens on to be reached at all of its
// own: no client has it.
bool is_unspecified(const std::string& address) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1)
    return v4.s_addr == INADDR_ANY;
  return ::inet_pton(AF_INET6, address.c_str(), &v6) == 1
         && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

reach reach_of(const std::string& address) {
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1)
    return ntohl(v4.s_addr) >> 24 == 127 ? reach::loopback : reach::everyone;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1)
    return reach::invalid;
  const bool is_loopback
    = IN6_IS_ADDR_LOOPBACK(&v6)
      || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  return is_loopback ? reach::loopback : reach::everyone;
}

class validator {
public:
  validator(const settings& x, const std::vector<fault>& known) : x_(x) {
    for (const auto& fault : known)
      faulty_.insert(fault.path);
  }

  std::vector<fault> run() {
    check_listen();
    check_trusted_proxies();
    check_node();
    check_fleet();
    check_accounts();
    check_systems();
    check_sizes();
    check_storage();
    return std::move(faults_);
  }

private:
  void add(const std::string& path, std::string message) {
    if (faulty_.insert(path).second)
      faults_.push_back({path, line_of(x_, path), std::move(message)});
  }

  bool is_sound(const std::string& path) const {
    return faulty_.count(path) == 0;
  }

  void check_listen() {
    const auto& address = x_.listen.address;
    const auto where = reach_of(address);
    if (where == reach::invalid)
      add("listen.address", quoted(address)
                              + " is not an IPv4 or IPv6 address; names, "
                                "brackets and zones are not supported");
    else if (where == reach::everyone && !x_.listen.behind_proxy
             && is_sound("listen.behind_proxy"))
      add("listen.address",
          quoted(address)
            + " is not a loopback address: edgecapd speaks no TLS; put a proxy "
              "in front of it that does and set behind_proxy: true");
  }

  void check_trusted_proxies() {
    std::map<std::string, std::string> seen;
    const auto& proxies = x_.listen.trusted_proxies;
    for (std::size_t i = 0; i < proxies.size(); ++i) {
      const auto path = item_path("listen.trusted_proxies", i);
      check_unique(proxies[i], path, seen);
      if (proxies[i].empty())
        continue;
      if (reach_of(proxies[i]) == reach::invalid)
        add(path, quoted(proxies[i])
                    + " is not an IPv4 or IPv6 address; names, networks, "
                      "ports and zones are not supported");
      else if (is_unspecified(proxies[i]))
        add(path, quoted(proxies[i])
                    + " is nobody's address: write the one that the proxy "
                      "connects from");
    }
  }

  void check_node() {
    check_node_name("node.name", x_.node.name);
    check_node_name("node.colo", x_.node.colo);
  }

  void check_node_name(const std::string& path, const std::string& value) {
    if (!consists_of(value, std::string{letters_and_digits}.append("._-")))
      add(path, quoted(value) + " may hold letters, digits, '.', '_' and '-'");
  }

  void check_fleet() {
    const auto& address = x_.fleet.address;
    const auto where = reach_of(address);
    if (where == reach::invalid)
      add("fleet.address", quoted(address)
                             + " is not an IPv4 or IPv6 address; names, "
                               "brackets and zones are not supported");
    else if (where == reach::everyone && !x_.fleet.behind_wall
             && is_sound("fleet.behind_wall"))
      add("fleet.address",
          quoted(address)
            + " is not a loopback address: whoever reaches it can bring "
              "edgecapd down; put a wall in front of it that lets members of "
              "the fleet pass alone, and set behind_wall: true");
    check_identity();
    if (x_.is == role::edge && !x_.accounts.empty())
      add("accounts", "an edge serves no API: its collector has the accounts");
    if (x_.is == role::edge && x_.capture.batch_bytes > max_edge_batch_bytes)
      add("capture.batch",
          format_amount(x_.capture.batch_bytes, amount_kind::bytes)
            + " is more than the "
            + format_amount(max_edge_batch_bytes, amount_kind::bytes)
            + " that an edge sends at once");
  }

  void check_identity() {
    const auto& fleet = x_.fleet;
    check_pair("fleet.certificate", fleet.certificate, "fleet.key", fleet.key);
    check_pair("fleet.key", fleet.key, "fleet.certificate", fleet.certificate);
    check_pair("fleet.revoked", fleet.revoked, "fleet.authority",
               fleet.authority);
    for (const auto& [path, value] :
         {std::pair{"fleet.certificate", &fleet.certificate},
          std::pair{"fleet.key", &fleet.key},
          std::pair{"fleet.authority", &fleet.authority},
          std::pair{"fleet.revoked", &fleet.revoked}})
      if (!value->empty())
        check_absolute(path, *value);
  }

  void check_pair(const std::string& path, const std::string& value,
                  const std::string& other, const std::string& other_value) {
    if (!value.empty() && other_value.empty() && is_sound(other))
      add(path, "is of no use without " + other);
  }

  void check_absolute(const std::string& path, const std::string& value) {
    if (value.front() != '/')
      add(path, quoted(value) + " is not an absolute path: begin it with '/'");
  }

  void check_accounts() {
    std::map<std::string, std::string> ids;
    for (std::size_t i = 0; i < x_.accounts.size(); ++i) {
      const auto& account = x_.accounts[i];
      const auto path = item_path("accounts", i);
      check_account_id(account.id, path + ".id", ids);
      std::map<std::string, std::string> names;
      for (std::size_t j = 0; j < account.credentials.size(); ++j)
        check_credential(account.credentials[j],
                         item_path(path + ".credentials", j), names);
    }
  }

  // Reports `value` if it is in `seen` already. Empty is not there.
  void check_unique(const std::string& value, const std::string& path,
                    std::map<std::string, std::string>& seen) {
    if (value.empty())
      return;
    auto [first, is_new] = seen.emplace(value, path);
    if (!is_new)
      add(path, quoted(value) + " is used twice: first at " + first->second
                  + " on line " + std::to_string(line_of(x_, first->second)));
  }

  void check_account_id(const std::string& id, const std::string& path,
                        std::map<std::string, std::string>& ids) {
    if (!id.empty() && (id.size() != 32 || !consists_of(id, lower_hex)))
      add(path, quoted(id) + " is not 32 lower-case hex characters");
    check_unique(id, path, ids);
  }

  void check_credential(const credential_settings& x, const std::string& path,
                        std::map<std::string, std::string>& names) {
    check_unique(x.name, path + ".name", names);
    const bool is_pair = !x.email.empty();
    if (is_pair
        && (x.email.find('@') == std::string::npos
            || x.email.find(' ') != std::string::npos))
      add(path + ".email", quoted(x.email) + " is not an e-mail address");
    if (x.secret_hash.empty())
      return;
    const auto hash_path = path + (is_pair ? ".key_hash" : ".token_hash");
    // The text may be the secret itself: it is not repeated.
    if (!is_secret_hash(x.secret_hash))
      add(hash_path, "is not a hash, which is 'sha256:', 32 hex characters of "
                     "salt, ':' and 64 of digest, in lower case; make one with "
                     "'edgecapd --hash-secret'");
    else if (reach_of(x_.listen.address) == reach::everyone)
      check_demo_secret(x.secret_hash, hash_path);
    check_salt(x.secret_hash, hash_path);
  }

  // The first salt too many is reported, not those after it.
  void check_salt(const std::string& hash, const std::string& path) {
    if (is_secret_hash(hash) && salts_.insert(salt_of(hash)).second
        && salts_.size() == max_salts + 1)
      add(path, "has another salt than " + std::to_string(max_salts)
                  + " before it, which are as many as there may be: hash the "
                    "secret with one of theirs, by 'edgecapd --hash-secret "
                    "--salt-of FILE'");
  }

  void check_demo_secret(const std::string& hash, const std::string& path) {
    for (auto secret : demo_secrets)
      if (is_hash_of(hash, secret))
        add(path, "is the hash of the demo secret " + quoted(secret)
                    + ", which everyone knows: allowed on a loopback address "
                      "only, not on "
                    + quoted(x_.listen.address)
                    + "; make your own with 'edgecapd --hash-secret'");
  }

  void check_systems() {
    const auto allowed = std::string{letters_and_digits}.append("_-");
    for (const auto& system : x_.systems) {
      if (system.name.empty() || system.name.size() > 64
          || !consists_of(system.name, allowed))
        add("systems." + path_part(system.name),
            "a system's name is 1 to 64 letters, digits, '_' and '-'");
      std::map<std::string, std::string> patterns;
      for (std::size_t i = 0; i < system.interfaces.size(); ++i)
        check_unique(system.interfaces[i].pattern, pattern_path(x_, system, i),
                     patterns);
    }
  }

  // Reports that `small` (at `path`) is below `large`, another key.
  void check_not_below(const std::string& path, std::uint64_t small,
                       const std::string& other, std::uint64_t large,
                       const char* why) {
    if (small < large && is_sound(path) && is_sound(other))
      add(path, format_amount(small, amount_kind::bytes) + " is less than "
                  + other + ", " + format_amount(large, amount_kind::bytes)
                  + ": " + why);
  }

  void check_sizes() {
    const auto& capture = x_.capture;
    check_not_below("capture.credit", capture.credit_bytes, "capture.batch",
                    capture.batch_bytes,
                    "a sampler could never send a whole batch");
    check_not_below("capture.ring", capture.ring_bytes, "capture.batch",
                    capture.batch_bytes, "a batch is read from the ring");
    check_not_below("http.max_header_size", x_.http.max_header_bytes,
                    "http.max_target_size", x_.http.max_target_bytes,
                    "the target is a part of the header");
  }

  void check_storage() {
    check_absolute("storage.directory", x_.storage.directory);
  }

  const settings& x_;
  std::set<std::string> faulty_;
  std::set<std::string> salts_;
  std::vector<fault> faults_;
};

// What is wrong with a pattern that fits none of `names`.
std::string missing_message(const std::string& pattern,
                            const std::vector<std::string_view>& names) {
  const bool is_glob = pattern.find_first_of("*?[") != std::string::npos;
  auto result = is_glob ? "no interface fits " + quoted(pattern)
                        : "there is no interface " + quoted(pattern);
  const auto guess = is_glob ? std::string_view{} : nearest(pattern, names);
  if (!guess.empty())
    result += ": did you mean " + quoted(guess) + '?';
  result += names.empty()
              ? "; the host has none"
              : "; the host has " + join(names, max_interfaces_named);
  return result;
}

} // namespace

std::vector<fault> validate(const settings& x,
                            const std::vector<fault>& known) {
  return validator{x, known}.run();
}

std::vector<fault> missing_interfaces(const settings& x,
                                      const std::vector<std::string>& names) {
  std::vector<fault> result;
  const std::vector<std::string_view> views{names.begin(), names.end()};
  for (const auto& system : x.systems) {
    for (std::size_t i = 0; i < system.interfaces.size(); ++i) {
      const auto& pattern = system.interfaces[i].pattern;
      const bool fits
        = std::any_of(names.begin(), names.end(), [&](const auto& name) {
            return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
          });
      if (pattern.empty() || fits)
        continue;
      const auto path = pattern_path(x, system, i);
      result.push_back(
        {path, line_of(x, path), missing_message(pattern, views)});
    }
  }
  return result;
}

} // namespace edgecap::config

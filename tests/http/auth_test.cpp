#include "http/auth.hpp"
#include "http/secret.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

using namespace edgecap::http;
using testing::HasSubstr;

namespace {

constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";
constexpr const char* other_account = "ffffffffffffffffffffffffffffffff";

using headers_type = std::unordered_map<std::string, std::string>;

authenticator make_authenticator() {
  return authenticator{{
    {account, "token", "", hash_secret("t0ken"), true, true, true},
    {account, "pair", "a@example.com", hash_secret("k3y"), true, false, false},
    {other_account, "other", "", hash_secret("0ther"), true, true, true},
    {account, "broken", "", "sha256:xyz", true, true, true},
  }};
}

/// Name of the credential that is found, or the code of the refusal.
std::string outcome_of(headers_type headers) {
  static const auto from = make_authenticator();
  request asked;
  asked.headers = std::move(headers);
  const auto found = from.authenticate(asked);
  if (found)
    return (*found)->name;
  EXPECT_EQ(found.error().status,
            found.error().code == code::missing_credentials ? 400 : 403);
  EXPECT_EQ(found.error().pointer, "");
  return std::to_string(found.error().code);
}

std::string refusal_text(headers_type headers) {
  const auto from = make_authenticator();
  request asked;
  asked.headers = std::move(headers);
  const auto found = from.authenticate(asked);
  return found ? "" : found.error().message;
}

const std::string missing = "9106";
const std::string wrong = "10000";

} // namespace

TEST(AuthTest, TakesABearerToken) {
  EXPECT_EQ(outcome_of({{"authorization", "Bearer t0ken"}}), "token");
  EXPECT_EQ(outcome_of({{"authorization", "bEARER t0ken"}}), "token");
  EXPECT_EQ(outcome_of({{"authorization", "Bearer   t0ken"}}), "token");
  EXPECT_EQ(outcome_of({{"authorization", "Bearer 0ther"}}), "other");
}

TEST(AuthTest, TakesAnEmailWithItsKey) {
  EXPECT_EQ(
    outcome_of({{"x-auth-email", "a@example.com"}, {"x-auth-key", "k3y"}}),
    "pair");
}

TEST(AuthTest, RefusesWrongCredentials) {
  for (const auto& headers : {
         headers_type{{"authorization", "Bearer t0ke"}},
         headers_type{{"authorization", "Bearer t0kenx"}},
         headers_type{{"authorization", "Bearer T0KEN"}},
         headers_type{{"authorization", "Bearer t0ken "}},
         headers_type{{"authorization", "Bearer sha256:xyz"}},
         // A secret of one kind is none of the other.
         headers_type{{"authorization", "Bearer k3y"}},
         headers_type{{"x-auth-email", "a@example.com"},
                      {"x-auth-key", "t0ken"}},
         headers_type{{"x-auth-email", "b@example.com"}, {"x-auth-key", "k3y"}},
         headers_type{{"x-auth-email", "A@example.com"}, {"x-auth-key", "k3y"}},
         headers_type{{"x-auth-email", "a@example.co"}, {"x-auth-key", "k3y"}},
         headers_type{{"x-auth-email", "a@example.com"}, {"x-auth-key", "k3"}},
       })
    EXPECT_EQ(outcome_of(headers), wrong) << ::testing::PrintToString(
      std::map<std::string, std::string>(headers.begin(), headers.end()));
}

TEST(AuthTest, SaysWhatIsMissing) {
  struct row {
    headers_type headers;
    const char* text;
  };
  for (const auto& x : {
         row{{}, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"},
         row{{{"authorization", "Basic eDp5"}}, "Missing bearer token"},
         row{{{"authorization", "Bearer"}}, "Missing bearer token"},
         row{{{"authorization", "Bearer "}}, "Missing bearer token"},
         row{{{"authorization", "Bearer    "}}, "Missing bearer token"},
         row{{{"authorization", "Bearert0ken"}}, "Missing bearer token"},
         row{{{"authorization", "t0ken"}}, "Missing bearer token"},
         row{{{"x-auth-email", "a@example.com"}}, "Missing X-Auth-Key"},
         row{{{"x-auth-key", "k3y"}}, "Missing X-Auth-Email"},
       }) {
    EXPECT_EQ(outcome_of(x.headers), missing) << x.text;
    EXPECT_THAT(refusal_text(x.headers), HasSubstr(x.text));
  }
  EXPECT_THAT(refusal_text({{"x-auth-key", "k3y"}}),
              testing::Not(HasSubstr("k3y")));
}

TEST(AuthTest, TakesEitherOfTwoAndTheTokenFirst) {
  const auto both = [](const char* token, const char* key) {
    return outcome_of({{"authorization", "Bearer " + std::string{token}},
                       {"x-auth-email", "a@example.com"},
                       {"x-auth-key", key}});
  };
  EXPECT_EQ(both("t0ken", "k3y"), "token");
  EXPECT_EQ(both("wrong", "k3y"), "pair");
  EXPECT_EQ(both("t0ken", "wrong"), "token");
  EXPECT_EQ(both("wrong", "wrong"), wrong);
  // Half a pair beside a token does no harm.
  EXPECT_EQ(
    outcome_of({{"authorization", "Bearer t0ken"}, {"x-auth-key", "k3y"}}),
    "token");
  EXPECT_EQ(outcome_of({{"authorization", "Basic eDp5"},
                        {"x-auth-email", "a@example.com"},
                        {"x-auth-key", "k3y"}}),
            "pair");
}

TEST(AuthTest, LooksAtSecretsOfBoundedLengthOnly) {
  const std::string longest(max_secret_bytes, 'x');
  const authenticator from{
    {{account, "longest", "", hash_secret(longest), true, true, true},
     {account, "longer", "", hash_secret(longest + 'x'), true, true, true},
     {account, "pair", "e", hash_secret(longest + 'x'), true, true, true}}};
  request asked;
  asked.headers["authorization"] = "Bearer " + longest;
  EXPECT_TRUE(from.authenticate(asked));
  asked.headers["authorization"] = "Bearer " + longest + 'x';
  EXPECT_FALSE(from.authenticate(asked));
  asked.headers = {{"x-auth-email", "e"}, {"x-auth-key", longest + 'x'}};
  EXPECT_FALSE(from.authenticate(asked));
}

// Work is counted, not timed. The hashes are all that depends on what is
// configured: neither a known address nor a secret of the other kind adds any.
TEST(AuthTest, WorksAsMuchForUnknownAsForWrongCredentials) {
  auto hashes = 0;
  std::vector<credential> many;
  const auto salt = hash_secret("s");
  for (auto i = 0; i < 500; ++i) {
    const auto n = std::to_string(i);
    many.push_back(
      {account, "t" + n, "", hash_secret("token" + n, salt), true, true, true});
    many.push_back({account, "k" + n, n + "@example.com",
                    hash_secret("key" + n, salt), true, true, true});
  }
  const authenticator from{
    many, [&hashes](const secret_salt& with, std::string_view secret) {
      ++hashes;
      return digest_secret(with, secret);
    }};
  const auto work_of = [&](headers_type headers, bool succeeds) {
    request asked;
    asked.headers = std::move(headers);
    hashes = 0;
    EXPECT_EQ(from.authenticate(asked).has_value(), succeeds);
    return hashes;
  };
  const auto token = [&](const char* secret, bool succeeds) {
    return work_of({{"authorization", "Bearer " + std::string{secret}}},
                   succeeds);
  };
  EXPECT_EQ(token("token0", true), 1);
  EXPECT_EQ(token("token499", true), 1);
  EXPECT_EQ(token("token49", true), 1);
  EXPECT_EQ(token("unknown", false), 1);
  EXPECT_EQ(token("key0", false), 1);
  const auto pair = [&](const char* email, const char* key, bool succeeds) {
    return work_of({{"x-auth-email", email}, {"x-auth-key", key}}, succeeds);
  };
  EXPECT_EQ(pair("0@example.com", "key0", true), 1);
  EXPECT_EQ(pair("0@example.com", "wrong", false), 1);
  EXPECT_EQ(pair("0@example.com", "key1", false), 1);
  EXPECT_EQ(pair("nobody@example.com", "key0", false), 1);
  EXPECT_EQ(pair("nobody@example.com", "wrong", false), 1);
}

TEST(AuthTest, RefusesEveryoneWithoutCredentials) {
  const authenticator from{{}};
  request asked;
  asked.headers["authorization"] = "Bearer t0ken";
  const auto found = from.authenticate(asked);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, code::bad_credentials);
}

TEST(AuthorizeTest, GoesByEachRightAlone) {
  for (auto bits = 0; bits < 8; ++bits) {
    credential who;
    who.account_id = account;
    who.read = (bits & 1) != 0;
    who.write = (bits & 2) != 0;
    who.download = (bits & 4) != 0;
    const std::pair<right, bool> rights[] = {{right::read, who.read},
                                             {right::write, who.write},
                                             {right::download, who.download}};
    for (const auto& [needed, given] : rights) {
      const auto refused = authorize(who, account, needed);
      EXPECT_EQ(!refused, given) << bits << ' ' << to_string(needed);
      if (refused) {
        EXPECT_EQ(refused->status, 403);
        EXPECT_EQ(refused->code, code::forbidden);
        EXPECT_THAT(refused->message,
                    HasSubstr("(" + std::string{to_string(needed)} + ")"));
      }
      // Elsewhere, whatever it may do at home: as if the secret were wrong.
      const auto elsewhere = authorize(who, other_account, needed);
      ASSERT_TRUE(elsewhere);
      EXPECT_EQ(elsewhere->status, 403);
      EXPECT_EQ(elsewhere->code, code::bad_credentials);
      EXPECT_EQ(elsewhere->message, bad_credentials_error().message);
    }
  }
}

TEST(AuthorizeTest, KnowsIds) {
  EXPECT_TRUE(is_api_id(account));
  EXPECT_TRUE(is_api_id("00000000000000000000000000000000"));
  for (const std::string text :
       {"", "0", "023e105f4ecef8ad9ca31a8372d0c35",
        "023e105f4ecef8ad9ca31a8372d0c3533", "023E105F4ECEF8AD9CA31A8372D0C353",
        "023e105f4ecef8ad9ca31a8372d0c35g", "023e105f4ecef8ad9ca31a8372d0c35/",
        "../../../../../../../../../../..", "023e105f4ecef8ad9ca31a8372d0c35 "})
    EXPECT_FALSE(is_api_id(text)) << text;
  EXPECT_FALSE(is_api_id(std::string(32, '\0')));
}

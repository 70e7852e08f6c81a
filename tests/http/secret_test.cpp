#include "http/secret.hpp"
#include "http/secret_index.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace edgecap::http;

namespace {

/// SHA-256 of the bytes 0 to 15 and "correct horse", as `openssl dgst` says.
const std::string known_hash
  = "sha256:000102030405060708090a0b0c0d0e0f:"
    "4ac7628e73d357ef4e766280d83143f038aca73ee89a1c8a6bf9b0acd607e0fa";

/// Whether `secret` is the one that was hashed.
bool fits(std::string_view secret, std::string_view hash) {
  secret_index index;
  index.add(hash, 7);
  const auto found = index.find(secret);
  return found == std::vector<std::size_t>{7};
}

} // namespace

TEST(SecretTest, KnowsAHashThatAnotherProgramMade) {
  EXPECT_TRUE(fits("correct horse", known_hash));
  EXPECT_FALSE(fits("correct horsf", known_hash));
  EXPECT_FALSE(fits("correct hors", known_hash));
  EXPECT_FALSE(fits("correct horse ", known_hash));
  EXPECT_FALSE(fits("", known_hash));
}

TEST(SecretTest, VerifiesWhatItHashed) {
  for (const auto& secret :
       {std::string{}, std::string{"s3cret"}, std::string("a\0b", 3),
        std::string{"\xff\xfe"}, std::string(100'000, 'x')}) {
    const auto hash = hash_secret(secret);
    EXPECT_TRUE(fits(secret, hash));
    EXPECT_FALSE(fits(secret + '\0', hash));
    EXPECT_EQ(hash.find(secret.empty() ? "\n" : secret), std::string::npos);
  }
}

TEST(SecretTest, DrawsAFreshSalt) {
  const auto one = hash_secret("s3cret");
  const auto two = hash_secret("s3cret");
  EXPECT_NE(one.substr(7, 32), two.substr(7, 32));
  EXPECT_NE(one.substr(40), two.substr(40));
  EXPECT_TRUE(fits("s3cret", two));
}

TEST(SecretTest, HashesLookAsTheConfigurationWantsThem) {
  const auto hash = hash_secret("s3cret");
  ASSERT_EQ(hash.size(), known_hash.size());
  EXPECT_EQ(hash.substr(0, 7), "sha256:");
  EXPECT_EQ(hash[39], ':');
  EXPECT_EQ(hash.find_first_not_of("0123456789abcdef", 40), std::string::npos);
}

TEST(SecretTest, NeverMatchesAMalformedHash) {
  const auto altered = [](std::size_t at, char to) {
    auto hash = known_hash;
    hash[at] = to;
    return hash;
  };
  for (const auto& hash : {
         std::string{},
         std::string{"correct horse"},
         std::string{"sha256:"},
         altered(0, 'S'),
         altered(5, '7'),
         altered(6, ';'),
         altered(39, '-'),
         altered(8, 'g'),
         altered(100, 'g'),
         altered(71, 'F'), // Upper case is another spelling.
         known_hash + "0",
         known_hash.substr(0, known_hash.size() - 1),
         " " + known_hash,
       })
    EXPECT_FALSE(fits("correct horse", hash)) << hash;
  // Each byte of salt and digest counts.
  for (std::size_t i = 7; i < known_hash.size(); ++i)
    if (i != 39) {
      EXPECT_FALSE(
        fits("correct horse", altered(i, known_hash[i] == '5' ? '6' : '5')))
        << i;
    }
}

TEST(SecretTest, TakesTheSaltOfAnotherHash) {
  const auto hash = hash_secret("s3cret", known_hash);
  EXPECT_EQ(hash.substr(0, 39), known_hash.substr(0, 39));
  EXPECT_TRUE(fits("s3cret", hash));
  EXPECT_NE(hash_secret("s3cret", "none").substr(7, 32),
            known_hash.substr(7, 32));
}

TEST(SecretIndexTest, FindsAllThatASecretFits) {
  secret_index index;
  index.add(hash_secret("a", known_hash), 0);
  index.add(hash_secret("b", known_hash), 1);
  index.add(hash_secret("a", known_hash), 2);
  index.add(hash_secret("a"), 3);
  EXPECT_EQ(index.find("a"), (std::vector<std::size_t>{0, 2, 3}));
  EXPECT_EQ(index.find("b"), std::vector<std::size_t>{1});
  EXPECT_TRUE(index.find("c").empty());
}

// Work is counted, not timed: one hash for each salt, whatever is asked.
TEST(SecretIndexTest, CostsOneHashForEachSaltWhateverIsAsked) {
  auto hashes = 0;
  secret_index index(
    [&hashes](const secret_salt& salt, std::string_view secret) {
      ++hashes;
      return digest_secret(salt, secret);
    });
  const auto other_salt = hash_secret("other");
  for (std::size_t i = 0; i < 1000; ++i)
    index.add(hash_secret("secret-" + std::to_string(i),
                          i % 2 == 0 ? known_hash : other_salt),
              i);
  for (const auto* secret : {"secret-0", "secret-999", "secret-99x", "", "x"}) {
    hashes = 0;
    index.find(secret);
    EXPECT_EQ(hashes, 2) << secret;
  }
}

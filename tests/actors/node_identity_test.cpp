#include "actors/node_identity.hpp"
#include "tests/support/temp_directory.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <string>

// Certificates as deploy/fleet/fleet-ca makes them, by that program.
namespace edgecap::test {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace {

class NodeIdentity : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    directory = new temp_directory;
    fleet_ca("init");
    fleet_ca("collector collector.example");
    fleet_ca("edge edge-1");
    fleet_ca("edge edge-2");
    fleet_ca("edge edge-3");
    fleet_ca("revoke edge-3");
  }

  static void TearDownTestSuite() {
    delete std::exchange(directory, nullptr);
  }

  static void fleet_ca(const std::string& arguments) {
    const auto command = "deploy/fleet/fleet-ca --directory " + ca().string()
                         + " " + arguments + " >/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  static fs::path ca() {
    return directory->path() / "ca";
  }

  /// The directory of a node's files: the one that there is.
  static fs::path files_of(const std::string& name,
                           const fs::path& authority = ca()) {
    for (const auto& x : fs::directory_iterator(authority / "nodes" / name))
      if (x.is_directory())
        return x.path();
    ADD_FAILURE() << "there are no files of " << name;
    return {};
  }

  static prove_identity prover_of(const std::string& name) {
    auto made
      = make_prover(files_of(name) / "node.crt", files_of(name) / "node.key");
    EXPECT_TRUE(made) << made.error();
    return made ? *made : prove_identity{};
  }

  static verify_identity verifier() {
    auto made = make_verifier(ca() / "ca.crt", ca() / "ca.crl");
    EXPECT_TRUE(made) << made.error();
    return made ? *made : verify_identity{};
  }

  static std::string fault_of(const node_proof& proof) {
    const auto name = verifier()(proof, "what to sign");
    EXPECT_FALSE(name) << *name;
    return name ? "" : name.error();
  }

  static inline temp_directory* directory = nullptr;
};

} // namespace

TEST_F(NodeIdentity, IsTheNameInTheCertificate) {
  const auto proof = prover_of("edge-1")("what to sign");
  const auto name = verifier()(proof, "what to sign");
  ASSERT_TRUE(name) << name.error();
  EXPECT_EQ(*name, "edge-1");
}

TEST_F(NodeIdentity, IsProvedForOneChallengeOnly) {
  const auto proof = prover_of("edge-1")("what was to sign before");
  EXPECT_EQ(fault_of(proof), "it has not signed with its certificate's key");
}

TEST_F(NodeIdentity, IsNotProvedBySomebodyElsesKey) {
  auto proof = prover_of("edge-1")("what to sign");
  proof.certificate = prover_of("edge-2")("").certificate;
  EXPECT_EQ(fault_of(proof), "it has not signed with its certificate's key");
}

TEST_F(NodeIdentity, IsNotThatOfARevokedCertificate) {
  EXPECT_THAT(fault_of(prover_of("edge-3")("what to sign")),
              HasSubstr("certificate revoked"));
  const auto trusting = make_verifier(ca() / "ca.crt", {});
  ASSERT_TRUE(trusting);
  EXPECT_TRUE((*trusting)(prover_of("edge-3")("what to sign"), "what to sign"));
}

TEST_F(NodeIdentity, IsNotThatOfACollector) {
  EXPECT_THAT(fault_of(prover_of("collector.example")("what to sign")),
              StartsWith("its certificate is not valid: "));
}

TEST_F(NodeIdentity, IsNotWhatAnotherAuthoritySays) {
  const auto others = directory->path() / "others";
  const auto command = "for x in init 'edge edge-1'; do deploy/fleet/fleet-ca "
                       "--directory "
                       + others.string() + " $x >/dev/null || exit; done";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto files = files_of("edge-1", others);
  const auto prove = make_prover(files / "node.crt", files / "node.key");
  ASSERT_TRUE(prove);
  EXPECT_THAT(fault_of((*prove)("what to sign")),
              StartsWith("its certificate is not valid: "));
}

TEST_F(NodeIdentity, IsNotMadeOfNonsense) {
  auto proof = prover_of("edge-1")("what to sign");
  EXPECT_EQ(fault_of({}), "it has no certificate");
  EXPECT_EQ(fault_of({"nonsense", proof.signature}),
            "its certificate cannot be read");
  for (const auto& signature :
       {std::string{}, std::string(70, '\0'), proof.signature + "x"})
    EXPECT_EQ(fault_of({proof.certificate, signature}),
              "it has not signed with its certificate's key");
}

TEST_F(NodeIdentity, SaysWhichFileIsAtFault) {
  const auto nowhere = directory->path() / "nowhere";
  const auto one = files_of("edge-1");
  const auto two = files_of("edge-2");
  EXPECT_THAT(make_prover(nowhere, one / "node.key").error(),
              StartsWith("read certificate " + nowhere.string()));
  EXPECT_THAT(make_prover(one / "node.crt", nowhere).error(),
              StartsWith("read key " + nowhere.string()));
  EXPECT_THAT(make_prover(one / "node.crt", two / "node.key").error(),
              HasSubstr(" is not the key of "));
  EXPECT_THAT(make_verifier(nowhere, {}).error(),
              StartsWith("read authority " + nowhere.string()));
  EXPECT_THAT(make_verifier(ca() / "ca.crt", nowhere).error(),
              StartsWith("read list of revoked certificates "));
}

TEST(Challenge, IsNeverTheSame) {
  const auto one = make_challenge();
  EXPECT_EQ(one.size(), 64u);
  EXPECT_NE(one, make_challenge());
}

} // namespace edgecap::test

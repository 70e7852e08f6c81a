#include "config/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace edgecap::config {
namespace {

using action = command_line::action;
using ::testing::HasSubstr;
using ::testing::StartsWith;

command_line parse(std::vector<const char*> args) {
  args.insert(args.begin(), "edgecapd");
  return parse_command_line(static_cast<int>(args.size()), args.data());
}

TEST(CommandLineTest, RunsAConfiguration) {
  for (auto& args : std::vector<std::vector<const char*>>{
         {"--config", "a.yaml"}, {"--config=a.yaml"}}) {
    auto result = parse(args);
    EXPECT_EQ(result.wanted, action::run);
    EXPECT_EQ(result.config_file, "a.yaml");
    EXPECT_EQ(result.text, "");
  }
}

TEST(CommandLineTest, ChecksAConfiguration) {
  auto result = parse({"--check", "--config", "a.yaml"});
  EXPECT_EQ(result.wanted, action::check);
  EXPECT_EQ(result.config_file, "a.yaml");
}

TEST(CommandLineTest, HashesWithAFreshOrAGivenSalt) {
  EXPECT_EQ(parse({"--hash-secret"}).salt_file, "");
  auto result = parse({"--hash-secret", "--salt-of", "a.yaml"});
  EXPECT_EQ(result.wanted, action::hash_secret);
  EXPECT_EQ(result.salt_file, "a.yaml");
}

TEST(CommandLineTest, KnowsTheOtherActions) {
  EXPECT_EQ(parse({"--hash-secret"}).wanted, action::hash_secret);
  EXPECT_EQ(parse({"--version"}).wanted, action::version);
}

TEST(CommandLineTest, HelpNamesEveryOptionAndExitCode) {
  auto result = parse({"--help"});
  EXPECT_EQ(result.wanted, action::help);
  for (auto word :
       {"edgecapd", "--config FILE", "--check", "--hash-secret",
        "--salt-of FILE", "--version", "--help", "0 done", "1 the", "2 the"})
    EXPECT_THAT(result.text, HasSubstr(word));
  EXPECT_EQ(result.text.back(), '\n');
}

TEST(CommandLineTest, RefusesWhatMakesNoSense) {
  for (auto& args : std::vector<std::vector<const char*>>{
         {},
         {"--config"},
         {"--config", ""},
         {"--config", "a.yaml", "--config", "b.yaml"},
         {"--check"},
         {"--check", "--hash-secret"},
         {"--salt-of", "a.yaml"},
         {"--salt-of", "a.yaml", "--config", "a.yaml"},
         {"--config", "a.yaml", "--hash-secret"},
         {"--config", "a.yaml", "extra"},
         {"--frobnicate"},
         {"--config", "a.yaml", "--check=maybe"}}) {
    auto result = parse(args);
    EXPECT_EQ(result.wanted, action::usage_error)
      << ::testing::PrintToString(args);
    EXPECT_THAT(result.text, StartsWith("edgecapd: "));
    EXPECT_THAT(result.text, HasSubstr("\nTry 'edgecapd --help'.\n"));
  }
}

TEST(CommandLineTest, SaysWhatIsMissing) {
  EXPECT_EQ(parse({}).text,
            "edgecapd: --config FILE is required\nTry 'edgecapd --help'.\n");
}

TEST(CommandLineTest, SurvivesAnEmptyArgumentVector) {
  const char* const none[] = {nullptr};
  EXPECT_EQ(parse_command_line(0, none).wanted, action::usage_error);
}

} // namespace
} // namespace edgecap::config

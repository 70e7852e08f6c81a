#include "config/command_line.hpp"

#include <CLI/CLI.hpp>

#include <exception>

namespace edgecap::config {

namespace {

using action = command_line::action;

command_line usage_error(const std::string& what) {
  command_line result;
  result.text = "edgecapd: " + what + "\nTry 'edgecapd --help'.\n";
  return result;
}

command_line parse(int argc, const char* const* argv) {
  command_line result;
  bool check = false;
  bool hash_secret = false;
  bool version = false;
  CLI::App app{"Asynchronous packet-capture job engine", "edgecapd"};
  auto config = app
                  .add_option("--config", result.config_file,
                              "Serve with this configuration")
                  ->type_name("FILE");
  app.add_flag("--check", check, "Check the configuration and end")
    ->needs(config);
  auto hash
    = app
        .add_flag("--hash-secret", hash_secret,
                  "Read a secret from standard input, print its hash, and end")
        ->excludes(config);
  app
    .add_option("--salt-of", result.salt_file,
                "Hash with a salt that this configuration has already")
    ->type_name("FILE")
    ->needs(hash);
  app.add_flag("--version", version, "Print the version and end");
  app.set_help_flag("--help", "Print this help and end");
  app.footer("Exit codes: 0 done, 1 the configuration has faults, 2 the "
             "command line is wrong.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.wanted = action::help;
    result.text = app.help();
    return result;
  } catch (const CLI::ParseError& x) {
    return usage_error(x.what());
  }
  if (version)
    result.wanted = action::version;
  else if (hash_secret)
    result.wanted = action::hash_secret;
  else if (result.config_file.empty())
    return usage_error("--config FILE is required");
  else
    result.wanted = check ? action::check : action::run;
  return result;
}

} // namespace

command_line parse_command_line(int argc, const char* const* argv) {
  try {
    return parse(argc, argv);
  } catch (const std::exception& x) {
    return usage_error(x.what());
  }
}

} // namespace edgecap::config

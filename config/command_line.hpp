#pragma once

#include <string>

namespace edgecap::config {

/// How edgecapd exits when it does not run.
enum exit_code : int {
  exit_ok = 0,
  exit_configuration = 1, ///< The configuration has faults.
  exit_usage = 2,         ///< The command line is wrong.
};

/// What the command line asks for.
struct command_line {
  enum class action {
    run,         ///< Serve, with `config_file`.
    check,       ///< Load `config_file`, report its faults, and end.
    hash_secret, ///< Read a secret from standard input, print its hash.
    version,     ///< Print the version.
    help,        ///< Print `text` to standard output, exit with `exit_ok`.
    usage_error, ///< Print `text` to standard error, exit with `exit_usage`.
  };

  action wanted = action::usage_error;
  std::string config_file; ///< Not empty for `run` and `check`.
  std::string salt_file;   ///< For `hash_secret`: whose salt to take, or empty.
  std::string text;        ///< Ends with a newline, or is empty.
};

/// Understands `edgecapd --config FILE [--check] |
/// --hash-secret [--salt-of FILE] | --version | --help`. Never throws.
command_line parse_command_line(int argc, const char* const* argv);

} // namespace edgecap::config

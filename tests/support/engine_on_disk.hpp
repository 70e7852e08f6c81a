#pragma once

#include "actors/storage.hpp"
#include "capture/savefile.hpp"
#include "tests/support/engine_fixture.hpp"
#include "tests/support/temp_directory.hpp"

#include <string>

namespace edgecap::test {

/// The engine over the real storage actor and real files, still on simulated
/// time; a second engine on the same directory stands for the next process.
class engine_on_disk : public engine_fixture {
protected:
  engine_on_disk();

  storage_actor spawn_storage() override;

  /// Ends every actor without a word, as SIGKILL does.
  void crash();

  void crash_and_restart();

  /// What a download gets.
  capture::run_summary downloaded(const std::string& id);

  temp_directory directory;
  storage_options storage_opts;
};

} // namespace edgecap::test

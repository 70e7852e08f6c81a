#include "tests/support/engine_on_disk.hpp"

#include "capture/posix_file_system.hpp"

namespace edgecap::test {

engine_on_disk::engine_on_disk() {
  storage_opts.directory = directory.path();
  storage_opts.min_free_bytes = 0;
  storage_opts.wall_clock = [this] { return now(); };
}

storage_actor engine_on_disk::spawn_storage() {
  return spawn(edgecap::storage, storage_opts);
}

void engine_on_disk::crash() {
  for (const auto& root : {caf::actor_cast<caf::actor>(registry),
                           caf::actor_cast<caf::actor>(local),
                           caf::actor_cast<caf::actor>(limiter),
                           caf::actor_cast<caf::actor>(storage)}) {
    self->send_exit(root, caf::exit_reason::kill);
    run();
  }
}

void engine_on_disk::crash_and_restart() {
  crash();
  start_engine();
}

capture::run_summary engine_on_disk::downloaded(const std::string& id) {
  const auto file
    = ask<savefile>(registry, atom::download_v, std::string{account}, id,
                    savefile_format::pcap);
  EXPECT_TRUE(file) << failure_of(file).text;
  if (!file)
    return {};
  capture::posix_file_system files{capture::symbolic_links::followed};
  const auto path = "/proc/self/fd/" + std::to_string(*file->descriptor);
  const auto summary = capture::scan_run(files, path);
  EXPECT_TRUE(summary) << summary.error().message;
  EXPECT_FALSE(summary->torn);
  EXPECT_EQ(summary->whole_bytes, file->size_bytes);
  return *summary;
}

} // namespace edgecap::test

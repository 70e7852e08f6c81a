#include "actors/renewal.hpp"

#include "actors/log_event.hpp"

#include <utility>

namespace edgecap {

namespace {

namespace fs = std::filesystem;

/// What a job says that was open.
constexpr const char* packets_lost
  = "the storage directory was removed or replaced while the capture was not "
    "finished: its packets are lost";

/// Puts a copy of the open index in the place of its lost file.
stored<void> put_back(storage_parts& parts, const storage_options& options,
                      const fs::path& file) {
  auto& disk = *options.files;
  auto copy = file;
  copy += ".new";
  // Of an earlier attempt; the copy fails if it stays.
  static_cast<void>(disk.remove(copy));
  if (auto copied = parts.index->copy_to(copy, disk, options.index_vfs);
      !copied)
    return copied;
  // They belong to the file that is gone.
  for (const auto* beside : {"-wal", "-shm"})
    static_cast<void>(disk.remove(fs::path{file} += beside));
  if (const auto named = disk.rename(copy, file); !named)
    return store_failure(store_errc::unavailable,
                         "rename " + copy.string() + " to " + file.string()
                           + ": "
                           + std::generic_category().message(named.error()));
  if (const auto synced = disk.sync_directory(options.directory); !synced)
    return store_failure(store_errc::unavailable,
                         "sync directory " + options.directory.string() + ": "
                           + std::generic_category().message(synced.error()));
  return {};
}

stored<void> renew_index(storage_parts& parts, const storage_options& options,
                         const directory_loss& loss) {
  if (!loss.index)
    return {};
  const auto file = options.directory / "index.sqlite";
  if (auto back = put_back(parts, options, file); !back)
    return back;
  // It is as whole as the one that it was copied from.
  auto opened = job_index::open(file, *options.files, options.index_vfs,
                                index_checking::elsewhere);
  if (!opened)
    return tl::unexpected<store_error>{opened.error()};
  // The old one leaves the files alone that stand where its own were: SQLite
  // looks whether its file has moved.
  parts.index = std::move(*opened);
  return {};
}

/// Ends the jobs whose runs are gone.
stored<void> end_open_jobs(storage_parts& parts, renewal_report& report) {
  const auto open = parts.index->unfinished();
  if (!open)
    return tl::unexpected<store_error>{open.error()};
  for (const auto& id : *open) {
    auto record = parts.index->find(id);
    if (!record)
      return tl::unexpected<store_error>{record.error()};
    if (!*record)
      continue;
    auto failed = commit_storage_error(parts, std::move(**record),
                                       {store_errc::unavailable, packets_lost});
    if (!failed)
      return tl::unexpected<store_error>{failed.error()};
    report.failed.push_back(id);
  }
  return {};
}

} // namespace

stored<void> replace_store(storage_parts& parts,
                           const storage_options& options) {
  // What was put in our place may be what we hold the lock of.
  if (parts.store && parts.store->holds_lock())
    parts.store.reset();
  auto opened = savefile_store::open(
    {options.directory, options.max_open_runs, options.files});
  if (!opened)
    return tl::unexpected<store_error>{opened.error()};
  parts.store = std::move(*opened);
  parts.reserve = std::make_unique<space_reserve>(
    *options.files, options.directory / "reserve", options.reserve_bytes);
  return {};
}

stored<renewal_report> renew(storage_parts& parts,
                             const storage_options& options,
                             const directory_loss& loss) {
  renewal_report report;
  auto done = parts.store->make_directories();
  if (done)
    done = renew_index(parts, options, loss);
  if (done && (loss.lock || loss.runs))
    done = end_open_jobs(parts, report);
  if (!done)
    return tl::unexpected<store_error>{done.error()};
  return report;
}

} // namespace edgecap

#include "actors/inspection.hpp"

#include "actors/log_event.hpp"
#include "actors/recovery.hpp"

#include <algorithm>
#include <optional>

namespace edgecap {

namespace {

/// Whether nobody needs what was found of a job.
/// @param phase Of the job; nothing if there is none.
bool is_stray(const stored_entry& x, std::optional<job_phase> phase) {
  if (phase && !is_terminal(*phase))
    return false;
  return phase != job_phase::succeeded
         || x.what != stored_entry::kind::savefile;
}

} // namespace

inspection::inspection(std::size_t names)
  : slice_names_(names), slice_jobs_(std::max<std::size_t>(names / 2, 1)) {}

stored<void> inspection::step(storage_parts& parts) {
  return compared_ ? walk(parts) : compare(parts);
}

stored<void> inspection::compare(storage_parts& parts) {
  const auto rows = parts.index->savefiles_behind(last_id_, slice_jobs_);
  if (!rows)
    return tl::unexpected<store_error>{rows.error()};
  compared_ = rows->size() < slice_jobs_;
  for (const auto& x : *rows) {
    last_id_ = x.id;
    if (x.savefile_bytes == 0)
      continue; // It has not succeeded.
    ++found_.jobs;
    const auto state = verify(parts, x);
    if (!state) {
      ++found_.unknown;
      log_event{"storage-job-not-verified"}
        .with("job", x.id)
        .with("error", state.error().message)
        .error();
      continue;
    }
    if (*state == savefile_state::whole)
      continue;
    found_.lost += *state == savefile_state::lost ? 1 : 0;
    changed_.push_back(x.id);
  }
  return {};
}

stored<void> inspection::walk(storage_parts& parts) {
  if (!files_)
    files_ = parts.store->walk();
  const auto entries = files_->next(slice_names_);
  auto failed = [&](const store_error& why) {
    files_.reset();
    return tl::unexpected<store_error>{why};
  };
  if (!entries)
    return failed(entries.error());
  for (const auto& x : *entries) {
    const auto phase = parts.index->phase_of(x.id);
    if (!phase)
      return failed(phase.error());
    if (!is_stray(x, *phase))
      continue;
    drop_stray(parts, x);
    ++found_.strays;
  }
  return {};
}

} // namespace edgecap

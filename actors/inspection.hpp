#pragma once

#include "actors/savefile_store.hpp"
#include "actors/seal.hpp"
#include "actors/store_error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace edgecap {

/// Brings what jobs that have ended have on disk, and their rows, to agree,
/// while all else goes on: in slices, for it takes the longer the more jobs
/// there are. First each job is compared with its files, in the order of ids;
/// then all files are looked at, and those that no row speaks for are removed.
/// Each is judged in the moment in which it is dealt with, so that whatever
/// happens between two slices is as good as before them. Jobs that have not
/// ended keep all that they have.
class inspection {
public:
  /// What it has found so far.
  struct report {
    std::uint64_t jobs = 0;    ///< That were compared with their files.
    std::uint64_t lost = 0;    ///< Whose savefile was not whole: `failed` now.
    std::uint64_t unknown = 0; ///< Whose files could not be looked at.
    std::uint64_t strays = 0;  ///< Files and directories that were removed.
  };

  /// @param names Of files that a slice looks at, or half as many jobs; > 0.
  explicit inspection(std::size_t names);

  /// Does the next slice. If it fails it may be called again, and does then
  /// what is left, or a part of it again.
  stored<void> step(storage_parts& parts);

  bool done() const {
    return compared_ && files_ && files_->done();
  }

  const report& found() const {
    return found_;
  }

  /// Hands over the ids of jobs whose records were changed.
  std::vector<std::string> take_changed() {
    return std::exchange(changed_, {});
  }

private:
  stored<void> compare(storage_parts& parts);
  stored<void> walk(storage_parts& parts);

  std::size_t slice_names_;
  std::size_t slice_jobs_;
  bool compared_ = false; ///< All jobs are.
  std::string last_id_;   ///< Of the jobs that were compared.
  std::optional<stored_walk> files_;
  report found_;
  std::vector<std::string> changed_;
};

} // namespace edgecap

#pragma once

#include "capture/file_system.hpp"

#include <array>
#include <filesystem>
#include <string>

namespace edgecap {

/// What of the storage directory is not what was opened any more.
struct directory_loss {
  bool lock = false;      ///< And with it, the directory is not ours.
  bool index = false;     ///< Or what SQLite keeps beside it.
  bool runs = false;      ///< The directory that they are in.
  bool savefiles = false; ///< The same.
  std::string text; ///< "…/lock is missing, …"; empty if all is there.

  explicit operator bool() const {
    return !text.empty();
  }
};

/// Which files and directories were opened. Open descriptors outlive a removal,
/// and what is written to them then is gone with them: nobody would notice.
class directory_identity {
public:
  directory_identity() = default;

  /// Looks at what stands there now.
  directory_identity(capture::file_system& files, std::filesystem::path root);

  /// Compares it with what stands there now.
  directory_loss compare() const;

  /// Says why the directory must not be made anew: another file system would
  /// take what belongs on this one, as when it is only not mounted. Empty if it
  /// may.
  std::string obstacle() const;

private:
  /// Which file something is.
  struct mark {
    std::uint64_t device = 0;
    std::uint64_t number = 0;
    bool there = false;
    bool known = true; ///< False if it could not be looked at.
  };

  mark mark_of(const std::filesystem::path& path) const;

  capture::file_system* files_ = nullptr;
  std::filesystem::path root_;
  mark root_mark_;
  std::array<mark, 6> marks_; ///< In the order of the names.
};

} // namespace edgecap

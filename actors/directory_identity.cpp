#include "actors/directory_identity.hpp"

#include <cerrno>
#include <utility>

namespace edgecap {

namespace {

/// A name below the root, and which loss its own is.
struct part {
  const char* name;
  bool directory_loss::*loss;
};

constexpr std::array<part, 6> parts{{
  {"lock", &directory_loss::lock},
  {"index.sqlite", &directory_loss::index},
  {"index.sqlite-wal", &directory_loss::index},
  {"index.sqlite-shm", &directory_loss::index},
  {"jobs", &directory_loss::runs},
  {"savefiles", &directory_loss::savefiles},
}};

} // namespace

directory_identity::directory_identity(capture::file_system& files,
                                       std::filesystem::path root)
  : files_(&files), root_(std::move(root)), root_mark_(mark_of(root_)) {
  for (std::size_t i = 0; i < parts.size(); ++i)
    marks_[i] = mark_of(root_ / parts[i].name);
}

directory_loss directory_identity::compare() const {
  directory_loss result;
  if (files_ == nullptr)
    return result;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    // What is made when it is needed is no loss, nor is what has no name in
    // the file systems of simulations.
    if (!marks_[i].there)
      continue;
    const auto path = root_ / parts[i].name;
    const auto now = mark_of(path);
    // A failing disk is no loss: whoever reads or writes will see.
    if (!now.known
        || (now.there && now.device == marks_[i].device
            && now.number == marks_[i].number))
      continue;
    result.*(parts[i].loss) = true;
    result.text += (result.text.empty() ? "" : ", ") + path.string()
                   + (now.there ? " is another one" : " is missing");
  }
  return result;
}

std::string directory_identity::obstacle() const {
  auto place = root_;
  auto found = mark_of(place);
  while (!found.there && found.known && place.has_relative_path()) {
    place = place.parent_path();
    found = mark_of(place);
  }
  if (found.there && found.device == root_mark_.device)
    return {};
  return place.string()
         + (found.there ? " is on another file system than "
                        : " cannot be looked at, and so not ")
         + root_.string() + " was";
}

directory_identity::mark
directory_identity::mark_of(const std::filesystem::path& path) const {
  const auto found = files_->status(path);
  if (found)
    return {found->device, found->number, true, true};
  const auto missing = found.error() == ENOENT || found.error() == ENOTDIR;
  return {0, 0, false, missing};
}

} // namespace edgecap

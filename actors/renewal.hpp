#pragma once

#include "actors/directory_identity.hpp"
#include "actors/seal.hpp"
#include "actors/storage.hpp"

#include <string>
#include <vector>

// The storage directory was removed or replaced while it was in use.
namespace edgecap {

/// What became of jobs when the directory was made anew.
struct renewal_report {
  std::vector<std::string> failed; ///< Open ones, whose packets are gone.
};

/// Makes anew what is lost of the directory. A lost index is written from the
/// one that is open: it lives on without a name. Jobs that were open have
/// failed if their runs are lost; they go on otherwise. Whose savefiles are
/// lost is for `inspection` to find out. Fails if the directory cannot be made,
/// and may be called again then; `parts` may have no store in between. Nothing
/// may be under way with the parts.
stored<renewal_report> renew(storage_parts& parts,
                             const storage_options& options,
                             const directory_loss& loss);

} // namespace edgecap

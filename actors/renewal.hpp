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

/// Makes the directory anew whose lock is lost, and opens its store and its
/// reserve in place of those that there are. If it fails `parts` has what it
/// had; or no store, if the lock had only been moved there. Nothing may be
/// under way with the parts.
stored<void> replace_store(storage_parts& parts,
                           const storage_options& options);

/// Makes anew what else is lost. A lost index is written from the one that is
/// open: it lives on without a name. Jobs that were open have failed if their
/// runs are lost; they go on otherwise. Whose savefiles are lost is for
/// `inspection` to find out. May be called again if it fails. `parts` have a
/// store, and nothing may be under way with them.
stored<renewal_report> renew(storage_parts& parts,
                             const storage_options& options,
                             const directory_loss& loss);

} // namespace edgecap

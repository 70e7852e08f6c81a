#pragma once

#include "actors/node_types.hpp"

#include <tl/expected.hpp>

#include <filesystem>
#include <functional>
#include <string>

// That a node is the one whose name it gives. To CAF all that comes out of the
// wall is alike, so a node signs what its collector has made up, by the key of
// the certificate that names it.
namespace edgecap {

/// Proves to whoever has made `challenge` up who the node is.
using prove_identity = std::function<node_proof(const std::string& challenge)>;

/// Returns the name that a proof is good for, or what is wrong with it.
using verify_identity = std::function<tl::expected<std::string, std::string>(
  const node_proof& proof, const std::string& challenge)>;

/// 256 random bits, as text, that nobody has been asked to sign before.
std::string make_challenge();

/// What signs with a node's key.
/// @param certificate PEM: the node's own first.
/// @param key PEM, without a passphrase.
/// @returns what is wrong with the files, if they cannot be used together.
tl::expected<prove_identity, std::string>
make_prover(const std::filesystem::path& certificate,
            const std::filesystem::path& key);

/// What judges proofs: the certificate has to be of the authority, for clients,
/// valid now and not revoked, and the signature of its key. The name is the
/// subject's common name. Reads the files each time, so that a new list of
/// revoked certificates is in force at once.
/// @param authority PEM: certificates of one or more authorities.
/// @param revoked PEM: their lists; empty for none.
/// @returns what is wrong with the files, if they cannot be used.
tl::expected<verify_identity, std::string>
make_verifier(const std::filesystem::path& authority,
              const std::filesystem::path& revoked);

} // namespace edgecap

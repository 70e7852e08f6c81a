#include "actors/node_identity.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

namespace edgecap {

namespace {

namespace fs = std::filesystem;

/// What is signed begins so: a key that serves for TLS as well signs nothing
/// there that could be taken for this.
constexpr const char* purpose = "edgecap node hello\n";

struct deleter {
  void operator()(BIO* x) const {
    BIO_free_all(x);
  }
  void operator()(X509* x) const {
    X509_free(x);
  }
  void operator()(X509_STORE* x) const {
    X509_STORE_free(x);
  }
  void operator()(X509_STORE_CTX* x) const {
    X509_STORE_CTX_free(x);
  }
  void operator()(EVP_PKEY* x) const {
    EVP_PKEY_free(x);
  }
  void operator()(EVP_MD_CTX* x) const {
    EVP_MD_CTX_free(x);
  }
};

template <class T>
using owned = std::unique_ptr<T, deleter>;

/// What OpenSSL says went wrong last; forgets it.
std::string last_error() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0)
    return "unknown error";
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

tl::unexpected<std::string> failed(const std::string& attempt) {
  return tl::unexpected<std::string>{attempt + ": " + last_error()};
}

/// EdDSA has its own; all others take this one.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  const auto is
    = [key](const char* name) { return EVP_PKEY_is_a(key, name) == 1; };
  return is("ED25519") || is("ED448") ? nullptr : EVP_sha256();
}

const unsigned char* bytes_of(const std::string& x) {
  return reinterpret_cast<const unsigned char*>(x.data());
}

owned<X509> parse_certificate(const std::string& pem) {
  owned<BIO> in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  return owned<X509>{in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)
                        : nullptr};
}

std::string to_pem(X509* certificate) {
  owned<BIO> out{BIO_new(BIO_s_mem())};
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1)
    return {};
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

/// Empty if it fails.
std::string sign(EVP_PKEY* key, const std::string& text) {
  owned<EVP_MD_CTX> context{EVP_MD_CTX_new()};
  std::size_t size = 0;
  if (!context
      || EVP_DigestSignInit(context.get(), nullptr, digest_for(key), nullptr,
                            key)
           != 1
      || EVP_DigestSign(context.get(), nullptr, &size, bytes_of(text),
                        text.size())
           != 1)
    return {};
  std::string result(size, '\0');
  if (EVP_DigestSign(context.get(),
                     reinterpret_cast<unsigned char*>(result.data()), &size,
                     bytes_of(text), text.size())
      != 1)
    return {};
  result.resize(size);
  return result;
}

bool is_signature(EVP_PKEY* key, const std::string& text,
                  const std::string& signature) {
  owned<EVP_MD_CTX> context{EVP_MD_CTX_new()};
  return context
         && EVP_DigestVerifyInit(context.get(), nullptr, digest_for(key),
                                 nullptr, key)
              == 1
         && EVP_DigestVerify(context.get(), bytes_of(signature),
                             signature.size(), bytes_of(text), text.size())
              == 1;
}

/// The authorities, and what they have revoked.
tl::expected<owned<X509_STORE>, std::string>
read_authority(const fs::path& authority, const fs::path& revoked) {
  owned<X509_STORE> store{X509_STORE_new()};
  if (!store || X509_STORE_load_file(store.get(), authority.c_str()) != 1)
    return failed("read authority " + authority.string());
  if (!revoked.empty()) {
    auto* lookup = X509_STORE_add_lookup(store.get(), X509_LOOKUP_file());
    if (lookup == nullptr
        || X509_load_crl_file(lookup, revoked.c_str(), X509_FILETYPE_PEM) < 1)
      return failed("read list of revoked certificates " + revoked.string());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK);
  }
  return store;
}

/// Why a certificate is none of the fleet's; empty if it is.
std::string fault_of(X509_STORE* store, X509* certificate) {
  owned<X509_STORE_CTX> context{X509_STORE_CTX_new()};
  if (!context
      || X509_STORE_CTX_init(context.get(), store, certificate, nullptr) != 1
      || X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT)
           != 1)
    return last_error();
  if (X509_verify_cert(context.get()) == 1)
    return {};
  ERR_clear_error();
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

std::string common_name(const X509* certificate) {
  std::array<char, 256> text{};
  const auto size = X509_NAME_get_text_by_NID(
    X509_get_subject_name(certificate), NID_commonName, text.data(),
    static_cast<int>(text.size()));
  return size > 0 ? std::string{text.data(), static_cast<std::size_t>(size)}
                  : std::string{};
}

tl::expected<std::string, std::string> verify(const fs::path& authority,
                                              const fs::path& revoked,
                                              const node_proof& proof,
                                              const std::string& challenge) {
  const auto bad = [](std::string why) {
    return tl::unexpected<std::string>{std::move(why)};
  };
  if (proof.certificate.empty())
    return bad("it has no certificate");
  const auto store = read_authority(authority, revoked);
  if (!store)
    return bad(store.error());
  const auto certificate = parse_certificate(proof.certificate);
  if (!certificate) {
    ERR_clear_error();
    return bad("its certificate cannot be read");
  }
  if (auto fault = fault_of(store->get(), certificate.get()); !fault.empty())
    return bad("its certificate is not valid: " + fault);
  const owned<EVP_PKEY> key{X509_get_pubkey(certificate.get())};
  const auto good
    = key && is_signature(key.get(), purpose + challenge, proof.signature);
  ERR_clear_error();
  if (!good)
    return bad("it has not signed with its certificate's key");
  return common_name(certificate.get());
}

} // namespace

std::string make_challenge() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the system's random generator failed");
  constexpr const char* digits = "0123456789abcdef";
  std::string result;
  for (const auto byte : bytes) {
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

tl::expected<prove_identity, std::string>
make_prover(const fs::path& file, const fs::path& key_file) {
  owned<BIO> in{BIO_new_file(file.c_str(), "r")};
  const owned<X509> certificate{
    in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr};
  if (!certificate)
    return failed("read certificate " + file.string());
  in.reset(BIO_new_file(key_file.c_str(), "r"));
  // Nobody is there to ask for a passphrase.
  const auto no_passphrase = [](char*, int, int, void*) { return 0; };
  std::shared_ptr<EVP_PKEY> key{
    in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr)
       : nullptr,
    deleter{}};
  if (!key)
    return failed("read key " + key_file.string());
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return failed(key_file.string() + " is not the key of " + file.string());
  return [key = std::move(key),
          pem = to_pem(certificate.get())](const std::string& challenge) {
    return node_proof{pem, sign(key.get(), purpose + challenge)};
  };
}

tl::expected<verify_identity, std::string>
make_verifier(const fs::path& authority, const fs::path& revoked) {
  if (const auto store = read_authority(authority, revoked); !store)
    return tl::unexpected<std::string>{store.error()};
  return [authority, revoked](const node_proof& proof,
                              const std::string& challenge) {
    return verify(authority, revoked, proof, challenge);
  };
}

} // namespace edgecap

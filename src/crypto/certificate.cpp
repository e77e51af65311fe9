#include "crypto/certificate.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "openssl.hpp"

namespace kimberlite::crypto {
namespace {

constexpr std::size_t common_name_max = 64;
constexpr long version_3 = 2;

struct FreeMore {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
};
template <class T>
using OwnedMore = std::unique_ptr<T, FreeMore>;

Owned<EVP_PKEY> key_of(const Key256& seed) {
  return Owned<EVP_PKEY>{
      required(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, octets(Bytes{seed.expose()}),
                                            Key256::size),
               "Ed25519")};
}

template <class Write>
std::string pem(Write write) {
  const OwnedMore<BIO> memory{required(BIO_new(BIO_s_mem()), "PEM")};
  required(write(memory.get()), "PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

OwnedMore<BIO> reader(std::string_view text) {
  return OwnedMore<BIO>{
      required(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), "PEM")};
}

void set_time(ASN1_TIME* field, TimestampUs time) {
  required(ASN1_TIME_set(field, static_cast<time_t>(time.value() / 1'000'000)) != nullptr ? 1 : 0,
           "the time of a certificate");
}

void set_name(X509_NAME* name, std::string_view text) {
  text = text.substr(0, common_name_max);
  required(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0),
           "the name of a certificate");
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const OwnedMore<X509_EXTENSION> extension{
      required(X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()),
               "an extension of a certificate")};
  required(X509_add_ext(certificate, extension.get(), -1), "an extension of a certificate");
}

OwnedMore<X509> begin(EVP_PKEY* key, std::string_view name, const Validity& valid,
                      std::uint64_t serial) {
  OwnedMore<X509> certificate{required(X509_new(), "X.509")};
  required(X509_set_version(certificate.get(), version_3), "X.509");
  required(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial), "X.509");
  set_time(X509_getm_notBefore(certificate.get()), valid.from);
  set_time(X509_getm_notAfter(certificate.get()), valid.until);
  set_name(X509_get_subject_name(certificate.get()), name);
  required(X509_set_pubkey(certificate.get(), key), "X.509");
  return certificate;
}

Identity finish(X509* certificate, EVP_PKEY* key, EVP_PKEY* signer) {
  // Ed25519 has a digest of its own.
  required(X509_sign(certificate, signer, nullptr) > 0 ? 1 : 0, "signing a certificate");
  return {.certificate = pem([&](BIO* to) { return PEM_write_bio_X509(to, certificate); }),
          .key = pem([&](BIO* to) {
            return PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace

Identity make_authority(const Key256& seed, std::string_view name, const Validity& valid) {
  const Owned<EVP_PKEY> key = key_of(seed);
  const OwnedMore<X509> certificate = begin(key.get(), name, valid, 1);
  X509* const self = certificate.get();
  required(X509_set_issuer_name(self, X509_get_subject_name(self)), "X.509");
  extend(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(self, self, NID_subject_key_identifier, "hash");
  return finish(self, key.get(), key.get());
}

Identity issue_identity(const Identity& authority, const Key256& seed, std::string_view host,
                        const Validity& valid, std::uint64_t serial) {
  const OwnedMore<BIO> certificate_text = reader(authority.certificate);
  const OwnedMore<X509> issuer{
      required(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr),
               "an authority's certificate")};
  const OwnedMore<BIO> key_text = reader(authority.key);
  const Owned<EVP_PKEY> signer{required(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr), "an authority's key")};
  const Owned<EVP_PKEY> key = key_of(seed);
  const OwnedMore<X509> certificate = begin(key.get(), host, valid, serial);
  X509* const self = certificate.get();
  required(X509_set_issuer_name(self, X509_get_subject_name(issuer.get())), "X.509");
  extend(self, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(self, issuer.get(), NID_key_usage, "critical,digitalSignature");
  extend(self, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  extend(self, issuer.get(), NID_subject_alt_name, "DNS:" + std::string{host});
  extend(self, issuer.get(), NID_subject_key_identifier, "hash");
  extend(self, issuer.get(), NID_authority_key_identifier, "keyid:always");
  return finish(self, key.get(), signer.get());
}

}  // namespace kimberlite::crypto

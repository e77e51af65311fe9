#include "crypto/certificate.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

namespace kimberlite::crypto {
namespace {

Key256 seed(std::uint8_t fill) {
  std::array<std::byte, 32> bytes{};
  bytes.fill(static_cast<std::byte>(fill));
  return Key256{bytes};
}

constexpr std::uint64_t year_us = 31'536'000'000'000;
constexpr Validity valid{TimestampUs{56 * year_us}, TimestampUs{66 * year_us}};

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate read(const Identity& identity) {
  BIO* text =
      BIO_new_mem_buf(identity.certificate.data(), static_cast<int>(identity.certificate.size()));
  Certificate certificate{PEM_read_bio_X509(text, nullptr, nullptr, nullptr), X509_free};
  BIO_free(text);
  return certificate;
}

// What OpenSSL says of it under that authority, at a time: X509_V_OK, or why not.
int verify(const Identity& identity, const Identity& authority, TimestampUs at) {
  const Certificate certificate = read(identity);
  const Certificate root = read(authority);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, root.get());
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certificate.get(), nullptr);
  X509_STORE_CTX_set_time(context, 0, static_cast<time_t>(at.value() / 1'000'000));
  X509_verify_cert(context);
  const int result = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return result;
}

TEST(Certificate, IsBelievedUnderItsAuthorityAndNoOther) {
  const Identity authority = make_authority(seed(1), "replicas", valid);
  const Identity other = make_authority(seed(2), "replicas", valid);
  const Identity replica = issue_identity(authority, seed(3), "replica-1.test", valid, 7);
  const TimestampUs now{57 * year_us};
  EXPECT_EQ(verify(replica, authority, now), X509_V_OK);
  EXPECT_EQ(verify(authority, authority, now), X509_V_OK);
  EXPECT_NE(verify(replica, other, now), X509_V_OK);
  EXPECT_EQ(verify(replica, authority, TimestampUs{55 * year_us}), X509_V_ERR_CERT_NOT_YET_VALID);
  EXPECT_EQ(verify(replica, authority, TimestampUs{67 * year_us}), X509_V_ERR_CERT_HAS_EXPIRED);
  // A replica is no authority.
  const Identity below = issue_identity(replica, seed(4), "replica-2.test", valid, 8);
  EXPECT_NE(verify(below, replica, now), X509_V_OK);
}

TEST(Certificate, HasTheNameItWasGivenAndFollowsFromItsArguments) {
  const Identity authority = make_authority(seed(1), "replicas", valid);
  const Identity replica = issue_identity(authority, seed(3), "replica-1.test", valid, 7);
  const Certificate certificate = read(replica);
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(X509_check_host(certificate.get(), "replica-1.test", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "replica-2.test", 0, 0, nullptr), 0);
  EXPECT_EQ(issue_identity(authority, seed(3), "replica-1.test", valid, 7).certificate,
            replica.certificate);
  EXPECT_NE(issue_identity(authority, seed(3), "replica-1.test", valid, 8).certificate,
            replica.certificate);
}

}  // namespace
}  // namespace kimberlite::crypto

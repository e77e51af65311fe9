#include "crypto/timestamp.hpp"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>

#include "openssl.hpp"

namespace kimberlite::crypto {
namespace {

constexpr std::size_t response_size_max = std::size_t{1} << 20U;

struct FreeTs {
  void operator()(TS_REQ* p) const { TS_REQ_free(p); }
  void operator()(TS_RESP* p) const { TS_RESP_free(p); }
  void operator()(TS_MSG_IMPRINT* p) const { TS_MSG_IMPRINT_free(p); }
  void operator()(TS_VERIFY_CTX* p) const { TS_VERIFY_CTX_free(p); }
  void operator()(X509_ALGOR* p) const { X509_ALGOR_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(ASN1_INTEGER* p) const { ASN1_INTEGER_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
};
template <class T>
using OwnedTs = std::unique_ptr<T, FreeTs>;

Error no_stamp(std::string_view why) {
  return Error{Code::integrity_anchor, "this is no time stamp for what was asked"}.why("{}", why);
}

// The newest reason OpenSSL gives, and none of its older ones; it names no value.
std::string reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  std::string found = text == nullptr ? "it gives no reason" : text;
  ERR_clear_error();
  return found;
}

// A value of DER that takes all of `bytes`.
template <class T>
OwnedTs<T> decode(T* (*decoder)(T**, const unsigned char**, long), Bytes bytes) {
  if (bytes.size() > response_size_max) return nullptr;
  const unsigned char* at = octets(bytes);
  OwnedTs<T> decoded{decoder(nullptr, &at, static_cast<long>(bytes.size()))};
  ERR_clear_error();
  return at == octets(bytes) + bytes.size() ? std::move(decoded) : nullptr;
}

// "20261129081507.25Z": RFC 3161 §2.4.2 has no other form.
std::optional<std::uint64_t> microseconds_of(const ASN1_GENERALIZEDTIME* time) {
  std::string_view text{reinterpret_cast<const char*>(ASN1_STRING_get0_data(time)),
                        static_cast<std::size_t>(ASN1_STRING_length(time))};
  if (text.size() < 15 || !text.ends_with('Z')) return std::nullopt;
  text.remove_suffix(1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!std::ranges::all_of(text.substr(0, 14), is_digit)) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t digits) {
    unsigned value = 0;
    for (const char c : text.substr(at, digits))
      value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year{static_cast<int>(number(0, 4))},
                                        std::chrono::month{number(4, 2)},
                                        std::chrono::day{number(6, 2)}};
  if (!day.ok() || number(0, 4) < 1970 || number(8, 2) > 23 || number(10, 2) > 59 ||
      number(12, 2) > 59) {
    return std::nullopt;
  }
  const std::chrono::seconds seconds =
      std::chrono::sys_days{day}.time_since_epoch() + std::chrono::hours{number(8, 2)} +
      std::chrono::minutes{number(10, 2)} + std::chrono::seconds{number(12, 2)};
  std::uint64_t micros = static_cast<std::uint64_t>(seconds.count()) * 1'000'000;
  std::string_view fraction = text.substr(14);
  if (fraction.empty()) return micros;
  if (fraction[0] != '.' || !std::ranges::all_of(fraction.substr(1), is_digit)) return std::nullopt;
  std::uint64_t weight = 100'000;
  for (const char c : fraction.substr(1)) {
    micros += static_cast<std::uint64_t>(c - '0') * weight;
    weight /= 10;
  }
  return micros;
}

Result<Hash> imprint_in(TS_MSG_IMPRINT* imprint) {
  const ASN1_OBJECT* algorithm = nullptr;
  X509_ALGOR_get0(&algorithm, nullptr, nullptr, TS_MSG_IMPRINT_get_algo(imprint));
  const ASN1_OCTET_STRING* digest = TS_MSG_IMPRINT_get_msg(imprint);
  Hash hash{};
  if (OBJ_obj2nid(algorithm) != NID_sha256 ||
      static_cast<std::size_t>(ASN1_STRING_length(digest)) != hash.size()) {
    return no_stamp("what it stamps is no SHA-256 hash");
  }
  std::copy_n(ASN1_STRING_get0_data(digest), hash.size(), octets(MutBytes{hash}));
  return hash;
}

Result<Timestamp> stamp_in(TS_RESP* response) {
  const TS_STATUS_INFO* status = TS_RESP_get_status_info(response);
  const long code = ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(status));
  TS_TST_INFO* info = TS_RESP_get_tst_info(response);
  if ((code != TS_STATUS_GRANTED && code != TS_STATUS_GRANTED_WITH_MODS) || info == nullptr) {
    return no_stamp("the authority has refused to stamp it");
  }
  Timestamp stamp;
  KIMBERLITE_TRY(stamp.imprint, imprint_in(TS_TST_INFO_get_msg_imprint(info)));
  const auto time = microseconds_of(TS_TST_INFO_get_time(info));
  if (!time) return no_stamp("its time is none");
  stamp.time_us = *time;
  std::array<char, 128> policy{};
  const int length = OBJ_obj2txt(policy.data(), static_cast<int>(policy.size()),
                                 TS_TST_INFO_get_policy_id(info), 1);
  if (length <= 0 || static_cast<std::size_t>(length) >= policy.size()) {
    return no_stamp("its policy is none");
  }
  stamp.policy = policy.data();
  return stamp;
}

Result<OwnedTs<X509_STORE>> trusted_store(std::string_view pem, std::uint64_t at_seconds) {
  OwnedTs<X509_STORE> store{required(X509_STORE_new(), "a certificate store")};
  const OwnedTs<BIO> text{
      required(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), "a buffer")};
  std::size_t certificates = 0;
  while (true) {
    const OwnedTs<X509> certificate{PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)};
    if (certificate == nullptr) break;
    required(X509_STORE_add_cert(store.get(), certificate.get()), "a certificate store");
    ++certificates;
  }
  // The end is reported as an error too; anything else is a certificate that does not decode.
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates == 0 || !ended) {
    return Error{Code::usage_key, "no certificates in PEM"}.next(
        "give the file of the authority's root certificate");
  }
  X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store.get()),
                             static_cast<std::time_t>(at_seconds));
  return store;
}

}  // namespace

Buffer timestamp_request(const Hash& imprint, std::uint64_t nonce) {
  const OwnedTs<TS_REQ> request{required(TS_REQ_new(), "a time stamp request")};
  const OwnedTs<TS_MSG_IMPRINT> message{required(TS_MSG_IMPRINT_new(), "a time stamp request")};
  const OwnedTs<X509_ALGOR> algorithm{required(X509_ALGOR_new(), "a time stamp request")};
  const OwnedTs<ASN1_INTEGER> number{required(ASN1_INTEGER_new(), "a time stamp request")};
  Hash digest = imprint;  // OpenSSL copies it, and asks for one that it might change
  required(TS_REQ_set_version(request.get(), 1), "a time stamp request");
  required(X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(NID_sha256), V_ASN1_NULL, nullptr),
           "a time stamp request");
  required(TS_MSG_IMPRINT_set_algo(message.get(), algorithm.get()), "a time stamp request");
  required(TS_MSG_IMPRINT_set_msg(message.get(), octets(MutBytes{digest}),
                                  static_cast<int>(digest.size())),
           "a time stamp request");
  required(TS_REQ_set_msg_imprint(request.get(), message.get()), "a time stamp request");
  required(ASN1_INTEGER_set_uint64(number.get(), nonce), "a time stamp request");
  required(TS_REQ_set_nonce(request.get(), number.get()), "a time stamp request");
  required(TS_REQ_set_cert_req(request.get(), 1), "a time stamp request");
  const int size = i2d_TS_REQ(request.get(), nullptr);
  required(size > 0 ? 1 : 0, "a time stamp request");
  Buffer der(static_cast<std::size_t>(size));
  unsigned char* at = octets(MutBytes{der});
  required(i2d_TS_REQ(request.get(), &at) == size ? 1 : 0, "a time stamp request");
  return der;
}

Result<Timestamp> read_timestamp(Bytes response) {
  const OwnedTs<TS_RESP> decoded = decode(&d2i_TS_RESP, response);
  if (decoded == nullptr) return no_stamp("it is no answer of a time stamp authority");
  return stamp_in(decoded.get());
}

Result<Timestamp> check_timestamp(Bytes response, Bytes request, std::string_view trusted_pem,
                                  std::uint64_t at_seconds) {
  const OwnedTs<TS_REQ> asked = decode(&d2i_TS_REQ, request);
  if (asked == nullptr) return no_stamp("the request is none");
  const OwnedTs<TS_RESP> answer = decode(&d2i_TS_RESP, response);
  if (answer == nullptr) return no_stamp("it is no answer of a time stamp authority");
  KIMBERLITE_TRY(Timestamp stamp, stamp_in(answer.get()));
  KIMBERLITE_TRY(const Hash imprint, imprint_in(TS_REQ_get_msg_imprint(asked.get())));
  if (imprint != stamp.imprint) return no_stamp("it stamps something else");
  const ASN1_INTEGER* nonce = TS_TST_INFO_get_nonce(TS_RESP_get_tst_info(answer.get()));
  const ASN1_INTEGER* wanted = TS_REQ_get_nonce(asked.get());
  if (wanted == nullptr) return no_stamp("the request has no nonce");
  if (nonce == nullptr || ASN1_INTEGER_cmp(nonce, wanted) != 0) {
    return no_stamp("it answers another request: the nonce differs");
  }
  KIMBERLITE_TRY(OwnedTs<X509_STORE> store, trusted_store(trusted_pem, at_seconds));
  const OwnedTs<TS_VERIFY_CTX> context{
      required(TS_REQ_to_TS_VERIFY_CTX(asked.get(), nullptr), "a time stamp check")};
  TS_VERIFY_CTX_add_flags(context.get(), TS_VFY_SIGNATURE);
  TS_VERIFY_CTX_set_store(context.get(), store.release());  // the context frees it
  if (TS_RESP_verify_response(context.get(), answer.get()) != 1) {
    return Error{Code::integrity_signature, "the time stamp is not signed by one who is trusted"}
        .why("{}", reason());
  }
  return stamp;
}

}  // namespace kimberlite::crypto

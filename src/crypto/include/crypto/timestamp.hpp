// Time stamps of an authority (RFC 3161) over OpenSSL: what to ask, and whether the answer holds.
//
// Nothing here reaches a network or reads a clock: the request is bytes to send, the answer bytes
// that came back, and the time at which certificates must be valid is passed in.
//
// Errors: `integrity.anchor` for an answer that is none, refuses, or is to another request;
// `integrity.signature` if no certificate that is trusted leads to its signature; `usage.key` for
// trusted certificates that are none. Thread rule: safe from any thread. Source: RFC 3161 §2.4;
// RFC 5816.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace kimberlite::crypto {

// A TimeStampReq in DER for the SHA-256 hash `imprint`, that asks for the authority's certificate.
// The nonce is what ties the answer to this request.
[[nodiscard]] Buffer timestamp_request(const Hash& imprint, std::uint64_t nonce);

struct Timestamp {
  Hash imprint{};             // SHA-256 of what was stamped
  std::uint64_t time_us = 0;  // genTime, µs since 1970
  std::string policy;         // of the authority, an OID: "1.2.3.4.1"
};

// What a TimeStampResp in DER says, unchecked but for its form: whoever wrote it may have written
// anything.
[[nodiscard]] Result<Timestamp> read_timestamp(Bytes response);

// The same, if it answers this request and is signed for time stamping under one of the trusted
// certificates (PEM, any number), all of them valid at `at_seconds` since 1970.
[[nodiscard]] Result<Timestamp> check_timestamp(Bytes response, Bytes request,
                                                std::string_view trusted_pem,
                                                std::uint64_t at_seconds);

}  // namespace kimberlite::crypto

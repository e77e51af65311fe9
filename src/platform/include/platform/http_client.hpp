// The HTTP client on Linux: Boost.Beast over TCP, and OpenSSL for https.
//
// It trusts the roots of the machine (OpenSSL's default, which SSL_CERT_FILE and SSL_CERT_DIR
// name), and uses no proxy. Thread rule: that of the interface; it has no state.
#pragma once

#include "env/http_client.hpp"

namespace kimberlite::platform {

class SystemHttpClient final : public env::HttpClient {
 public:
  [[nodiscard]] Result<env::HttpReply> post(const env::HttpRequest& request) override;
};

}  // namespace kimberlite::platform

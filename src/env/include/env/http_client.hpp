// Asking a service elsewhere, over HTTP/1.1: one POST, one answer, one connection.
//
// What the answer says is the caller's to check; a status other than 200 is an answer too.
// Redirections are not followed. Over https the server's certificate must lead to a root that the
// machine trusts, and be of the host that is asked; over http nothing is known of who answers.
//
// Errors: `usage.option` for a URL that is none, `unavailable.network` for a connection that is not
// made, not trusted or broken, `timeout.network`, `limit.reply` for an answer that is too large,
// `unavailable.service` for one that is no HTTP. Thread rule: from any thread; the call blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kimberlite::env {

struct HttpRequest {
  std::string_view url;  // http://host[:port][/path] or https://…
  std::string_view content_type;
  Bytes body;
  std::size_t reply_size_max = 0;  // bytes of the answer's body
  std::uint64_t timeout_ns = 0;    // for all of it
};

struct HttpReply {
  unsigned status = 0;
  std::string content_type;  // as it came
  std::string body;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  [[nodiscard]] virtual Result<HttpReply> post(const HttpRequest& request) = 0;
};

}  // namespace kimberlite::env

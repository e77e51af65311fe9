// The URLs that are asked: http and https, a host, and nothing that would have to be kept secret.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kimberlite::platform {

struct Url {
  bool tls = false;
  std::string host;  // a name, or an address without brackets
  std::string port;
  std::string target;  // path and query, at least "/"

  // What a request says its host is.
  [[nodiscard]] std::string authority() const;
};

// `usage.option` for another scheme, user information, a fragment, or what is not to be in a URL.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace kimberlite::platform

#include "url.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace kimberlite::platform {
namespace {

constexpr std::size_t url_size_max = 2048;
constexpr std::string_view default_port = "80";
constexpr std::string_view default_tls_port = "443";

Error no_url(std::string_view why) {
  return Error{Code::usage_option, "this is no URL that can be asked"}.why("{}", why).next(
      "https://host/path, or http://host:port/path");
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [at, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failed == std::errc{} && at == text.data() + text.size() && port != 0;
}

bool in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}
bool in_address(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

}  // namespace

std::string Url::authority() const {
  std::string text = host.contains(':') ? "[" + host + "]" : host;
  if (port != (tls ? default_tls_port : default_port)) text += ":" + port;
  return text;
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > url_size_max) return no_url("it is too long");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7F'; })) {
    return no_url("it holds a space, a control character or one that is not ASCII");
  }
  if (text.contains('#')) return no_url("it has a fragment");
  Url url;
  if (text.starts_with("https://")) {
    url.tls = true;
  } else if (!text.starts_with("http://")) {
    return no_url("it begins with neither https:// nor http://");
  }
  text.remove_prefix(text.find("//") + 2);
  std::string_view authority = text.substr(0, text.find_first_of("/?"));
  const std::string_view rest = text.substr(authority.size());
  url.target = rest.starts_with('/') ? std::string{rest} : "/" + std::string{rest};
  if (authority.contains('@')) return no_url("it names a user");
  const bool bracket = authority.starts_with('[');
  const std::size_t end = bracket ? authority.find(']') : authority.find(':');
  if (bracket && end == std::string_view::npos) return no_url("its address has no end");
  url.host = authority.substr(bracket ? 1 : 0, bracket ? end - 1 : end);
  authority.remove_prefix(std::min(authority.size(), bracket ? end + 1 : end));
  if (url.host.empty() || !std::ranges::all_of(url.host, bracket ? in_address : in_name)) {
    return no_url("its host is none");
  }
  url.port = url.tls ? default_tls_port : default_port;
  if (authority.empty()) return url;
  if (!authority.starts_with(':') || !is_port(authority.substr(1))) {
    return no_url("its port is none");
  }
  url.port = authority.substr(1);
  return url;
}

}  // namespace kimberlite::platform

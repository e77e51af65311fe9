#include "url.hpp"

#include <gtest/gtest.h>

namespace kimberlite::platform {
namespace {

std::string parsed(std::string_view text) {
  const auto url = parse_url(text);
  if (!url) return std::string{name(url.error().code())};
  return (url->tls ? "tls " : "plain ") + url->host + " " + url->port + " " + url->target + " " +
         url->authority();
}

TEST(Url, WhatCanBeAsked) {
  EXPECT_EQ(parsed("http://witness.example"), "plain witness.example 80 / witness.example");
  EXPECT_EQ(parsed("https://tsa.example/tsr"), "tls tsa.example 443 /tsr tsa.example");
  EXPECT_EQ(parsed("https://tsa.example:8443?a=b"), "tls tsa.example 8443 /?a=b tsa.example:8443");
  EXPECT_EQ(parsed("http://127.0.0.1:80/"), "plain 127.0.0.1 80 / 127.0.0.1");
  EXPECT_EQ(parsed("http://[::1]:7870/a/b"), "plain ::1 7870 /a/b [::1]:7870");
}

TEST(Url, WhatCannot) {
  for (const std::string_view text : {"",
                                      "witness.example",
                                      "ftp://a",
                                      "HTTP://a",
                                      "http://",
                                      "http:///path",
                                      "http://a:/",
                                      "http://a:0",
                                      "http://a:65536",
                                      "http://a:1x",
                                      "http://user@a/",
                                      "http://user:word@a/",
                                      "http://a/#part",
                                      "http://a b/",
                                      "http://a/\r\nHost: b",
                                      "http://a\x80/",
                                      "http://[::1",
                                      "http://[::1]x/",
                                      "http://[]/",
                                      "http://a,b/",
                                      "http://[a.example]/"}) {
    EXPECT_EQ(parsed(text), "usage.option") << text;
  }
  EXPECT_EQ(parsed("http://a/" + std::string(2040, 'x')), "usage.option");
}

}  // namespace
}  // namespace kimberlite::platform

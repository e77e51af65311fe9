// Our tokenizer against SQLite's, on any text.
#include <cstdio>
#include <cstdlib>

#include "base/bytes.hpp"
#include "tests/support/differential.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static kimberlite::sql::oracle::Sqlite sqlite;
  if (size > 256) return 0;  // every suffix is tried: the work grows with the square
  const std::string_view text = kimberlite::text_of(std::as_bytes(std::span{data, size}));
  if (const auto found = kimberlite::sql::oracle::difference(sqlite, text)) {
    std::fprintf(stderr, "%s\n", found->c_str());
    std::abort();
  }
  return 0;
}

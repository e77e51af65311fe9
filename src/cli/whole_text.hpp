// Small files that are read and written as a whole: scripts, configuration, proofs.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "env/env.hpp"

namespace kimberlite::cli {

inline constexpr std::uint64_t whole_text_max = 1ULL << 30;

[[nodiscard]] inline Result<std::string> read_text(env::Storage& files, std::string_view path) {
  KIMBERLITE_TRY(const auto file, files.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  if (size > whole_text_max) {
    return Error{Code::limit_request, "the file has {} bytes; {} are read at most", size,
                 whole_text_max}
        .where("{}", path);
  }
  std::string text(size, '\0');
  KIMBERLITE_TRY(const std::size_t read,
                 file->read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
  text.resize(read);
  return text;
}

// Durable on return; replaces what was there.
[[nodiscard]] inline Status write_text(env::Storage& files, std::string_view path,
                                       std::string_view text) {
  KIMBERLITE_TRY(const auto file, files.open(path, env::Open::create));
  KIMBERLITE_CHECK(file->truncate(0));
  KIMBERLITE_CHECK(file->write_at(0, bytes_of(text)));
  return file->sync();
}

}  // namespace kimberlite::cli

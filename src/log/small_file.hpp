// Small files of others that are read as a whole: notes and tiles.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "env/env.hpp"

namespace kimberlite::log {

// Its first `size_max` + 1 bytes at most, so that a longer one is seen to be longer; nothing if it
// is not there.
[[nodiscard]] inline Result<std::optional<std::string>> read_small(env::Storage& storage,
                                                                   std::string_view path,
                                                                   std::size_t size_max) {
  const auto file = storage.open(path, env::Open::read);
  if (!file) {
    const Code code = file.error().code();
    if (code == Code::not_found_file || code == Code::not_found_directory) {
      return std::optional<std::string>{};
    }
    return file.error();
  }
  std::string text(size_max + 1, '\0');
  KIMBERLITE_TRY(const std::size_t got,
                 (*file)->read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
  text.resize(got);
  return std::optional{std::move(text)};
}

}  // namespace kimberlite::log

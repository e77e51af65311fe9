// Where readers of text formats get their bytes from, a piece at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "env/env.hpp"

namespace kimberlite::cli {

// Used by one thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Bytes put at the front of `to`, at least one, or 0 at the end. `to` is not empty.
  virtual Result<std::size_t> read(MutBytes to) = 0;
};

// A file from some offset on; does not own it.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(env::File& file, std::uint64_t offset = 0) : file_(file), offset_(offset) {}
  Result<std::size_t> read(MutBytes to) override {
    KIMBERLITE_TRY(const std::size_t size, file_.read_at(offset_, to));
    offset_ += size;
    return size;
  }

 private:
  env::File& file_;
  std::uint64_t offset_;
};

// Text in memory, not owned; `piece` bounds what one read gives.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string_view text, std::size_t piece = SIZE_MAX)
      : left_(bytes_of(text)), piece_(piece) {}
  Result<std::size_t> read(MutBytes to) override {
    const std::size_t size = std::min({to.size(), left_.size(), piece_});
    std::ranges::copy(left_.first(size), to.begin());
    left_ = left_.subspan(size);
    return size;
  }

 private:
  Bytes left_;
  std::size_t piece_;
};

}  // namespace kimberlite::cli

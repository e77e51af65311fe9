// A storage that passes every call on to another one: what a test puts between overrides some.
//
// Thread rule: that of the one below, which outlives it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "env/env.hpp"

namespace kimberlite::test {

class PassingFile : public env::File {
 public:
  explicit PassingFile(std::unique_ptr<env::File> below) : below_(std::move(below)) {}
  Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
    return below_->read_at(offset, to);
  }
  Status write_at(std::uint64_t offset, Bytes from) override {
    return below_->write_at(offset, from);
  }
  Status sync() override { return below_->sync(); }
  Status truncate(std::uint64_t size) override { return below_->truncate(size); }
  Result<std::uint64_t> size() override { return below_->size(); }

 private:
  std::unique_ptr<env::File> below_;
};

class PassingStorage : public env::Storage {
 public:
  explicit PassingStorage(env::Storage& below) : below_(below) {}
  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override {
    return below_.lock(path, holder);
  }
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override {
    return below_.open(path, mode);
  }
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override {
    return below_.open_device(path, size);
  }
  Status rename(std::string_view from, std::string_view to) override {
    return below_.rename(from, to);
  }
  Status remove(std::string_view path) override { return below_.remove(path); }
  Result<std::vector<std::string>> list(std::string_view directory) override {
    return below_.list(directory);
  }
  Status sync_all() override { return below_.sync_all(); }
  Result<std::uint64_t> free_bytes() override { return below_.free_bytes(); }

 private:
  env::Storage& below_;
};

}  // namespace kimberlite::test

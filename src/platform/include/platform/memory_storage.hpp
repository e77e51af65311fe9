// `env::Storage` in the process heap: `:memory:` databases and tests. The contract of every method
// is the interface's; syncing does nothing, and all is gone with the object.
//
// Thread rule: as `LinuxStorage`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "env/env.hpp"

namespace kimberlite::platform {

struct MemoryBlob;

class MemoryStorage final : public env::Storage {
 public:
  MemoryStorage();
  ~MemoryStorage() override;
  MemoryStorage(const MemoryStorage&) = delete;
  MemoryStorage& operator=(const MemoryStorage&) = delete;

  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override;
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override;
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Status sync_all() override { return {}; }
  // Memory has no honest figure to give; this is large enough never to stop a writer.
  Result<std::uint64_t> free_bytes() override { return std::uint64_t{1} << 62U; }

 private:
  class HeldLock;

  std::mutex mutex_;  // guards both maps; a blob has its own
  std::map<std::string, std::shared_ptr<MemoryBlob>, std::less<>> files_;
  std::map<std::string, std::string, std::less<>> locks_;
};

}  // namespace kimberlite::platform

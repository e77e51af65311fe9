// Files that are worked on in memory: what is written stays here, and what was not written is read
// from a storage behind, where there is one, which is never written to.
//
// For a projection that is made only to be compared with, and for opening what a crash left without
// mending it. Memory is held for what was written alone. Thread rule: one thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "env/env.hpp"

namespace kimberlite::engine {

class SideStorage final : public env::Storage {
 public:
  // `behind` outlives this; null: there is nothing yet.
  explicit SideStorage(env::Storage* behind) : behind_(behind) {}

  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override;
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override;
  // There are none here.
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view path) override;
  // What is behind; files made here are not listed.
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Status sync_all() override { return {}; }
  Result<std::uint64_t> free_bytes() override { return std::uint64_t{1} << 62U; }

 private:
  struct Node;
  class SideFile;
  using NodePtr = std::shared_ptr<Node>;
  [[nodiscard]] Result<NodePtr> find(std::string_view path);

  env::Storage* behind_;
  std::map<std::string, NodePtr, std::less<>> nodes_;  // null: removed
};

// Clock and randomness for what is never stored and whose times nobody sees: the clock stands, and
// what is drawn is counted. No network, no tasks.
class SideEnv {
 public:
  explicit SideEnv(env::Storage& storage);
  ~SideEnv();
  SideEnv(const SideEnv&) = delete;
  SideEnv& operator=(const SideEnv&) = delete;
  [[nodiscard]] env::Env env();

 private:
  struct Parts;
  env::Storage& storage_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace kimberlite::engine

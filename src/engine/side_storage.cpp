#include "side_storage.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.hpp"
#include "base/le.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t block_size = 4096;
using Block = std::array<std::byte, block_size>;

Error not_there(std::string_view path) {
  return Error{Code::not_found_file, "there is no such file"}.where("{}", path);
}

}  // namespace

// One file; open handles share it.
struct SideStorage::Node {
  std::unique_ptr<env::File> behind;  // null: all of it is here
  std::uint64_t behind_size = 0;      // of what is behind, as far as it was never cut off
  std::uint64_t size = 0;
  std::map<std::uint64_t, std::unique_ptr<Block>> blocks;  // written, by number

  // The block as it is now, without keeping it.
  Status read(std::uint64_t number, Block& into) const {
    if (const auto written = blocks.find(number); written != blocks.end()) {
      into = *written->second;
      return {};
    }
    into.fill(std::byte{0});
    const std::uint64_t offset = number * block_size;
    if (behind == nullptr || offset >= behind_size) return {};
    const auto wanted = static_cast<std::size_t>(std::min(block_size, behind_size - offset));
    KIMBERLITE_TRY(const std::size_t got, behind->read_at(offset, std::span{into}.first(wanted)));
    if (got == wanted) return {};
    return Error{Code::unavailable_io, "a file became shorter while it was read"};
  }

  Result<Block*> own(std::uint64_t number) {
    auto& block = blocks[number];
    if (block == nullptr) {
      auto fresh = std::make_unique<Block>();
      blocks.erase(number);
      KIMBERLITE_CHECK(read(number, *fresh));
      blocks[number] = std::move(fresh);
    }
    return blocks[number].get();
  }
};

class SideStorage::SideFile final : public env::File {
 public:
  explicit SideFile(NodePtr node) : node_(std::move(node)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
    if (offset >= node_->size) return std::size_t{0};
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), node_->size - offset));
    Block block;
    for (std::size_t done = 0; done < count;) {
      const std::uint64_t at = offset + done;
      const auto within = static_cast<std::size_t>(at % block_size);
      const std::size_t part = std::min(count - done, block.size() - within);
      KIMBERLITE_CHECK(node_->read(at / block_size, block));
      std::memcpy(to.data() + done, block.data() + within, part);
      done += part;
    }
    return count;
  }

  Status write_at(std::uint64_t offset, Bytes from) override {
    for (std::size_t done = 0; done < from.size();) {
      const std::uint64_t at = offset + done;
      const auto within = static_cast<std::size_t>(at % block_size);
      const auto part = std::min(from.size() - done, static_cast<std::size_t>(block_size) - within);
      KIMBERLITE_TRY(Block * block, node_->own(at / block_size));
      std::memcpy(block->data() + within, from.data() + done, part);
      done += part;
    }
    node_->size = std::max(node_->size, offset + from.size());
    return {};
  }

  Status sync() override { return {}; }

  // What is cut off is gone, also when the file grows again.
  Status truncate(std::uint64_t size) override {
    if (size < node_->size && size % block_size != 0) {
      KIMBERLITE_TRY(Block * last, node_->own(size / block_size));
      std::fill(last->begin() + static_cast<std::ptrdiff_t>(size % block_size), last->end(),
                std::byte{0});
    }
    node_->blocks.erase(node_->blocks.lower_bound((size + block_size - 1) / block_size),
                        node_->blocks.end());
    node_->behind_size = std::min(node_->behind_size, size);
    node_->size = size;
    return {};
  }

  Result<std::uint64_t> size() override { return node_->size; }

 private:
  NodePtr node_;
};

Result<SideStorage::NodePtr> SideStorage::find(std::string_view path) {
  if (const auto found = nodes_.find(path); found != nodes_.end()) return found->second;
  if (behind_ == nullptr) return NodePtr{};
  auto file = behind_->open(path, env::Open::read);
  if (!file && file.error().code() == Code::not_found_file) return NodePtr{};
  if (!file) return file.error();
  auto node = std::make_shared<Node>();
  node->behind = *std::move(file);
  KIMBERLITE_TRY(node->size, node->behind->size());
  node->behind_size = node->size;
  nodes_.emplace(path, node);
  return node;
}

Result<std::unique_ptr<env::File>> SideStorage::open(std::string_view path, env::Open mode) {
  KIMBERLITE_TRY(NodePtr node, find(path));
  if (node == nullptr) {
    if (mode != env::Open::create) return not_there(path);
    node = std::make_shared<Node>();
    nodes_.insert_or_assign(std::string{path}, node);
  }
  return std::make_unique<SideFile>(std::move(node));
}

Result<std::unique_ptr<env::Lock>> SideStorage::lock(std::string_view /*path*/,
                                                     std::string_view /*holder*/) {
  return std::make_unique<env::Lock>();
}

Result<std::unique_ptr<env::SectorDevice>> SideStorage::open_device(std::string_view path,
                                                                    std::uint64_t /*size*/) {
  return not_there(path);
}

Status SideStorage::rename(std::string_view from, std::string_view to) {
  KIMBERLITE_TRY(NodePtr node, find(from));
  if (node == nullptr) return not_there(from);
  nodes_.insert_or_assign(std::string{to}, std::move(node));
  nodes_.insert_or_assign(std::string{from}, NodePtr{});
  return {};
}

Status SideStorage::remove(std::string_view path) {
  KIMBERLITE_TRY(const NodePtr node, find(path));
  if (node == nullptr) return not_there(path);
  nodes_.insert_or_assign(std::string{path}, NodePtr{});
  return {};
}

Result<std::vector<std::string>> SideStorage::list(std::string_view directory) {
  if (behind_ != nullptr) return behind_->list(directory);
  return Error{Code::not_found_directory, "there is no such directory"}.where("{}", directory);
}

// ---- SideEnv ------------------------------------------------------------------------------------

namespace {

class StillClock final : public env::Clock {
 public:
  std::uint64_t monotonic_ns() override { return 0; }
  TimestampUs realtime() override { return {}; }
};

// Every draw differs from all before it, which is all that a nonce of this memory has to.
class CountingRandom final : public env::Random {
 public:
  void fill(MutBytes to) override {
    for (std::size_t done = 0; done < to.size();) {
      std::array<std::byte, 8> number;
      store_le(number.data(), ++drawn_);
      const std::size_t part = std::min(to.size() - done, number.size());
      std::memcpy(to.data() + done, number.data(), part);
      done += part;
    }
  }

 private:
  std::uint64_t drawn_ = 0;
};

class NoNetwork final : public env::Network {
 public:
  void send(std::uint8_t /*replica*/, Bytes /*frame*/) override {}
  void listen(Receiver /*receiver*/) override {}
};

class NoExecutor final : public env::Executor {
 public:
  void post(std::uint64_t /*strand*/, env::Task /*task*/) override { KIMBERLITE_ASSERT(false); }
  void post_after(std::uint64_t /*delay_ns*/, std::uint64_t /*strand*/,
                  env::Task /*task*/) override {
    KIMBERLITE_ASSERT(false);
  }
  bool run_one(std::uint64_t /*wait_ns*/) override { return false; }
  void wake() override {}
};

}  // namespace

struct SideEnv::Parts {
  StillClock clock;
  CountingRandom random;
  NoNetwork network;
  NoExecutor executor;
};

SideEnv::SideEnv(env::Storage& storage) : storage_(storage), parts_(std::make_unique<Parts>()) {}
SideEnv::~SideEnv() = default;

env::Env SideEnv::env() {
  return {storage_, parts_->network, parts_->clock, parts_->random, parts_->executor};
}

}  // namespace kimberlite::engine

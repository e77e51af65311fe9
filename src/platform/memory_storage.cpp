#include "platform/memory_storage.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"

namespace kimberlite::platform {

// A file's bytes. A device's are allocated zeroed by the system, so that a large ring costs no
// memory before it is written.
struct MemoryBlob {
  std::mutex mutex;
  Buffer bytes;  // of a file
  std::unique_ptr<std::byte, void (*)(void*)> sectors{nullptr, std::free};
  std::uint64_t sectors_size = 0;  // of a device; 0 for a file
};

namespace {

class MemoryFile final : public env::File {
 public:
  explicit MemoryFile(std::shared_ptr<MemoryBlob> blob) : blob_(std::move(blob)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
    const std::lock_guard guard{blob_->mutex};
    const Bytes all = contents();
    if (offset >= all.size() || to.empty()) return 0;
    const Bytes rest = all.subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(to.size(), rest.size());
    std::memcpy(to.data(), rest.data(), count);
    return count;
  }

  Status write_at(std::uint64_t offset, Bytes from) override {
    const std::lock_guard guard{blob_->mutex};
    KIMBERLITE_ASSERT(blob_->sectors_size == 0);
    const auto at = static_cast<std::size_t>(offset);
    if (blob_->bytes.size() < at + from.size()) blob_->bytes.resize(at + from.size());
    if (!from.empty()) std::memcpy(&blob_->bytes[at], from.data(), from.size());
    return {};
  }

  Status sync() override { return {}; }

  Status truncate(std::uint64_t size) override {
    const std::lock_guard guard{blob_->mutex};
    KIMBERLITE_ASSERT(blob_->sectors_size == 0);
    blob_->bytes.resize(static_cast<std::size_t>(size));
    return {};
  }

  Result<std::uint64_t> size() override {
    const std::lock_guard guard{blob_->mutex};
    return contents().size();
  }

 private:
  [[nodiscard]] Bytes contents() const {
    if (blob_->sectors_size == 0) return blob_->bytes;
    return {blob_->sectors.get(), static_cast<std::size_t>(blob_->sectors_size)};
  }

  std::shared_ptr<MemoryBlob> blob_;
};

class MemoryDevice final : public env::SectorDevice {
 public:
  explicit MemoryDevice(std::shared_ptr<MemoryBlob> blob) : blob_(std::move(blob)) {}

  void write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) override {
    const std::lock_guard guard{blob_->mutex};
    std::memcpy(at(offset, sectors.size()), sectors.data(), sectors.size());
    done_.push_back({.tag = tag, .status = {}});
  }

  void read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) override {
    const std::lock_guard guard{blob_->mutex};
    std::memcpy(sectors.data(), at(offset, sectors.size()), sectors.size());
    done_.push_back({.tag = tag, .status = {}});
  }

  std::size_t poll(std::span<env::IoDone> out, std::uint64_t /*wait_ns*/) override {
    const std::lock_guard guard{blob_->mutex};
    const std::size_t count = std::min(out.size(), done_.size());
    std::move(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count), out.begin());
    done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }

  [[nodiscard]] std::uint64_t size() const override { return blob_->sectors_size; }

 private:
  [[nodiscard]] std::byte* at(std::uint64_t offset, std::size_t count) const {
    KIMBERLITE_ASSERT(count != 0 && count % sector_size == 0 && offset % sector_size == 0);
    KIMBERLITE_ASSERT(offset <= blob_->sectors_size && count <= blob_->sectors_size - offset);
    return blob_->sectors.get() + offset;
  }

  std::shared_ptr<MemoryBlob> blob_;
  std::deque<env::IoDone> done_;  // guarded by the blob's mutex
};

Error no_file(std::string_view path) {
  return Error{Code::not_found_file, "there is no file {}", path};
}

}  // namespace

class MemoryStorage::HeldLock final : public env::Lock {
 public:
  HeldLock(MemoryStorage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}
  ~HeldLock() override {
    const std::lock_guard guard{storage_.mutex_};
    storage_.locks_.erase(path_);
  }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  MemoryStorage& storage_;
  std::string path_;
};

MemoryStorage::MemoryStorage() = default;
MemoryStorage::~MemoryStorage() = default;

Result<std::unique_ptr<env::Lock>> MemoryStorage::lock(std::string_view path,
                                                       std::string_view holder) {
  const std::lock_guard guard{mutex_};
  const auto [held, added] = locks_.try_emplace(std::string{path}, holder);
  if (!added) return Error{Code::unavailable_in_use, "{} is in use by {}", path, held->second};
  // The lock file is a file of the directory, as on a disk.
  auto& blob = files_[std::string{path}];
  if (blob == nullptr) blob = std::make_shared<MemoryBlob>();
  const Bytes text = bytes_of(holder);
  const std::lock_guard blob_guard{blob->mutex};
  blob->bytes.assign(text.begin(), text.end());
  return std::make_unique<HeldLock>(*this, std::string{path});
}

Result<std::unique_ptr<env::File>> MemoryStorage::open(std::string_view path, env::Open mode) {
  const std::lock_guard guard{mutex_};
  auto found = files_.find(path);
  if (found == files_.end()) {
    if (mode != env::Open::create && mode != env::Open::create_new) return no_file(path);
    found = files_.emplace(std::string{path}, std::make_shared<MemoryBlob>()).first;
  } else if (mode == env::Open::create_new) {
    return env::already_there(path);
  }
  return std::make_unique<MemoryFile>(found->second);
}

Result<std::unique_ptr<env::SectorDevice>> MemoryStorage::open_device(std::string_view path,
                                                                      std::uint64_t size) {
  KIMBERLITE_ASSERT(size % sector_size == 0);
  const std::lock_guard guard{mutex_};
  auto found = files_.find(path);
  if (found == files_.end()) {
    if (size == 0) return no_file(path);
    auto blob = std::make_shared<MemoryBlob>();
    blob->sectors.reset(static_cast<std::byte*>(std::calloc(1, static_cast<std::size_t>(size))));
    if (blob->sectors == nullptr) {
      return Error{Code::unavailable_disk_full, "cannot create {}", path}.why(
          "{} bytes of memory were refused", size);
    }
    blob->sectors_size = size;
    found = files_.emplace(std::string{path}, std::move(blob)).first;
  }
  const std::uint64_t has = found->second->sectors_size;
  if (has == 0 || (size != 0 && has != size)) {
    return Error{Code::integrity_foreign_file, "{} does not have the size it was made with", path}
        .why("it is {} bytes, not {}", has, size);
  }
  return std::make_unique<MemoryDevice>(found->second);
}

Status MemoryStorage::rename(std::string_view from, std::string_view to) {
  const std::lock_guard guard{mutex_};
  const auto found = files_.find(from);
  if (found == files_.end()) return no_file(from);
  auto blob = found->second;
  files_.erase(found);
  files_.insert_or_assign(std::string{to}, std::move(blob));
  return {};
}

Status MemoryStorage::remove(std::string_view path) {
  const std::lock_guard guard{mutex_};
  const auto found = files_.find(path);
  if (found == files_.end()) return no_file(path);
  files_.erase(found);
  return {};
}

Result<std::vector<std::string>> MemoryStorage::list(std::string_view directory) {
  std::string prefix{directory};
  if (!prefix.empty() && prefix.back() != '/') prefix += '/';
  const std::lock_guard guard{mutex_};
  std::set<std::string> names;
  for (auto at = files_.lower_bound(prefix); at != files_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string_view rest = std::string_view{at->first}.substr(prefix.size());
    const std::size_t slash = rest.find('/');
    names.emplace(slash == std::string_view::npos ? rest : rest.substr(0, slash + 1));
  }
  if (names.empty() && !prefix.empty()) {
    return Error{Code::not_found_directory, "there is no directory {}", directory};
  }
  return std::vector<std::string>{names.begin(), names.end()};
}

}  // namespace kimberlite::platform

#include "vopr/sim_storage.hpp"

#include <algorithm>
#include <deque>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t file_io_ns = 5'000;
constexpr std::uint64_t sync_ns = 100'000;
constexpr std::uint64_t device_ns_min = 50'000;
constexpr std::uint64_t device_ns_spread = 250'000;

Error no_file(std::string_view path) {
  return Error{Code::not_found_file, "there is no file {}", path};
}

Error failed(Failure failure, std::string_view action, std::string_view path,
             std::uint64_t offset) {
  const Code code = failure == Failure::io ? Code::unavailable_io : Code::unavailable_disk_full;
  return Error{code, "cannot {} {}", action, path}
      .where("{}, byte {}", path, offset)
      .why("{}", failure == Failure::io ? "simulated failure" : "the simulated disk is full");
}

}  // namespace

bool can_be_disk_full(CallKind kind) {
  return kind == CallKind::create || kind == CallKind::write || kind == CallKind::device_write ||
         kind == CallKind::rename || kind == CallKind::lock;
}

// A file. Handles share it with the map of names.
//
// (S1) `durable` with all of `unsynced` applied in order is `live`.        [kept: write_file,
//      truncate, make_durable; a device has no unsynced, its `durable` is not used]
struct SimStorage::Node {
  struct Unsynced {
    std::uint64_t offset;
    Buffer bytes;
    std::optional<std::uint64_t> truncated_to;  // then no bytes
  };
  struct InFlight {
    std::uint64_t tag;
    std::uint64_t done_ns;
    std::uint64_t offset;
    Buffer bytes;  // of a write
    MutBytes to;   // of a read
    std::optional<Failure> failure;
    bool lost = false;
    bool astray = false;
  };

  FileBytes live;
  FileBytes durable;
  std::vector<Unsynced> unsynced;
  std::vector<InFlight> in_flight;
  std::set<std::uint64_t> unreadable;  // numbers of 4 KiB sectors
  bool device = false;
};

// ---- what survives ------------------------------------------------------------------------------

SimStorage::Verdict SimStorage::begin(CallKind kind, std::string_view path) {
  kinds_.push_back(kind);
  Verdict verdict;
  const std::uint64_t number = kinds_.size();
  if (strikes_ && !frozen_) {
    const Strike strike = strikes_(kind, path);
    if (strike.crash) faults_.crash_at = number;
    verdict.failure = strike.failure;
    verdict.lost = strike.lost;
    verdict.astray = strike.astray;
  }
  verdict.crash = (number == faults_.crash_at && !frozen_) || photographed_.contains(number);
  if (verdict.crash) fate_ = fate_at(number);
  const bool reads = kind == CallKind::read || kind == CallKind::device_read;
  for (const Faults::Injection& injection : faults_.injections) {
    const bool hit =
        number == injection.call || (injection.from_then_on && number > injection.call);
    if (!hit || kind == CallKind::device_done) continue;
    if (injection.failure == Failure::disk_full && !can_be_disk_full(kind)) continue;
    verdict.failure = injection.failure;
  }
  if (kind != CallKind::device_done &&
      failures_.one_in_million(reads ? faults_.read_failures : faults_.write_failures)) {
    verdict.failure = Failure::io;
  }
  return verdict;
}

void SimStorage::freeze() {
  const std::uint64_t call = kinds_.size();
  if (call == faults_.crash_at && !frozen_) frozen_ = survivors();
  // Once a call, though a call may come here twice.
  if (photographed_.erase(call) != 0) take_(call, survivors());
}

DiskImage SimStorage::survivors() {
  DiskImage image;
  for (const auto& [path, node] : nodes_) {
    image.put(path, {.bytes = survivor(*node), .device = node->device});
  }
  return image;
}

void SimStorage::photograph(std::set<std::uint64_t> calls, Take take) {
  photographed_ = std::move(calls);
  take_ = std::move(take);
}

// The write cache at work: each sector has some prefix of the writes made to it since the last
// sync.
FileBytes SimStorage::survivor(const Node& node) {
  const std::uint64_t sector = fate_.coin() ? 512 : sector_size;
  const std::uint64_t mood = fate_.below(4);  // 0 nothing, 1 everything, else each by itself
  FileBytes bytes = node.device ? node.live : node.durable;

  // How many of the writes to each sector are kept, chosen when all are counted.
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> kept;  // seen, then chosen
  const auto for_each_piece = [sector](std::uint64_t offset, Bytes from, auto&& visit) {
    while (!from.empty()) {
      const auto room = static_cast<std::size_t>(sector - offset % sector);
      const Bytes piece = from.first(std::min(room, from.size()));
      visit(offset / sector, offset, piece);
      offset += piece.size();
      from = from.subspan(piece.size());
    }
  };
  const auto count = [&kept](std::uint64_t number, std::uint64_t, Bytes) { ++kept[number].first; };
  for (const auto& write : node.unsynced) for_each_piece(write.offset, write.bytes, count);
  for (const auto& write : node.in_flight) for_each_piece(write.offset, write.bytes, count);
  for (auto& [number, counts] : kept) {
    counts.second = mood == 0 ? 0 : mood == 1 ? counts.first : fate_.below(counts.first + 1);
    counts.first = 0;
  }

  // A file's size is in its inode: some state of it since the last sync, with all before it.
  const std::uint64_t sizes = node.unsynced.size();
  const std::uint64_t sizes_kept = mood == 0 ? 0 : mood == 1 ? sizes : fate_.below(sizes + 1);
  std::uint64_t size = bytes.size();
  const auto apply = [&](std::uint64_t number, std::uint64_t offset, Bytes piece) {
    auto& [seen, chosen] = kept[number];
    if (seen++ < chosen) bytes.write(offset, piece);
  };
  for (std::uint64_t i = 0; i < sizes; ++i) {
    const auto& change = node.unsynced[static_cast<std::size_t>(i)];
    if (change.truncated_to) {
      if (i < sizes_kept) bytes.resize(*change.truncated_to);
    } else {
      for_each_piece(change.offset, change.bytes, apply);
    }
    if (i >= sizes_kept) continue;
    size = change.truncated_to ? *change.truncated_to
                               : std::max(size, change.offset + change.bytes.size());
  }
  for (const auto& write : node.in_flight) for_each_piece(write.offset, write.bytes, apply);
  bytes.resize(size);
  return bytes;
}

void SimStorage::make_durable(Node& node) {
  if (node.unsynced.empty()) return;
  node.durable = node.live;
  node.unsynced.clear();
}

DiskImage SimStorage::crash() {
  if (!frozen_) {
    fate_ = fate_at(kinds_.size());
    frozen_ = survivors();
  }
  return *frozen_;
}

std::optional<std::uint64_t> SimStorage::next_done_ns() const {
  std::optional<std::uint64_t> next;
  for (const auto& [path, node] : nodes_) {
    for (const auto& flight : node->in_flight) {
      next = std::min(next.value_or(flight.done_ns), flight.done_ns);
    }
  }
  return next;
}

DiskImage SimStorage::image() const {
  DiskImage image;
  for (const auto& [path, node] : nodes_) {
    image.put(path, {.bytes = node->live, .device = node->device});
  }
  return image;
}

// ---- reads and writes ---------------------------------------------------------------------------

void SimStorage::fail_sector(std::string_view path, std::uint64_t offset) {
  const auto found = nodes_.find(path);
  KIMBERLITE_ASSERT(found != nodes_.end());
  found->second->unreadable.insert(offset / sector_size);
}

const FileBytes& SimStorage::bytes(std::string_view path) const {
  const auto found = nodes_.find(path);
  KIMBERLITE_ASSERT(found != nodes_.end());
  return found->second->live;
}

void SimStorage::flip(std::string_view path, std::uint64_t offset, std::byte mask) {
  const auto found = nodes_.find(path);
  KIMBERLITE_ASSERT(found != nodes_.end() && offset < found->second->live.size());
  for (FileBytes* bytes : {&found->second->live, &found->second->durable}) {
    if (offset >= bytes->size()) continue;
    std::byte byte{};
    bytes->read(offset, {&byte, 1});
    byte ^= mask;
    bytes->write(offset, {&byte, 1});
  }
}

void SimStorage::lose_write(std::string_view path, std::uint64_t offset) {
  to_lose_ = {std::string{path}, offset};
  write_lost_ = false;
}

Status SimStorage::read_sectors(const Node& node, const std::string& path, std::uint64_t offset,
                                std::size_t size) {
  if (node.unreadable.empty() || size == 0) return {};
  const auto bad = node.unreadable.lower_bound(offset / sector_size);
  if (bad == node.unreadable.end() || *bad > (offset + size - 1) / sector_size) return {};
  return failed(Failure::io, "read", path, *bad * sector_size);
}

// Heals the sectors written, then lets the rates strike them.
void SimStorage::after_write(Node& node, std::uint64_t offset, std::size_t size) {
  if (size == 0) return;
  for (std::uint64_t sector = offset / sector_size; sector <= (offset + size - 1) / sector_size;
       ++sector) {
    node.unreadable.erase(sector);
    if (failures_.one_in_million(faults_.latent_errors)) node.unreadable.insert(sector);
  }
  if (failures_.one_in_million(faults_.bit_rot)) {
    const std::uint64_t at = offset + failures_.below(size);
    std::byte rotten{};
    node.live.read(at, {&rotten, 1});
    rotten ^= static_cast<std::byte>(1U << failures_.below(8));
    node.live.write(at, {&rotten, 1});
    if (!node.device)
      node.unsynced.push_back({.offset = at, .bytes = {rotten}, .truncated_to = {}});
  }
}

std::uint64_t SimStorage::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [path, node] : nodes_) used += node->live.size();
  return used;
}

Status SimStorage::write_file(Node& node, const std::string& path, std::uint64_t offset,
                              Bytes from) {
  const Verdict verdict = begin(CallKind::write, path);
  clock_.advance(file_io_ns);
  KIMBERLITE_ASSERT(!node.device);
  std::optional<Failure> failure = verdict.failure;
  const std::uint64_t end = offset + from.size();
  if (!failure && end > node.live.size() &&
      used_bytes() + (end - node.live.size()) > faults_.capacity) {
    failure = Failure::disk_full;
  }
  // A failed write may have written any part from the front.
  const std::size_t written =
      failure ? static_cast<std::size_t>(choices_.below(from.size() + 1)) : from.size();
  const Bytes part = from.first(written);
  if (!part.empty() && !verdict.lost) {
    node.unsynced.push_back(
        {.offset = offset, .bytes = Buffer{part.begin(), part.end()}, .truncated_to = {}});
    node.live.write(offset, part);
    after_write(node, offset, part.size());
  }
  if (verdict.crash) freeze();
  if (failure) return failed(*failure, "write", path, offset + written);
  return {};
}

class SimFileHandle final : public env::File {
 public:
  SimFileHandle(SimStorage& storage, std::shared_ptr<SimStorage::Node> node, std::string path,
                bool writable)
      : storage_(storage), node_(std::move(node)), path_(std::move(path)), writable_(writable) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
    const auto verdict = storage_.begin(CallKind::read, path_);
    storage_.clock_.advance(file_io_ns);
    if (verdict.crash) storage_.freeze();
    if (verdict.failure) return failed(*verdict.failure, "read", path_, offset);
    KIMBERLITE_CHECK(storage_.read_sectors(*node_, path_, offset, to.size()));
    return node_->live.read(offset, to);
  }

  Status write_at(std::uint64_t offset, Bytes from) override {
    KIMBERLITE_ASSERT(writable_);
    return storage_.write_file(*node_, path_, offset, from);
  }

  Status sync() override {
    const auto verdict = storage_.begin(CallKind::sync, path_);
    storage_.clock_.advance(sync_ns);
    if (verdict.crash) storage_.freeze();
    if (verdict.failure) return failed(*verdict.failure, "sync", path_, 0);
    if (!verdict.lost) storage_.make_durable(*node_);
    return {};
  }

  Status truncate(std::uint64_t size) override {
    KIMBERLITE_ASSERT(writable_ && !node_->device);
    const auto verdict = storage_.begin(CallKind::truncate, path_);
    if (!verdict.failure) {
      node_->unsynced.push_back({.offset = 0, .bytes = {}, .truncated_to = size});
      node_->live.resize(size);
    }
    if (verdict.crash) storage_.freeze();
    if (verdict.failure) return failed(*verdict.failure, "truncate", path_, size);
    return {};
  }

  Result<std::uint64_t> size() override { return node_->live.size(); }

 private:
  SimStorage& storage_;
  std::shared_ptr<SimStorage::Node> node_;
  std::string path_;
  bool writable_;
};

class SimDeviceHandle final : public env::SectorDevice {
 public:
  SimDeviceHandle(SimStorage& storage, std::shared_ptr<SimStorage::Node> node, std::string path)
      : storage_(storage), node_(std::move(node)), path_(std::move(path)) {}
  // Of what is in flight when the process lets go, some was done and some not.
  ~SimDeviceHandle() override {
    for (const auto& operation : node_->in_flight) {
      if (!operation.bytes.empty() && storage_.choices_.coin()) {
        node_->live.write(operation.offset, operation.bytes);
      }
    }
    node_->in_flight.clear();
  }
  SimDeviceHandle(const SimDeviceHandle&) = delete;
  SimDeviceHandle& operator=(const SimDeviceHandle&) = delete;

  void write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) override {
    check(offset, sectors);
    const auto verdict = storage_.begin(CallKind::device_write, path_);
    node_->in_flight.push_back({.tag = tag,
                                .done_ns = done_ns(),
                                .offset = offset,
                                .bytes = Buffer{sectors.begin(), sectors.end()},
                                .to = {},
                                .failure = verdict.failure,
                                .lost = verdict.lost,
                                .astray = verdict.astray});
    if (verdict.crash) storage_.freeze();
  }

  void read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) override {
    check(offset, sectors);
    const auto verdict = storage_.begin(CallKind::device_read, path_);
    node_->in_flight.push_back({.tag = tag,
                                .done_ns = done_ns(),
                                .offset = offset,
                                .bytes = {},
                                .to = sectors,
                                .failure = verdict.failure,
                                .lost = verdict.lost,
                                .astray = verdict.astray});
    if (verdict.crash) storage_.freeze();
  }

  std::size_t poll(std::span<env::IoDone> out, std::uint64_t wait_ns) override {
    auto& flights = node_->in_flight;
    SimClock& clock = storage_.clock_;
    clock.advance(1'000);  // a caller that never waits gets there too
    const auto by_time = [](const auto& a, const auto& b) { return a.done_ns < b.done_ns; };
    if (wait_ns > 0 && !flights.empty()) {
      const std::uint64_t first = std::ranges::min_element(flights, by_time)->done_ns;
      clock.advance_to(std::min(first, clock.now_ns() + wait_ns));
    }
    std::size_t count = 0;
    while (count < out.size() && !flights.empty()) {
      const auto next = std::ranges::min_element(flights, by_time);
      if (next->done_ns > clock.now_ns()) break;
      const auto operation = std::move(*next);
      flights.erase(next);
      out[count++] = {.tag = operation.tag, .status = complete(operation)};
    }
    return count;
  }

  [[nodiscard]] std::uint64_t size() const override { return node_->live.size(); }

 private:
  using InFlight = SimStorage::Node::InFlight;

  void check(std::uint64_t offset, Bytes sectors) const {
    KIMBERLITE_ASSERT(!sectors.empty() && sectors.size() % sector_size == 0);
    KIMBERLITE_ASSERT(offset % sector_size == 0 && offset <= size());
    KIMBERLITE_ASSERT(sectors.size() <= size() - offset);
    KIMBERLITE_ASSERT(reinterpret_cast<std::uintptr_t>(sectors.data()) % sector_size == 0);
  }

  std::uint64_t done_ns() {
    return storage_.clock_.now_ns() + storage_.slow_ns_ + device_ns_min +
           storage_.choices_.below(device_ns_spread);
  }

  // Another place of the device, where `size` bytes fit.
  std::uint64_t elsewhere(std::size_t size) {
    const std::uint64_t places = (node_->live.size() - size) / sector_size + 1;
    return storage_.failures_.below(places) * sector_size;
  }

  Status complete(const InFlight& operation) {
    return operation.bytes.empty() ? complete_read(operation) : complete_write(operation);
  }

  Status complete_read(const InFlight& operation) {
    std::uint64_t from = operation.offset;
    if (operation.astray || storage_.failures_.one_in_million(storage_.faults_.misdirected_reads)) {
      from = elsewhere(operation.to.size());
    }
    if (operation.failure) return failed(*operation.failure, "read", path_, operation.offset);
    KIMBERLITE_CHECK(storage_.read_sectors(*node_, path_, from, operation.to.size()));
    node_->live.read(from, operation.to);
    return {};
  }

  Status complete_write(const InFlight& operation) {
    const std::size_t size = operation.bytes.size();
    if (operation.failure) {
      for (std::size_t at = 0; at < size; at += sector_size) {
        if (*operation.failure == Failure::io && storage_.choices_.coin()) {
          node_->live.write(operation.offset + at, Bytes{operation.bytes}.subspan(at, sector_size));
        }
      }
    } else if (storage_.to_lose_ && storage_.to_lose_->first == path_ &&
               storage_.to_lose_->second <= operation.offset) {
      storage_.to_lose_.reset();
      storage_.write_lost_ = true;
    } else if (!storage_.failures_.one_in_million(storage_.faults_.lost_writes) &&
               !operation.lost) {
      const bool astray = storage_.failures_.one_in_million(storage_.faults_.misdirected_writes) ||
                          operation.astray;
      const std::uint64_t to = astray ? elsewhere(size) : operation.offset;
      node_->live.write(to, operation.bytes);
      storage_.after_write(*node_, to, size);
    }
    if (storage_.begin(CallKind::device_done, path_).crash) storage_.freeze();
    if (operation.failure) return failed(*operation.failure, "write", path_, operation.offset);
    return {};
  }

  SimStorage& storage_;
  std::shared_ptr<SimStorage::Node> node_;
  std::string path_;
};

// ---- names --------------------------------------------------------------------------------------

class SimStorage::HeldLock final : public env::Lock {
 public:
  HeldLock(SimStorage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}
  ~HeldLock() override { storage_.locks_.erase(path_); }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  SimStorage& storage_;
  std::string path_;
};

SimStorage::SimStorage(std::uint64_t seed, SimClock& clock, const DiskImage& image, Faults faults)
    : seed_(seed),
      choices_(seed, 2),
      failures_(seed, 3),
      fate_(fate_at(0)),
      clock_(clock),
      faults_(std::move(faults)) {
  for (const auto& [path, file] : image.files()) {
    auto node = std::make_shared<Node>();
    node->live = file.bytes;
    node->durable = file.bytes;
    node->device = file.device;
    nodes_.emplace(path, std::move(node));
  }
}

SimStorage::~SimStorage() = default;

template <class Change>
void SimStorage::change_names(const Verdict& verdict, Change change) {
  const bool before = verdict.crash && fate_.coin();
  if (before) freeze();
  change();
  if (verdict.crash && !before) freeze();
}

Result<std::unique_ptr<env::Lock>> SimStorage::lock(std::string_view path,
                                                    std::string_view holder) {
  const Verdict verdict = begin(CallKind::lock, path);
  const auto held = locks_.find(path);
  if (held != locks_.end()) {
    if (verdict.crash) freeze();
    return Error{Code::unavailable_in_use, "{} is in use by {}", path, held->second};
  }
  if (verdict.failure) {
    if (verdict.crash) freeze();
    return failed(*verdict.failure, "lock", path, 0);
  }
  locks_.emplace(path, holder);
  change_names(verdict, [&] {
    auto& node = nodes_[std::string{path}];
    if (node == nullptr) node = std::make_shared<Node>();
    node->live.resize(0);
    node->live.write(0, bytes_of(holder));
    node->durable = node->live;
  });
  return std::make_unique<HeldLock>(*this, std::string{path});
}

Result<std::unique_ptr<env::File>> SimStorage::open(std::string_view path, env::Open mode) {
  auto found = nodes_.find(path);
  if (found == nodes_.end()) {
    if (mode != env::Open::create && mode != env::Open::create_new) return no_file(path);
    const Verdict verdict = begin(CallKind::create, path);
    clock_.advance(sync_ns);
    if (verdict.failure) {
      if (verdict.crash) freeze();
      return failed(*verdict.failure, "create", path, 0);
    }
    change_names(verdict, [&] {
      found = nodes_.emplace(std::string{path}, std::make_shared<Node>()).first;
    });
  } else if (mode == env::Open::create_new) {
    return env::already_there(path);
  }
  return std::make_unique<SimFileHandle>(*this, found->second, std::string{path},
                                         mode != env::Open::read);
}

Result<std::unique_ptr<env::SectorDevice>> SimStorage::open_device(std::string_view path,
                                                                   std::uint64_t size) {
  KIMBERLITE_ASSERT(size % sector_size == 0);
  auto found = nodes_.find(path);
  if (found == nodes_.end()) {
    if (size == 0) return no_file(path);
    const Verdict verdict = begin(CallKind::create, path);
    clock_.advance(sync_ns);
    std::optional<Failure> failure = verdict.failure;
    if (!failure && used_bytes() + size > faults_.capacity) failure = Failure::disk_full;
    const auto leave_unfinished = [&] {
      auto unfinished = std::make_shared<Node>();
      unfinished->live.resize(fate_.below(size / sector_size) * sector_size);
      unfinished->durable = unfinished->live;
      nodes_.insert_or_assign(std::string{path} + ".new", std::move(unfinished));
    };
    if (failure) {
      if (verdict.crash) freeze();
      return failed(*failure, "create", path, 0);
    }
    if (verdict.crash && fate_.coin()) {
      leave_unfinished();
      freeze();
    }
    nodes_.erase(std::string{path} + ".new");
    auto node = std::make_shared<Node>();
    node->device = true;
    node->live.resize(size);
    found = nodes_.emplace(std::string{path}, std::move(node)).first;
    if (verdict.crash) freeze();
  }
  const std::uint64_t has = found->second->live.size();
  // Not `device`: a damaged or foreign file stands under the name all the same, as on Linux.
  if (has == 0 || has % sector_size != 0 || (size != 0 && has != size)) {
    return Error{Code::integrity_foreign_file, "{} does not have the size it was made with", path}
        .why("it is {} bytes, not {}", has, size);
  }
  found->second->device = true;
  return std::make_unique<SimDeviceHandle>(*this, found->second, std::string{path});
}

Status SimStorage::rename(std::string_view from, std::string_view to) {
  const Verdict verdict = begin(CallKind::rename, from);
  clock_.advance(sync_ns);
  const auto found = nodes_.find(from);
  if (found == nodes_.end()) {
    if (verdict.crash) freeze();
    return no_file(from);
  }
  if (verdict.failure) {
    if (verdict.crash) freeze();
    return failed(*verdict.failure, "rename", from, 0);
  }
  change_names(verdict, [&] {
    auto node = found->second;
    nodes_.erase(found);
    nodes_.insert_or_assign(std::string{to}, std::move(node));
  });
  return {};
}

Status SimStorage::remove(std::string_view path) {
  const Verdict verdict = begin(CallKind::remove, path);
  clock_.advance(sync_ns);
  const auto found = nodes_.find(path);
  if (found == nodes_.end()) {
    if (verdict.crash) freeze();
    return no_file(path);
  }
  if (verdict.failure) {
    if (verdict.crash) freeze();
    return failed(*verdict.failure, "remove", path, 0);
  }
  change_names(verdict, [&] { nodes_.erase(found); });
  return {};
}

Result<std::vector<std::string>> SimStorage::list(std::string_view directory) {
  std::string prefix{directory};
  if (!prefix.empty() && prefix.back() != '/') prefix += '/';
  std::set<std::string> names;
  for (auto at = nodes_.lower_bound(prefix); at != nodes_.end() && at->first.starts_with(prefix);
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

Status SimStorage::sync_all() {
  const Verdict verdict = begin(CallKind::sync_all, "");
  clock_.advance(sync_ns);
  if (verdict.crash) freeze();
  if (verdict.failure) return failed(*verdict.failure, "sync", "", 0);
  for (const auto& [path, node] : nodes_) make_durable(*node);
  return {};
}

Result<std::uint64_t> SimStorage::free_bytes() {
  const std::uint64_t used = used_bytes();
  return used >= faults_.capacity ? 0 : faults_.capacity - used;
}

}  // namespace kimberlite::vopr

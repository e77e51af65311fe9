#include "projection/vfs.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "vfs_recovery.hpp"
#include "vfs_seal.hpp"
#include "vfs_state.hpp"
#include "vfs_wal.hpp"

namespace kimberlite::projection {
namespace {

// A checkpoint holds each page for microseconds.
constexpr int torn_tries = 8;

// ---- an open file ------------------------------------------------------------------------------

// What stands behind a `sqlite3_file` of this VFS; the connection's own, used by one thread.
//
// The header of a frame being appended is held back until its page comes, as it does in SQLite's
// next call: one write a frame instead of two. Everything else flushes it first.
class OpenFile {
 public:
  OpenFile(VfsState& state, std::unique_ptr<env::File> file, bool is_wal)
      : state_(state), file_(std::move(file)), is_wal_(is_wal) {}

  int read(MutBytes to, std::uint64_t offset);
  int write(Bytes from, std::uint64_t offset);
  int truncate(std::uint64_t size);
  int sync();
  int size(std::int64_t& size);
  int close();

  [[nodiscard]] bool is_wal() const { return is_wal_; }
  VfsState& state() { return state_; }
  Hold hold;

 private:
  int read_page(MutBytes to, std::uint64_t offset);
  int read_frame(MutBytes to, std::uint64_t offset);
  int write_page(Bytes from, std::uint64_t offset);
  int write_wal_header(Bytes from);
  int write_frame_page(std::uint32_t frame, Bytes from);
  int flush();
  int fail(int code, Error error);
  int fail_write(Error error);

  VfsState& state_;
  std::unique_ptr<env::File> file_;
  const bool is_wal_;
  std::uint32_t held_back_ = 0;  // the frame whose header stands in `frame_`, unwritten; 0: none
  std::uint32_t appended_ = 0;   // the last frame written whole by this connection
  std::array<std::byte, frame_size> frame_{};
};

int OpenFile::fail(int code, Error error) {
  if (code == SQLITE_IOERR_DATA) state_.condemn(error);
  state_.remember(std::move(error));
  return code;
}

int OpenFile::fail_write(Error error) {
  const bool full = error.code() == Code::unavailable_disk_full;
  return fail(full ? SQLITE_FULL : SQLITE_IOERR_WRITE, std::move(error));
}

int OpenFile::read(MutBytes to, std::uint64_t offset) {
  if (const int code = flush(); code != SQLITE_OK) return code;
  return is_wal_ ? read_frame(to, offset) : read_page(to, offset);
}

int OpenFile::write(Bytes from, std::uint64_t offset) {
  if (!is_wal_) return write_page(from, offset);
  if (offset == 0 && from.size() == wal_header_size) return write_wal_header(from);
  KIMBERLITE_ASSERT(offset >= wal_header_size);
  const auto frame = static_cast<std::uint32_t>((offset - wal_header_size) / frame_size + 1);
  const std::uint64_t in_frame = (offset - wal_header_size) % frame_size;
  if (in_frame == frame_header_size && from.size() == page_size) {
    return write_frame_page(frame, from);
  }
  KIMBERLITE_ASSERT(in_frame == 0 && from.size() == frame_header_size);
  if (const int code = flush(); code != SQLITE_OK) return code;
  std::memcpy(frame_.data(), from.data(), from.size());
  held_back_ = frame;
  // No page follows a header that is written anew: SQLite corrects the checksums of its
  // transaction.
  return frame > appended_ ? SQLITE_OK : flush();
}

// SQLite reads whole pages, but of page 1 also its first 100 bytes, and 16 at 24. Those it reads
// without a lock, when a checkpoint may be writing the page: half of one and half of the other is
// no damage.
int OpenFile::read_page(MutBytes to, std::uint64_t offset) {
  const auto number = static_cast<std::uint32_t>(offset / page_size + 1);
  const auto skip = static_cast<std::size_t>(offset % page_size);
  KIMBERLITE_ASSERT(skip + to.size() <= page_size);
  const bool whole = to.size() == page_size;
  const Page page = whole ? Page{to} : Page{MutBytes{frame_}.first(page_size)};
  bool is_good = false;
  for (int i = 0; i < (whole ? 1 : torn_tries) && !is_good; ++i) {
    const auto got = file_->read_at(offset - skip, page);
    if (!got) return fail(SQLITE_IOERR_READ, got.error());
    if (*got < page_size) {
      // Behind the end, where SQLite looks when it undoes an allocation. `recover` saw to it that
      // no page that counts is missing.
      std::ranges::fill(to, std::byte{0});
      return SQLITE_IOERR_SHORT_READ;
    }
    is_good = state_.sealer.open_page(number, page);
  }
  if (!is_good) {
    return fail(SQLITE_IOERR_DATA, damage(state_.path, offset - skip,
                                          fmt::format("page {} of a projection is damaged", number),
                                          "it does not authenticate under the file's key")
                                       .error);
  }
  if (!whole) std::memcpy(to.data(), &page[skip], to.size());
  return SQLITE_OK;
}

// The WAL's header and frame headers are in the clear; a page is read with the header it is bound
// to.
int OpenFile::read_frame(MutBytes to, std::uint64_t offset) {
  const std::uint64_t in_frame =
      offset < wal_header_size ? 0 : (offset - wal_header_size) % frame_size;
  const bool header_only = offset < wal_header_size || in_frame + to.size() <= frame_header_size;
  if (header_only) {
    const auto got = file_->read_at(offset, to);
    if (!got) return fail(SQLITE_IOERR_READ, got.error());
    if (*got == to.size()) return SQLITE_OK;
    std::ranges::fill(to.subspan(*got), std::byte{0});
    return SQLITE_IOERR_SHORT_READ;
  }
  KIMBERLITE_ASSERT(in_frame + to.size() <= frame_size);
  KIMBERLITE_ASSERT(in_frame == 0 || in_frame >= frame_header_size);
  const auto frame = static_cast<std::uint32_t>((offset - wal_header_size) / frame_size + 1);
  const auto got = file_->read_at(frame_offset(frame), frame_);
  if (!got) return fail(SQLITE_IOERR_READ, got.error());
  if (*got < frame_size) {
    std::ranges::fill(to, std::byte{0});
    return SQLITE_IOERR_SHORT_READ;
  }
  const FrameHeader header = std::span{frame_}.first<frame_header_size>();
  const Page page = std::span{frame_}.subspan<frame_header_size>();
  if (!state_.sealer.open_frame(frame, state_.wal_state.generation(), header, page)) {
    return fail(SQLITE_IOERR_DATA,
                damage(state_.wal, frame_offset(frame),
                       fmt::format("WAL frame {} of a projection, page {}, is damaged", frame,
                                   load_be32(header.data())),
                       "it does not authenticate under the file's key")
                    .error);
  }
  std::memcpy(to.data(), &frame_[static_cast<std::size_t>(in_frame)], to.size());
  return SQLITE_OK;
}

int OpenFile::write_page(Bytes from, std::uint64_t offset) {
  KIMBERLITE_ASSERT(from.size() == page_size && offset % page_size == 0);
  const auto number = static_cast<std::uint32_t>(offset / page_size + 1);
  const Page page{MutBytes{frame_}.first(page_size)};
  std::memcpy(page.data(), from.data(), page_size);
  state_.sealer.seal_page(number, state_.wal_state.durable(), page, state_.env.random);
  const Status written = file_->write_at(offset, page);
  return written ? SQLITE_OK : fail_write(written.error());
}

int OpenFile::write_wal_header(Bytes from) {
  if (const int code = flush(); code != SQLITE_OK) return code;
  appended_ = 0;
  // Before the bytes can be there: a frame of the new generation is never taken for one of the old.
  state_.wal_state.header_written(generation_in_wal_header(from.first<wal_header_size>()));
  const Status written = file_->write_at(0, from);
  return written ? SQLITE_OK : fail_write(written.error());
}

int OpenFile::write_frame_page(std::uint32_t frame, Bytes from) {
  const Page page = std::span{frame_}.subspan<frame_header_size>();
  const bool with_header = held_back_ == frame;
  if (!with_header) {
    // A page of this very transaction is written over where it stands; its header is there already.
    if (const int code = flush(); code != SQLITE_OK) return code;
    const auto got = file_->read_at(frame_offset(frame), MutBytes{frame_}.first(frame_header_size));
    if (!got) return fail(SQLITE_IOERR_READ, got.error());
    KIMBERLITE_ASSERT(*got == frame_header_size);
  }
  held_back_ = 0;
  const FrameHeader header = std::span{frame_}.first<frame_header_size>();
  std::memcpy(page.data(), from.data(), page_size);
  state_.sealer.seal_frame(frame, state_.wal_state.generation(), header, page, state_.env.random);
  const Status written = with_header
                             ? file_->write_at(frame_offset(frame), frame_)
                             : file_->write_at(frame_offset(frame) + frame_header_size, page);
  if (!written) return fail_write(written.error());
  appended_ = with_header ? frame : appended_;
  state_.wal_state.frame_written(frame, commit_size(header) != 0);
  return SQLITE_OK;
}

// Writes a header that is held back, alone.
int OpenFile::flush() {
  if (held_back_ == 0) return SQLITE_OK;
  const std::uint32_t frame = std::exchange(held_back_, 0U);
  const Status written =
      file_->write_at(frame_offset(frame), Bytes{frame_}.first(frame_header_size));
  return written ? SQLITE_OK : fail_write(written.error());
}

int OpenFile::truncate(std::uint64_t size) {
  if (const int code = flush(); code != SQLITE_OK) return code;
  const Status cut = file_->truncate(size);
  return cut ? SQLITE_OK : fail(SQLITE_IOERR_TRUNCATE, cut.error());
}

int OpenFile::sync() {
  if (const int code = flush(); code != SQLITE_OK) return code;
  const Origin committed = state_.wal_state.committed();
  if (const Status synced = file_->sync(); !synced) {
    return fail(SQLITE_IOERR_FSYNC, synced.error());
  }
  if (is_wal_) state_.wal_state.synced(committed);
  return SQLITE_OK;
}

int OpenFile::size(std::int64_t& size) {
  if (const int code = flush(); code != SQLITE_OK) return code;
  const auto measured = file_->size();
  if (!measured) return fail(SQLITE_IOERR_FSTAT, measured.error());
  size = static_cast<std::int64_t>(*measured);
  return SQLITE_OK;
}

int OpenFile::close() { return flush(); }

// ---- SQLite's file methods ----------------------------------------------------------------------

struct Handle {
  sqlite3_file base;  // first: SQLite sees only this
  OpenFile* file;
};

OpenFile& file_of(sqlite3_file* handle) { return *reinterpret_cast<Handle*>(handle)->file; }

MutBytes bytes_at(void* at, int count) {
  return {static_cast<std::byte*>(at), static_cast<std::size_t>(count)};
}
Bytes bytes_at(const void* at, int count) {
  return {static_cast<const std::byte*>(at), static_cast<std::size_t>(count)};
}

int x_close(sqlite3_file* handle) {
  OpenFile& file = file_of(handle);
  VfsState& state = file.state();
  const bool is_wal = file.is_wal();
  const int code = file.close();
  if (!is_wal) {
    state.shared_memory.unmap(file.hold);
    state.locks.unlock(file.hold, SQLITE_LOCK_NONE);
  }
  delete &file;
  if (!is_wal) state.leave();
  return code;
}

int x_read(sqlite3_file* handle, void* to, int count, sqlite3_int64 offset) {
  return file_of(handle).read(bytes_at(to, count), static_cast<std::uint64_t>(offset));
}

int x_write(sqlite3_file* handle, const void* from, int count, sqlite3_int64 offset) {
  return file_of(handle).write(bytes_at(from, count), static_cast<std::uint64_t>(offset));
}

int x_truncate(sqlite3_file* handle, sqlite3_int64 size) {
  return file_of(handle).truncate(static_cast<std::uint64_t>(size));
}

int x_sync(sqlite3_file* handle, int /*flags*/) { return file_of(handle).sync(); }

int x_file_size(sqlite3_file* handle, sqlite3_int64* size) {
  std::int64_t measured = 0;
  const int code = file_of(handle).size(measured);
  *size = measured;
  return code;
}

int x_lock(sqlite3_file* handle, int level) {
  OpenFile& file = file_of(handle);
  return file.state().locks.lock(file.hold, level);
}

int x_unlock(sqlite3_file* handle, int level) {
  OpenFile& file = file_of(handle);
  file.state().locks.unlock(file.hold, level);
  return SQLITE_OK;
}

int x_check_reserved_lock(sqlite3_file* handle, int* reserved) {
  *reserved = file_of(handle).state().locks.reserved() ? 1 : 0;
  return SQLITE_OK;
}

int x_file_control(sqlite3_file* /*handle*/, int /*operation*/, void* /*argument*/) {
  return SQLITE_NOTFOUND;
}

int x_sector_size(sqlite3_file* /*handle*/) { return static_cast<int>(page_size); }

// A write leaves the bytes around it alone, also when the power fails.
int x_device_characteristics(sqlite3_file* /*handle*/) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
}

int x_shm_map(sqlite3_file* handle, int region, int size, int extend, void volatile** to) {
  KIMBERLITE_ASSERT(size == static_cast<int>(SharedMemory::region_size));
  OpenFile& file = file_of(handle);
  *to = file.state().shared_memory.map(file.hold, static_cast<std::size_t>(region), extend != 0);
  return SQLITE_OK;
}

int x_shm_lock(sqlite3_file* handle, int first, int count, int flags) {
  OpenFile& file = file_of(handle);
  return file.state().shared_memory.lock(file.hold, first, count, flags);
}

void x_shm_barrier(sqlite3_file* handle) { file_of(handle).state().shared_memory.barrier(); }

int x_shm_unmap(sqlite3_file* handle, int /*remove*/) {
  OpenFile& file = file_of(handle);
  file.state().shared_memory.unmap(file.hold);
  return SQLITE_OK;
}

constexpr sqlite3_io_methods io_methods{
    .iVersion = 2,  // no memory mapping: pages are opened on their way in
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved_lock,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_device_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

// ---- SQLite's VFS methods -----------------------------------------------------------------------

VfsState& state_of(sqlite3_vfs* vfs) { return *static_cast<VfsState*>(vfs->pAppData); }

Error refused(const char* name) {
  return Error{Code::internal_bug, "SQLite asked for a file a projection does not have"}
      .where("{}", name == nullptr ? "a temporary file" : name)
      .why("only the database and its write-ahead log are sealed")
      .next("set temp_store to MEMORY before the first statement");
}

int open_file(VfsState& state, const char* name, Handle& handle, int flags) {
  const std::string_view wanted = name == nullptr ? std::string_view{} : name;
  const bool is_wal = wanted == state.wal && (flags & SQLITE_OPEN_WAL) != 0;
  const bool is_database = wanted == state.path && (flags & SQLITE_OPEN_MAIN_DB) != 0;
  if (!is_wal && !is_database) {
    state.remember(refused(name));
    return SQLITE_CANTOPEN;
  }
  if (is_database) {
    if (Status entered = state.enter((flags & SQLITE_OPEN_CREATE) != 0); !entered) {
      const bool data = entered.error().code() == Code::integrity_projection;
      state.remember(std::move(entered).error());
      return data ? SQLITE_IOERR_DATA : SQLITE_CANTOPEN;
    }
  }
  const bool read_only = (flags & SQLITE_OPEN_READONLY) != 0;
  auto file = state.env.storage.open(wanted, read_only ? env::Open::read : env::Open::write);
  if (!file) {
    if (is_database) state.leave();
    state.remember(std::move(file).error());
    return SQLITE_CANTOPEN;
  }
  handle.file = new OpenFile{state, *std::move(file), is_wal};
  handle.base.pMethods = &io_methods;
  return SQLITE_OK;
}

int x_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* opened_as) {
  auto& handle = *new (file) Handle{};
  const int code = open_file(state_of(vfs), name, handle, flags);
  if (code == SQLITE_OK && opened_as != nullptr) *opened_as = flags;
  return code;
}

// The WAL is emptied, not removed (R2); SQLite does it when all of it has been checkpointed.
int x_delete(sqlite3_vfs* vfs, const char* name, int /*sync_directory*/) {
  VfsState& state = state_of(vfs);
  if (std::string_view{name} != state.wal) {
    state.remember(refused(name));
    return SQLITE_IOERR_DELETE;
  }
  const auto empty = [&]() -> Status {
    KIMBERLITE_TRY(const auto wal, state.env.storage.open(state.wal, env::Open::write));
    KIMBERLITE_CHECK(wal->truncate(0));
    return wal->sync();
  };
  if (Status emptied = empty(); !emptied) {
    state.remember(std::move(emptied).error());
    return SQLITE_IOERR_DELETE;
  }
  return SQLITE_OK;
}

// A file is there if it holds something, as SQLite's own VFS has it; of journals none ever is.
int x_access(sqlite3_vfs* vfs, const char* name, int /*flags*/, int* result) {
  VfsState& state = state_of(vfs);
  *result = 0;
  const std::string_view wanted{name};
  if (wanted != state.path && wanted != state.wal) return SQLITE_OK;
  auto file = state.env.storage.open(wanted, env::Open::read);
  if (!file && file.error().code() == Code::not_found_file) return SQLITE_OK;
  auto size = file ? (*file)->size() : Result<std::uint64_t>{std::move(file).error()};
  if (!size) {
    state.remember(std::move(size).error());
    return SQLITE_IOERR_ACCESS;
  }
  *result = *size > 0 ? 1 : 0;
  return SQLITE_OK;
}

int x_full_pathname(sqlite3_vfs* /*vfs*/, const char* name, int room, char* to) {
  const std::string_view text{name};
  if (text.size() + 1 > static_cast<std::size_t>(room)) return SQLITE_CANTOPEN;
  std::memcpy(to, name, text.size() + 1);
  return SQLITE_OK;
}

void* x_dl_open(sqlite3_vfs* /*vfs*/, const char* /*name*/) { return nullptr; }

void x_dl_error(sqlite3_vfs* /*vfs*/, int room, char* to) {
  sqlite3_snprintf(room, to, "extensions are not loaded");
}

void (*x_dl_sym(sqlite3_vfs* /*vfs*/, void* /*library*/, const char* /*symbol*/))() {
  return nullptr;
}

void x_dl_close(sqlite3_vfs* /*vfs*/, void* /*library*/) {}

int x_randomness(sqlite3_vfs* vfs, int count, char* to) {
  state_of(vfs).env.random.fill(bytes_at(static_cast<void*>(to), count));
  return count;
}

// SQLite waits here for another connection's lock, which is rare: one connection writes. `run_one`
// would run tasks inside a statement, and an environment has no other way to wait, so the thread
// looks at the clock until the time has passed; the bound holds should the clock stand still.
int x_sleep(sqlite3_vfs* vfs, int microseconds) {
  constexpr std::uint32_t looks_max = 10'000'000;
  env::Clock& clock = state_of(vfs).env.clock;
  const std::uint64_t until_ns =
      clock.monotonic_ns() + static_cast<std::uint64_t>(microseconds) * 1'000;
  std::uint32_t looks = 0;
  while (looks < looks_max && clock.monotonic_ns() < until_ns) ++looks;
  return microseconds;
}

// Milliseconds since noon of 24 November 4714 BC, as SQLite counts them.
int x_current_time_int64(sqlite3_vfs* vfs, sqlite3_int64* now) {
  constexpr std::int64_t unix_epoch_ms = 210'866'760'000'000;
  const std::uint64_t us = state_of(vfs).env.clock.realtime().value();
  *now = unix_epoch_ms + static_cast<std::int64_t>(us / 1'000);
  return SQLITE_OK;
}

int x_current_time(sqlite3_vfs* vfs, double* now) {
  constexpr double ms_per_day = 86'400'000.0;
  sqlite3_int64 ms = 0;
  const int code = x_current_time_int64(vfs, &ms);
  *now = static_cast<double>(ms) / ms_per_day;
  return code;
}

int x_get_last_error(sqlite3_vfs* /*vfs*/, int /*room*/, char* /*to*/) { return 0; }

constexpr int path_size_max = 1024;

void fill_methods(VfsState& state) {
  sqlite3_vfs& vfs = state.vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = path_size_max;
  vfs.zName = state.name.c_str();
  vfs.pAppData = &state;
  vfs.xOpen = x_open;
  vfs.xDelete = x_delete;
  vfs.xAccess = x_access;
  vfs.xFullPathname = x_full_pathname;
  vfs.xDlOpen = x_dl_open;
  vfs.xDlError = x_dl_error;
  vfs.xDlSym = x_dl_sym;
  vfs.xDlClose = x_dl_close;
  vfs.xRandomness = x_randomness;
  vfs.xSleep = x_sleep;
  vfs.xCurrentTime = x_current_time;
  vfs.xGetLastError = x_get_last_error;
  vfs.xCurrentTimeInt64 = x_current_time_int64;
}

Status remove_if_there(env::Storage& storage, const std::string& path) {
  Status removed = storage.remove(path);
  if (!removed && removed.error().code() == Code::not_found_file) return {};
  return removed;
}

}  // namespace

Vfs::Vfs(std::unique_ptr<VfsState> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Vfs>> Vfs::make(env::Env env, std::string path, crypto::Key256 page_key,
                                       Id128 file_id) {
  auto state = std::make_unique<VfsState>(env, std::move(path), std::move(page_key), file_id);
  fill_methods(*state);
  if (state->wal.size() >= static_cast<std::size_t>(path_size_max)) {
    return Error{Code::limit_name, "the path of a projection is too long"}.where("{}", state->path);
  }
  if (sqlite3_vfs_register(&state->vfs, 0) != SQLITE_OK) {
    return Error{Code::limit_memory, "SQLite refused a projection's VFS"}.where("{}", state->path);
  }
  return std::unique_ptr<Vfs>{new Vfs{std::move(state)}};
}

Vfs::~Vfs() {
  KIMBERLITE_ASSERT(!state_->in_use());
  sqlite3_vfs_unregister(&state_->vfs);
}

const std::string& Vfs::name() const { return state_->name; }
const std::string& Vfs::path() const { return state_->path; }
std::optional<Error> Vfs::take_error() { return state_->take_error(); }

void Vfs::on_damage(std::function<void(const Error&)> hook) { state_->on_damage = std::move(hook); }

Status Vfs::remove_files(env::Storage& storage, const std::string& path) {
  KIMBERLITE_CHECK(remove_if_there(storage, path));
  KIMBERLITE_CHECK(remove_if_there(storage, path + ".new"));
  return remove_if_there(storage, wal_path(path));
}

Result<Scrub> scrub(env::Storage& storage, const std::string& path, const crypto::Key256& page_key,
                    const Id128& file_id) {
  return scrub_files(storage, path, PageSealer{page_key.duplicate(), file_id});
}

}  // namespace kimberlite::projection

#include <fmt/format.h>

#include <algorithm>

#include "consensus/journal.hpp"
#include "engine/verify.hpp"
#include "files.hpp"
#include "journal_io.hpp"
#include "kernel/command.hpp"
#include "keystore/keystore.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "log/segment.hpp"
#include "projection/vfs.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"
#include "snapshot_file.hpp"
#include "tenant_files.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t page_size = 4096;
constexpr std::uint64_t wal_header_size = 32;
constexpr std::uint64_t wal_frame_header_size = 24;

VerifyFinding finding_of(const Error& error, std::string_view file, std::uint64_t offset) {
  return {.code = error.code(), .file = std::string{file}, .offset = offset, .what = error.what()};
}

void add_fact(Inspection& into, std::string_view name, std::string value) {
  into.facts.emplace_back(name, std::move(value));
}

Result<consensus::Block*> read_device(env::Storage& storage, std::string_view path,
                                      std::unique_ptr<consensus::Block>& block) {
  KIMBERLITE_TRY(const auto device, storage.open_device(path, 0));
  block = std::make_unique<consensus::Block>(device->size());
  block->resize(device->size());
  KIMBERLITE_CHECK(read_sectors(*device, 0, block->bytes()));
  return block.get();
}

Result<Inspection> inspect_superblock(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "superblock"};
  std::unique_ptr<consensus::Block> block;
  KIMBERLITE_TRY(const consensus::Block* bytes, read_device(storage, path, block));
  if (bytes->size() != consensus::superblock_size) {
    return Error{Code::usage_not_ours, "the file has {} bytes, a superblock has {}", bytes->size(),
                 consensus::superblock_size};
  }
  const auto read = consensus::read_superblock(
      std::span<const std::byte, consensus::superblock_size>{bytes->bytes()});
  if (!read) {
    out.findings.push_back(finding_of(read.error(), path, 0));
  } else {
    const consensus::Superblock& superblock = read->superblock;
    add_fact(out, "cluster", to_hex(superblock.cluster));
    add_fact(out, "sequence", std::to_string(superblock.sequence));
    add_fact(out, "replica",
             fmt::format("{} of {}", superblock.replica, superblock.configuration.member_count()));
    add_fact(out, "incarnation", std::to_string(superblock.incarnation));
    add_fact(out, "view", std::to_string(superblock.view.value()));
    add_fact(out, "log view", std::to_string(superblock.log_view.value()));
    add_fact(out, "checkpoint op", std::to_string(superblock.checkpoint.op.value()));
    add_fact(out, "heads digest", to_hex(superblock.checkpoint.heads));
    add_fact(out, "state digest", to_hex(superblock.checkpoint.state));
    for (const consensus::Finding& finding : read->findings) {
      out.findings.push_back(finding_of(finding.error, path, finding.offset));
    }
  }
  for (std::uint64_t copy = 0; copy < consensus::superblock_copies; ++copy) {
    out.ranges.push_back({copy * sector_size, sector_size, fmt::format("copy {}", copy)});
  }
  return out;
}

Result<Inspection> inspect_journal(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "journal"};
  std::unique_ptr<consensus::Block> superblock_bytes;
  KIMBERLITE_TRY(const consensus::Block* superblock_block,
                 read_device(storage, files::superblock, superblock_bytes));
  KIMBERLITE_TRY(const auto superblock,
                 consensus::read_superblock(std::span<const std::byte, consensus::superblock_size>{
                     superblock_block->bytes()}));
  KIMBERLITE_TRY(const auto device, storage.open_device(path, 0));
  if (device->size() <= consensus::marks_size) {
    return Error{Code::usage_not_ours, "the file is too short for a journal"};
  }
  KIMBERLITE_TRY(
      const consensus::JournalAudit audit,
      consensus::audit_journal(superblock.superblock,
                               consensus::limits_of(device->size() - consensus::marks_size),
                               reader_of(*device)));
  add_fact(out, "newest op", std::to_string(audit.head.value()));
  add_fact(out, "live frames", std::to_string(audit.live_frames));
  for (const consensus::JournalRange& range : audit.ranges) {
    const bool live =
        range.kind == consensus::RangeKind::mark || range.kind == consensus::RangeKind::live_frame;
    std::string what{consensus::name(range.kind)};
    if (range.op.value() != 0) what += fmt::format(", op {}", range.op.value());
    out.ranges.push_back({range.offset, range.size, std::move(what), !live});
  }
  for (const consensus::Finding& finding : audit.findings) {
    out.findings.push_back(finding_of(finding.error, path, finding.offset));
  }
  return out;
}

Result<Inspection> inspect_keystore(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "keystore"};
  KIMBERLITE_TRY(const Buffer bytes, read_whole(storage, path));
  const auto header = keystore::read_header(bytes);
  if (!header) {
    out.findings.push_back(finding_of(header.error(), path, 0));
    out.ranges.push_back({0, bytes.size(), "damaged keystore"});
    return out;
  }
  add_fact(out, "op", std::to_string(header->op.value()));
  add_fact(out, "cluster", to_hex(header->cluster));
  add_fact(out, "epoch key", to_hex(header->epoch_key));
  out.ranges.push_back({0, header->wrapped_at, "header"});
  out.ranges.push_back({header->wrapped_at, header->wrapped_size, "epoch key, wrapped"});
  out.ranges.push_back({header->sealed_at, header->sealed_size, "keys, sealed"});
  const std::uint64_t end = header->sealed_at + header->sealed_size;
  out.ranges.push_back({end, bytes.size() - end, "checksum"});
  return out;
}

Result<Inspection> inspect_snapshot(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "snapshot"};
  KIMBERLITE_TRY(const Buffer bytes, read_whole(storage, path));
  const auto header = read_snapshot_header(bytes);
  if (!header) {
    out.findings.push_back(finding_of(header.error(), path, 0));
    out.ranges.push_back({0, bytes.size(), "damaged snapshot"});
    return out;
  }
  add_fact(out, "op", std::to_string(header->op.value()));
  add_fact(out, "cluster", to_hex(header->cluster));
  out.ranges.push_back({0, header->sealed_at, "header"});
  out.ranges.push_back({header->sealed_at, header->sealed_size, "state, sealed"});
  const std::uint64_t end = header->sealed_at + header->sealed_size;
  out.ranges.push_back({end, bytes.size() - end, "checksum"});
  return out;
}

// Frames of a segment from `offset` on, until its footer, its end, or bytes that are no frame.
void inspect_frames(Bytes bytes, std::uint64_t offset, std::string_view path, Inspection& out) {
  while (offset < bytes.size()) {
    const Bytes rest = bytes.subspan(offset);
    if (log::looks_like_footer(rest)) {
      const std::size_t size = std::min<std::size_t>(rest.size(), log::segment_footer_size);
      out.ranges.push_back({offset, size, "footer"});
      offset += size;
      continue;
    }
    const auto frame = record::parse_frame(rest);
    if (!frame) {
      out.findings.push_back(finding_of(frame.error(), path, offset));
      out.ranges.push_back({offset, rest.size(), "not a whole frame"});
      return;
    }
    const auto entry =
        record::decode(std::span<const std::byte, record::entry_size>{frame->entry_bytes});
    std::string what = "record";
    if (entry) {
      what = fmt::format("record {}, {}, op {}.{}, {} item{}", entry->position.value(),
                         kernel::kind_name(entry->kind), frame->op.value(), frame->index,
                         entry->item_count, entry->item_count == 1 ? "" : "s");
    } else {
      out.findings.push_back(finding_of(entry.error(), path, offset));
    }
    out.ranges.push_back({offset, frame->size, std::move(what)});
    offset += frame->size;
  }
}

Result<Inspection> inspect_segment(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "segment"};
  KIMBERLITE_TRY(const Buffer bytes, read_whole(storage, path));
  if (bytes.size() < log::segment_header_size) {
    out.ranges.push_back({0, bytes.size(), "unfinished header", true});
    return out;
  }
  const auto header = log::decode_header(std::span<const std::byte, log::segment_header_size>{
      Bytes{bytes}.first(log::segment_header_size)});
  if (!header) {
    out.findings.push_back(finding_of(header.error(), path, 0));
  } else {
    add_fact(out, "log id", to_hex(header->log_id));
    add_fact(out, "lane", std::string{log::lane_name(header->lane)});
    add_fact(out, "first position", std::to_string(header->first.value()));
    add_fact(out, "previous leaf", to_hex(header->previous));
  }
  out.ranges.push_back({0, log::segment_header_size, "header"});
  inspect_frames(bytes, log::segment_header_size, path, out);
  return out;
}

Result<Inspection> inspect_fixed(env::Storage& storage, std::string_view path,
                                 std::string_view kind, std::uint64_t unit, std::string_view what) {
  Inspection out{.kind = std::string{kind}};
  KIMBERLITE_TRY(const auto file, storage.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  add_fact(out, "derived", "yes: it may be deleted, and is made again from the segments");
  const std::uint64_t whole = size - size % unit;
  if (whole > 0) out.ranges.push_back({0, whole, fmt::format("{} {}", whole / unit, what)});
  if (size > whole) out.ranges.push_back({whole, size - whole, "unfinished", true});
  return out;
}

Result<Inspection> inspect_heads(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "signed heads"};
  KIMBERLITE_TRY(const Buffer bytes, read_whole(storage, path));
  std::uint64_t at = 0;
  for (; bytes.size() - at >= log::head_record_size; at += log::head_record_size) {
    const Bytes record = Bytes{bytes}.subspan(at, log::head_record_size);
    const bool last = bytes.size() - at < 2 * log::head_record_size;
    if (last && all_zero(record)) break;  // of an append that a crash ended
    const auto head = log::decode_head_record(record.first<log::head_record_size>());
    std::string what = "damaged head";
    if (head) {
      what = fmt::format("head of {} records, log {}", head->tree.size, to_hex(head->log_id));
    } else {
      out.findings.push_back(finding_of(head.error(), path, at));
    }
    out.ranges.push_back({at, log::head_record_size, std::move(what)});
  }
  add_fact(out, "heads", std::to_string(at / log::head_record_size));
  if (at < bytes.size()) out.ranges.push_back({at, bytes.size() - at, "unfinished", true});
  return out;
}

Result<Inspection> inspect_anchors(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "anchors"};
  KIMBERLITE_TRY(const auto file, storage.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  std::uint64_t count = 0;
  // Each is there up to where the next begins.
  const auto begin = [&](std::uint64_t at, std::string what) {
    if (!out.ranges.empty()) out.ranges.back().size = at - out.ranges.back().offset;
    out.ranges.push_back({at, size - at, std::move(what)});
  };
  KIMBERLITE_TRY(
      const log::AnchorScan scan,
      log::scan_anchors(
          *file, size,
          [&](std::uint64_t at, const log::Anchor& anchor) {
            ++count;
            begin(at, fmt::format("{} anchor, head of {} records, log {}", log::name(anchor.kind),
                                  anchor.tree.size, to_hex(anchor.log_id)));
          },
          [&](std::uint64_t at, const Error& error) {
            out.findings.push_back(finding_of(error, path, at));
            begin(at, "damaged anchor");
          }));
  add_fact(out, "anchors", std::to_string(count));
  if (scan.tail_bytes > 0) {
    begin(scan.end, "unfinished");
    out.ranges.back().unused = true;
  }
  return out;
}

// Splits the last range of `out` where runs of `unused` lie.
void mark_unused(const std::vector<projection::UnusedBytes>& unused, std::string_view path,
                 Inspection& out) {
  const FileRange range = out.ranges.back();
  out.ranges.pop_back();
  std::uint64_t at = range.offset;
  const auto used_until = [&](std::uint64_t end) {
    if (end > at) out.ranges.push_back({at, end - at, range.what, range.unused});
    at = std::max(at, end);
  };
  for (const projection::UnusedBytes& run : unused) {
    const std::uint64_t begin = std::max(run.offset, at);
    const std::uint64_t end = std::min(run.offset + run.size, range.offset + range.size);
    if (run.file != path || begin >= end) continue;
    used_until(begin);
    out.ranges.push_back({begin, end - begin, std::string{run.why}, true});
    at = end;
  }
  used_until(range.offset + range.size);
}

// What nobody reads of the projection that `path` is a file of, or nothing where that is not known.
Result<std::vector<projection::UnusedBytes>> unused_pages(env::Storage& storage,
                                                          std::string_view path,
                                                          keystore::MasterKey& master) {
  std::unique_ptr<consensus::Block> block;
  KIMBERLITE_TRY(const consensus::Block* bytes, read_device(storage, files::superblock, block));
  if (bytes->size() != consensus::superblock_size) return std::vector<projection::UnusedBytes>{};
  KIMBERLITE_TRY(const auto read,
                 consensus::read_superblock(
                     std::span<const std::byte, consensus::superblock_size>{bytes->bytes()}));
  KIMBERLITE_TRY(const Buffer file,
                 read_whole(storage, files::keystore(read.superblock.checkpoint.op)));
  KIMBERLITE_TRY(const keystore::Keystore keys, keystore::Keystore::decode(file, master));
  for (const keystore::TenantKeys& tenant : keys.list()) {
    const std::string database = projection_path(tenant.tenant);
    const std::optional<crypto::Key256> key = keys.page_key(tenant.tenant);
    if (!key || !path.starts_with(database)) continue;
    KIMBERLITE_TRY(projection::Scrub scrub,
                   projection::scrub(storage, database, *key, projection_file_id(tenant.tenant)));
    return std::move(scrub.unused);
  }
  return std::vector<projection::UnusedBytes>{};
}

Result<Inspection> inspect_pages(env::Storage& storage, std::string_view path,
                                 keystore::MasterKey* master) {
  const bool is_wal = path.ends_with("-wal");
  Inspection out{.kind = is_wal ? "projection write-ahead log" : "projection"};
  KIMBERLITE_TRY(const auto file, storage.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  add_fact(out, "derived", "yes: it may be deleted, and is made again from the log");
  add_fact(out, "sealed",
           "yes: kimberlite verify --projection authenticates it with the master key");
  std::uint64_t at = 0;
  if (is_wal && size > 0) {
    at = std::min(size, wal_header_size);
    out.ranges.push_back({0, at, "write-ahead log header"});
  }
  const std::uint64_t unit = is_wal ? page_size + wal_frame_header_size : page_size;
  const std::uint64_t whole = (size - at) / unit * unit;
  if (whole > 0) {
    out.ranges.push_back({at, whole, "sealed pages"});
    if (master != nullptr) {
      KIMBERLITE_TRY(const auto unused, unused_pages(storage, path, *master));
      mark_unused(unused, path, out);
    }
  }
  if (at + whole < size) out.ranges.push_back({at + whole, size - at - whole, "unfinished", true});
  return out;
}

Result<Inspection> inspect_lock(env::Storage& storage, std::string_view path) {
  Inspection out{.kind = "lock"};
  KIMBERLITE_TRY(const Buffer bytes, read_whole(storage, path));
  add_fact(out, "last holder", std::string{text_of(bytes)});
  if (!bytes.empty()) out.ranges.push_back({0, bytes.size(), "text for people", true});
  return out;
}

}  // namespace

Result<Inspection> inspect(env::Storage& storage, std::string_view path,
                           keystore::MasterKey* master) {
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (path == files::superblock) return inspect_superblock(storage, path);
  if (path == files::journal) return inspect_journal(storage, path);
  if (path == files::lock) return inspect_lock(storage, path);
  if (name.starts_with("keystore-")) return inspect_keystore(storage, path);
  if (name.starts_with("snapshot-")) return inspect_snapshot(storage, path);
  if (name.ends_with(".segment")) return inspect_segment(storage, path);
  if (name == log::heads_name) return inspect_heads(storage, path);
  if (name == log::anchors_name) return inspect_anchors(storage, path);
  if (name == "offsets") return inspect_fixed(storage, path, "offsets", 8, "offsets of records");
  if (path.find("/tiles/") != std::string_view::npos ||
      path.find("/nodes/") != std::string_view::npos) {
    return inspect_fixed(storage, path, "tiles", sizeof(Hash), "hashes of tiles");
  }
  if (name == "projection.db" || name == "projection.db-wal") {
    return inspect_pages(storage, path, master);
  }
  return Error{Code::usage_not_ours, "this is no file of a Kimberlite directory"}
      .where("{}", path)
      .next("name a file inside a data directory, as kimberlite verify names them");
}

}  // namespace kimberlite::engine

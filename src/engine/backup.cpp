#include "backup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core.hpp"
#include "engine/backup.hpp"
#include "files.hpp"
#include "kernel/snapshot.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "log/verify.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::string_view texts = "backups";
constexpr std::size_t text_name_size = 20;
constexpr std::size_t piece_size = std::size_t{1} << 20;
constexpr std::uint64_t compared_before = 4096;  // bytes of what is there already

std::string text_path(OpNumber op) { return fmt::format("{}/{:020}", texts, op.value()); }

log::LogName name_of(const BackupLog& log) { return {log.tenant, log.lane}; }
kernel::Lane lane_of(const BackupLog& log) { return static_cast<kernel::Lane>(log.lane); }

Error another_history(std::string_view why) {
  return Error{Code::integrity_backup, "the repository holds backups of another history"}
      .why("{}", why)
      .next("choose another directory; nothing was written");
}

// That the bytes just before the place where the copy goes on are in both files.
Result<bool> goes_on(env::File& source, env::File& copy, std::uint64_t start) {
  const std::uint64_t size = std::min(start, compared_before);
  Buffer ours(size);
  Buffer theirs(size);
  KIMBERLITE_TRY(const std::size_t got, source.read_at(start - size, ours));
  KIMBERLITE_TRY(const std::size_t had, copy.read_at(start - size, theirs));
  return got == size && had == size && ours == theirs;
}

Status copy_bytes_of(env::File& source, env::File& copy, const std::string& path,
                     std::uint64_t start, std::uint64_t end) {
  Buffer piece(std::min<std::uint64_t>(piece_size, end - start));
  for (std::uint64_t at = start; at < end;) {
    const MutBytes part = MutBytes{piece}.first(std::min<std::uint64_t>(piece.size(), end - at));
    KIMBERLITE_TRY(const std::size_t got, source.read_at(at, part));
    if (got < part.size()) {
      return Error{Code::integrity_segment, "a file is shorter than it was"}.where("{}, byte {}",
                                                                                   path, at + got);
    }
    KIMBERLITE_CHECK(copy.write_at(at, part));
    at += part.size();
  }
  // What an interrupted backup left behind is no part of this one.
  KIMBERLITE_TRY(const std::uint64_t size, copy.size());
  return size > end ? copy.truncate(end) : Status{};
}

// One log's segments in the repository, brought up to what the database has.
class LogCopy {
 public:
  LogCopy(env::Storage& from, env::Storage& to, const BackupLog& now, const BackupLog* before)
      : from_(from),
        to_(to),
        now_(now),
        before_(before),
        directory_(log::directory_of(name_of(now))) {}

  // Bytes that were written.
  Result<std::uint64_t> run() {
    KIMBERLITE_TRY(const std::vector<std::string> names, from_.list(directory_));
    std::vector<Position> segments;
    for (const std::string& name : names) {
      const auto first = log::segment_of_file_name(name);
      if (first && *first <= now_.head.position) segments.push_back(*first);
    }
    std::uint64_t written = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const bool last = i + 1 == segments.size();
      // What an earlier backup reached beyond was sealed when that was taken.
      if (!last && before_ != nullptr && before_->head.position >= segments[i + 1]) continue;
      KIMBERLITE_TRY(const std::uint64_t bytes, segment(segments[i], last));
      written += bytes;
    }
    return written;
  }

 private:
  Result<std::uint64_t> segment(Position first, bool last) {
    const std::string path = fmt::format("{}/{}", directory_, log::segment_file_name(first));
    KIMBERLITE_TRY(const auto source, from_.open(path, env::Open::read));
    log::SegmentHeaderBytes bytes{};
    KIMBERLITE_TRY(const std::size_t got, source->read_at(0, bytes));
    if (got < bytes.size())
      return Error{Code::integrity_segment, "a segment without its header"}.where("{}", path);
    KIMBERLITE_TRY(const log::SegmentHeader header, log::decode_header(bytes));
    std::uint64_t end = 0;
    if (last) {
      end = log::segment_header_size + (now_.head.bytes - header.bytes_before);
    } else {
      KIMBERLITE_TRY(end, source->size());
    }
    std::uint64_t start = 0;
    if (before_ != nullptr && before_->head.position >= first) {
      start = log::segment_header_size + (before_->head.bytes - header.bytes_before);
    }
    KIMBERLITE_TRY(const auto copy, to_.open(path, env::Open::create));
    KIMBERLITE_TRY(const bool alike, goes_on(*source, *copy, start));
    if (!alike) {
      // The history is the same one: the logs' roots say so.
      return Error{Code::integrity_backup, "a segment is not what was backed up of it"}
          .where("{}, before byte {}", path, start)
          .why("this database's file is damaged there, or the backup's is")
          .next("nothing was written; kimberlite verify and kimberlite backup verify tell which");
    }
    KIMBERLITE_CHECK(copy_bytes_of(*source, *copy, path, start, end));
    return end - start;
  }

  env::Storage& from_;
  env::Storage& to_;
  const BackupLog& now_;
  const BackupLog* before_;
  std::string directory_;
};

// A file beside the segments, from byte `start` to `end`; bytes that were written.
Result<std::uint64_t> copy_beside(env::Storage& from, env::Storage& to, const BackupLog& log,
                                  std::string_view name, std::uint64_t start, std::uint64_t end) {
  if (start == end) return 0;
  const std::string path = fmt::format("{}/{}", log::directory_of(name_of(log)), name);
  if (end < start) {
    return another_history("a file is shorter than what was backed up of it").where("{}", path);
  }
  KIMBERLITE_TRY(const auto source, from.open(path, env::Open::read));
  KIMBERLITE_TRY(const auto copy, to.open(path, env::Open::create));
  KIMBERLITE_TRY(const bool alike, goes_on(*source, *copy, start));
  if (!alike) {
    return another_history("a file does not go on where the last backup ended")
        .where("{}, before byte {}", path, start);
  }
  KIMBERLITE_CHECK(copy_bytes_of(*source, *copy, path, start, end));
  return end - start;
}

// An empty directory, or one that holds nothing but backups.
Status check_repository(env::Storage& repository) {
  const auto names = repository.list("");
  if (!names) {
    return names.error().code() == Code::not_found_directory ? Status{} : names.error();
  }
  for (const std::string& name : *names) {
    if (name == fmt::format("{}/", texts) || name == fmt::format("{}/", files::tenants) ||
        name == files::lock) {
      continue;
    }
    return Error{Code::usage_not_empty, "this directory holds something else than backups"}
        .where("{}", name)
        .next("choose an empty directory, or one of earlier backups of this database");
  }
  return {};
}

const BackupLog* find_log(const BackupText* backup, const BackupLog& log) {
  if (backup == nullptr) return nullptr;
  const auto found = std::ranges::find_if(backup->logs, [&](const BackupLog& other) {
    return other.tenant == log.tenant && other.lane == log.lane;
  });
  return found == backup->logs.end() ? nullptr : &*found;
}

// Every log begins with what was backed up of it.
Status check_history(Core& core, const BackupText& before, const BackupText& now) {
  if (before.cluster != now.cluster) return another_history("they are of another cluster");
  for (const BackupLog& had : before.logs) {
    const auto where = [&](Error&& error) {
      return std::move(error).where("{}", log::directory_of(name_of(had)));
    };
    const BackupLog* log = find_log(&now, had);
    if (log == nullptr || log->head.position < had.head.position) {
      return where(another_history("the log has fewer records than were backed up"));
    }
    KIMBERLITE_TRY(const Hash root,
                   core.logs().root_at(had.tenant, lane_of(had), had.head.position.value()));
    if (root != had.head.frontier.root()) {
      return where(another_history("the log does not begin with what was backed up"));
    }
  }
  return {};
}

using LogKey = std::pair<TenantId, std::uint16_t>;

// Bytes of every log's anchors.
Result<std::map<LogKey, std::uint64_t>> anchors_of(Core& core) {
  std::uint64_t tenants = 0;
  core.run([&](Core& on_strand) { tenants = on_strand.state().tenant_count(); });
  std::map<LogKey, std::uint64_t> bytes;
  for (std::uint64_t id = 0; id < tenants; ++id) {
    for (std::uint16_t lane = 0; lane < kernel::lane_count; ++lane) {
      KIMBERLITE_TRY(const Prover::Anchors anchors,
                     core.prover().anchors(TenantId{id}, static_cast<kernel::Lane>(lane)));
      bytes[{TenantId{id}, lane}] = anchors.bytes;
    }
  }
  return bytes;
}

// Every record that no backup has yet can be read; in a group one that has rotted is mended first.
Status check_new(Core& core, const BackupLog& log, const BackupLog* before) {
  const Position known = before == nullptr ? Position{} : before->head.position;
  Buffer scratch;
  for (std::uint64_t at = known.value() + 1; at <= log.head.position.value(); ++at) {
    KIMBERLITE_CHECK(core.read({log.tenant, lane_of(log), Position{at}}, scratch));
  }
  return {};
}

// How far the files of heads and anchors go. Each changed log's newest state is signed, so that the
// backup can be checked by itself.
Status measure_proofs(Core& core, const BackupText* before,
                      std::map<LogKey, std::uint64_t>& anchors, BackupText& now) {
  for (BackupLog& log : now.logs) {
    log.anchors = anchors[{log.tenant, log.lane}];
    const BackupLog* had = find_log(before, log);
    if (had != nullptr && had->head == log.head) {
      log.heads = had->heads;
      continue;
    }
    KIMBERLITE_TRY(const log::StoredHead newest,
                   core.prover().head(log.tenant, lane_of(log), log.head.position));
    static_cast<void>(newest);
    KIMBERLITE_TRY(log.heads, core.prover().heads_until(log.tenant, lane_of(log), log.log_id,
                                                        log.head.position));
  }
  return {};
}

}  // namespace

Status Core::cut_for_backup(BackupText& into) {
  if (failed_) return *failed_;
  KIMBERLITE_CHECK(logs_.flush());
  into.cluster = state_->cluster();
  into.op = replica_->commit();
  into.timestamp = last_commit_;
  into.state = kernel::digest(*state_);
  for (std::uint64_t id = 0; id < state_->tenant_count(); ++id) {
    const kernel::TenantState& tenant = *state_->tenant(TenantId{id});
    for (std::uint16_t lane = 0; lane < kernel::lane_count; ++lane) {
      const kernel::LaneState& log = tenant.lanes.at(lane);
      if (log.head.position.value() == 0) continue;
      into.logs.push_back({.tenant = TenantId{id},
                           .lane = lane,
                           .log_id = log.log_id,
                           .epoch = log.epoch,
                           .head = log.head});
    }
  }
  return {};
}

Result<BackupReport> back_up(Core& core, env::Storage& to, const std::string& holder) {
  KIMBERLITE_CHECK(check_repository(to));
  KIMBERLITE_TRY(const auto lock, to.lock(files::lock, holder));
  KIMBERLITE_TRY(const std::vector<BackupText> earlier, list_backups(to));
  const BackupText* before = earlier.empty() ? nullptr : &earlier.back();

  // Before the cut: every anchor that is there now is of a head whose records the cut holds.
  KIMBERLITE_TRY(auto anchors, anchors_of(core));
  BackupReport report;
  Status cut;
  core.run([&](Core& on_strand) { cut = on_strand.cut_for_backup(report.backup); });
  KIMBERLITE_CHECK(cut);
  if (before != nullptr) KIMBERLITE_CHECK(check_history(core, *before, report.backup));
  KIMBERLITE_CHECK(measure_proofs(core, before, anchors, report.backup));
  if (before != nullptr && before->logs == report.backup.logs) {
    report.backup = *before;
    report.made = false;
    return report;
  }
  env::Storage& from = core.env().storage;
  for (const BackupLog& log : report.backup.logs) {
    const BackupLog* had = find_log(before, log);
    if (had != nullptr && had->head == log.head) continue;
    KIMBERLITE_CHECK(check_new(core, log, had));
    KIMBERLITE_TRY(const std::uint64_t bytes, LogCopy(from, to, log, had).run());
    report.copied += bytes;
  }
  for (const BackupLog& log : report.backup.logs) {
    const BackupLog nothing;
    const BackupLog* found = find_log(before, log);
    const BackupLog& had = found == nullptr ? nothing : *found;
    KIMBERLITE_TRY(const std::uint64_t of_heads,
                   copy_beside(from, to, log, log::heads_name, had.heads, log.heads));
    KIMBERLITE_TRY(const std::uint64_t of_anchors,
                   copy_beside(from, to, log, log::anchors_name, had.anchors, log.anchors));
    report.copied += of_heads + of_anchors;
  }
  KIMBERLITE_CHECK(to.sync_all());
  const std::string path = text_path(report.backup.op);
  const std::string unfinished = path + ".new";
  KIMBERLITE_CHECK(write_whole(to, unfinished, bytes_of(report.backup.to_text())));
  KIMBERLITE_CHECK(to.rename(unfinished, path));
  return report;
}

Result<std::vector<BackupText>> list_backups(env::Storage& repository) {
  std::vector<BackupText> all;
  const auto names = repository.list(texts);
  if (!names) {
    if (names.error().code() == Code::not_found_directory) return all;
    return names.error();
  }
  for (const std::string& name : *names) {
    if (name.size() != text_name_size) continue;  // what an interrupted one left
    const std::string path = fmt::format("{}/{}", texts, name);
    KIMBERLITE_TRY(const Buffer bytes, read_whole(repository, path));
    Result<BackupText> backup = BackupText::parse(text_of(bytes));
    if (!backup) return std::move(backup.error()).where("{}", path);
    if (text_path(backup->op) != path) {
      return Error{Code::integrity_backup, "the text of a backup has another name than its own"}
          .where("{}", path);
    }
    all.push_back(*std::move(backup));
  }
  return all;
}

Result<BackupText> find_backup(env::Storage& repository, std::optional<OpNumber> op) {
  KIMBERLITE_TRY(std::vector<BackupText> all, list_backups(repository));
  if (!op && !all.empty()) return std::move(all.back());
  for (BackupText& backup : all) {
    if (op && backup.op == *op) return std::move(backup);
  }
  return Error{Code::not_found_object, "{}",
               op ? fmt::format("there is no backup {}", op->value()) : "there is no backup here"}
      .next("kimberlite backup list shows those there are");
}

Result<VerifyReport> verify_backup(env::Storage& repository, const BackupText& backup,
                                   const VerifyOptions& options) {
  VerifyReport report;
  VerifyProgress done;
  for (const BackupLog& log : backup.logs) {
    log::VerifyOptions of_log;
    of_log.findings_max = options.findings_max;
    // Behind the backup's end stands what a later one has, or what an interrupted one left.
    of_log.at_least = log.head;
    of_log.proofs = {.heads = log.heads, .anchors = log.anchors};
    for (const record::VerifierKey& key : options.log_keys) {
      if (key.name == record::origin_of(log.log_id)) of_log.log_key = key;
    }
    of_log.progress = [&](const log::VerifyProgress& now) {
      return !options.progress || options.progress({.bytes = done.bytes + now.bytes,
                                                    .bytes_total = done.bytes + now.bytes_total,
                                                    .records = done.records + now.records});
    };
    KIMBERLITE_TRY(log::VerifyReport checked, log::verify(repository, name_of(log), of_log));
    done.bytes += checked.bytes;
    done.records += checked.records;
    report.findings_total += checked.findings_total;
    for (log::Finding& finding : checked.findings) {
      if (report.findings.size() == options.findings_max) break;
      report.findings.push_back(finding_of(std::move(finding)));
    }
    report.logs.push_back({.tenant = log.tenant,
                           .lane = std::string{log::lane_name(log.lane)},
                           .log_id = log.log_id,
                           .position = log.head.position,
                           .leaf = log.head.leaf,
                           .root = log.head.frontier.root(),
                           .records = checked.records,
                           .items = checked.items,
                           .segments = checked.segments,
                           .bytes = checked.bytes,
                           .heads = checked.heads,
                           .heads_pinned = checked.heads_pinned,
                           .head_size = checked.newest_head ? checked.newest_head->tree.size : 0,
                           .anchors = checked.anchors,
                           .newest_anchor = checked.newest_anchor});
    if (checked.cancelled) {
      report.cancelled = true;
      return report;
    }
  }
  // A key that nothing here was held against was given in vain.
  for (const record::VerifierKey& key : options.log_keys) {
    const bool used = std::ranges::any_of(report.logs, [&](const VerifiedLog& log) {
      return log.heads_pinned > 0 && record::origin_of(log.log_id) == key.name;
    });
    if (used) continue;
    ++report.findings_total;
    report.findings.push_back({.code = Code::integrity_signature,
                               .file = std::string{files::tenants},
                               .what = "no head here is signed by the key that was given",
                               .expected = key.name,
                               .found = "none"});
  }
  return report;
}

}  // namespace kimberlite::engine

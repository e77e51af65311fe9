#include "engine/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "consensus/journal.hpp"
#include "crypto/blake3.hpp"
#include "files.hpp"
#include "journal_io.hpp"
#include "kernel/snapshot.hpp"
#include "keystore/keystore.hpp"
#include "log/verify.hpp"
#include "projection/vfs.hpp"
#include "projection_check.hpp"
#include "snapshot_file.hpp"
#include "state_rebuild.hpp"
#include "tenant_files.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

class Verifier {
 public:
  Verifier(env::Storage& storage, const VerifyOptions& options)
      : storage_(storage), options_(options) {}

  Result<VerifyReport> run() {
    KIMBERLITE_CHECK(superblock());
    if (superblock_) {
      journal();
      keystore();
      snapshot();
    }
    KIMBERLITE_CHECK(logs());
    KIMBERLITE_CHECK(strangers());
    if (options_.projection && !report_.cancelled) KIMBERLITE_CHECK(projections());
    return std::move(report_);
  }

 private:
  void add(VerifyFinding finding) {
    ++report_.findings_total;
    if (report_.findings.size() < options_.findings_max) {
      report_.findings.push_back(std::move(finding));
    }
  }
  void add(const Error& error, std::string_view file, std::uint64_t offset = 0) {
    std::string what = error.what();
    if (!error.why().empty()) what += fmt::format(": {}", error.why());
    add({.code = error.code(),
         .file = std::string{file},
         .offset = offset,
         .what = std::move(what)});
  }
  void add(const consensus::Finding& finding, std::string_view file) {
    if (finding.severity == consensus::Severity::note) {
      report_.notes.push_back(
          fmt::format("{}, byte {}: {}", file, finding.offset, finding.error.what()));
    } else {
      add(finding.error, file, finding.offset);
    }
  }

  Status superblock() {
    KIMBERLITE_TRY(const auto device, storage_.open_device(files::superblock, 0));
    if (device->size() != consensus::superblock_size) {
      add({.code = Code::integrity_superblock,
           .file = std::string{files::superblock},
           .what = "the superblock has another size than a superblock has",
           .expected = std::to_string(consensus::superblock_size),
           .found = std::to_string(device->size())});
      return {};
    }
    consensus::Block block{consensus::superblock_size};
    block.resize(consensus::superblock_size);
    KIMBERLITE_CHECK(read_sectors(*device, 0, block.bytes()));
    const auto read = consensus::read_superblock(
        std::span<const std::byte, consensus::superblock_size>{block.bytes()});
    if (!read) {
      add(read.error(), files::superblock);
      return {};
    }
    for (const consensus::Finding& finding : read->findings) add(finding, files::superblock);
    superblock_ = read->superblock;
    return {};
  }

  void journal() {
    auto device = storage_.open_device(files::journal, 0);
    if (!device) return add(device.error(), files::journal);
    if ((*device)->size() <= consensus::marks_size) {
      return add(Error{Code::integrity_journal, "the journal has no ring"}, files::journal);
    }
    const auto limits = consensus::limits_of((*device)->size() - consensus::marks_size);
    const auto audit = consensus::audit_journal(*superblock_, limits, reader_of(**device));
    if (!audit) return add(audit.error(), files::journal);
    for (const consensus::Finding& finding : audit->findings) add(finding, files::journal);
    journal_goes_on_ = audit->head > superblock_->checkpoint.op;
  }

  void keystore() {
    const std::string path = files::keystore(superblock_->checkpoint.op);
    const Result<Buffer> file = read_whole(storage_, path);
    if (!file) return add(file.error(), path);
    keystore_sound_ = crypto::blake3(*file) == superblock_->checkpoint.keystore;
    if (keystore_sound_) return;
    if (const auto header = keystore::read_header(*file); !header) return add(header.error(), path);
    add({.code = Code::integrity_keystore,
         .file = path,
         .what = "it is not the keystore the superblock names",
         .expected = to_hex(superblock_->checkpoint.keystore),
         .found = to_hex(crypto::blake3(*file))});
  }

  void snapshot() {
    const std::string path = files::snapshot(superblock_->checkpoint.op);
    const Result<Buffer> file = read_whole(storage_, path);
    if (!file) return add(file.error(), path);
    if (crypto::blake3(*file) == superblock_->checkpoint.snapshot) return;
    add({.code = Code::integrity_snapshot,
         .file = path,
         .what = "it is not the snapshot the superblock names",
         .expected = to_hex(superblock_->checkpoint.snapshot),
         .found = to_hex(crypto::blake3(*file))});
  }

  Status logs() {
    KIMBERLITE_TRY(const auto names, list_logs(storage_));
    std::vector<kernel::LogHead> heads;
    std::uint64_t bytes_before = 0;
    std::uint64_t records_before = 0;
    bool all_reached = true;
    std::vector<VerifyFinding> behind_checkpoint;
    for (const auto& [tenant, lane] : names) {
      tenants_.insert(tenant);
      log::VerifyOptions options;
      options.findings_max = options_.findings_max;
      if (superblock_) options.checkpoint = superblock_->checkpoint.op;
      expect_heads({tenant, static_cast<std::uint16_t>(lane)}, options);
      options.progress = [&](const log::VerifyProgress& progress) {
        return !options_.progress ||
               options_.progress({.bytes = bytes_before + progress.bytes,
                                  .bytes_total = bytes_before + progress.bytes_total,
                                  .records = records_before + progress.records});
      };
      KIMBERLITE_TRY(log::VerifyReport log,
                     log::verify(storage_, {tenant, static_cast<std::uint16_t>(lane)}, options));
      report_.findings_total += log.findings_total - log.findings.size();
      if (lane == kernel::Lane::data) {
        data_logs_.insert_or_assign(tenant, DataLog{log.log_id, log.head, log.findings.empty()});
      }
      for (log::Finding& finding : log.findings) {
        // What is stored of a head is no record, and the journal makes none again; only the records
        // it is held against may still be there.
        const bool of_head =
            finding.code == Code::integrity_head || finding.code == Code::integrity_signature;
        const bool behind =
            journal_goes_on_ && !of_head && finding.position > log.at_checkpoint.head.position;
        VerifyFinding found = finding_of(std::move(finding));
        if (behind) {
          behind_checkpoint.push_back(std::move(found));
        } else {
          if (!of_head) all_reached = false;
          add(std::move(found));
        }
      }
      if (log.tail_bytes > 0) {
        report_.notes.push_back(fmt::format(
            "{}: {} bytes of an unfinished record at the end",
            files::lane(tenant, log::lane_name(static_cast<std::uint16_t>(lane))), log.tail_bytes));
      }
      if (log.at_checkpoint.head.position.value() > 0) {
        heads.push_back({log.at_checkpoint.log_id, log.at_checkpoint.head.position,
                         log.at_checkpoint.head.bytes, log.at_checkpoint.head.leaf});
      }
      bytes_before += log.bytes;
      records_before += log.records;
      if (log.cancelled) {
        report_.cancelled = true;
        return {};
      }
      if (log.heads_tail_bytes > 0) {
        report_.notes.push_back(
            fmt::format("{}/{}: {} bytes of a head that was never given to anyone, at the end",
                        files::lane(tenant, log::lane_name(static_cast<std::uint16_t>(lane))),
                        log::heads_name, log.heads_tail_bytes));
      }
      if (log.anchors_tail_bytes > 0) {
        report_.notes.push_back(
            fmt::format("{}/{}: {} bytes of an unfinished anchor at the end",
                        files::lane(tenant, log::lane_name(static_cast<std::uint16_t>(lane))),
                        log::anchors_name, log.anchors_tail_bytes));
      }
      pinned_ += log.heads_pinned;
      if (log.records == 0) continue;
      report_.logs.push_back({.tenant = tenant,
                              .lane = std::string{log::lane_name(static_cast<std::uint16_t>(lane))},
                              .log_id = log.log_id,
                              .position = log.head.position,
                              .leaf = log.head.leaf,
                              .root = log.head.frontier.root(),
                              .records = log.records,
                              .items = log.items,
                              .segments = log.segments,
                              .bytes = log.bytes,
                              .from = log.from,
                              .heads = log.heads,
                              .heads_pinned = log.heads_pinned,
                              .head_size = log.newest_head ? log.newest_head->tree.size : 0,
                              .anchors = log.anchors,
                              .newest_anchor = log.newest_anchor});
    }
    check_heads(heads, all_reached, std::move(behind_checkpoint));
    check_keys();
    return {};
  }

  // What the caller knows of this log from elsewhere.
  void expect_heads(log::LogName name, log::VerifyOptions& options) {
    if (options_.log_keys.empty() && options_.since.empty()) return;
    const std::optional<Id128> log_id = log::newest_log_id(storage_, name);
    if (!log_id) return;
    const std::string origin = record::origin_of(*log_id);
    for (const record::VerifierKey& key : options_.log_keys) {
      if (key.name != origin) continue;
      options.log_key = key;
      keys_met_.insert(origin);
    }
    for (const record::TreeHead& head : options_.since) {
      if (head.origin != origin) continue;
      options.since = log::Tree{head.size, head.root};
      keys_met_.insert(origin);
    }
  }

  // A log that the caller knows of must be here, and must have signed something where he gave its
  // key: else nothing of what he asked for was done.
  void check_keys() {
    const auto absent = [&](const std::string& origin, std::string_view what) {
      add({.code = Code::integrity_signature,
           .file = std::string{files::tenants},
           .what = fmt::format("{}", what),
           .expected = origin,
           .found = "none"});
    };
    for (const record::TreeHead& head : options_.since) {
      if (!keys_met_.contains(head.origin)) absent(head.origin, "the log of a head that was given");
    }
    for (const record::VerifierKey& key : options_.log_keys) {
      if (!keys_met_.contains(key.name)) {
        absent(key.name, "the log of a key that was given");
      } else if (pinned_ == 0) {
        absent(key.name, "no head here is signed by the key that was given");
      }
    }
  }

  // Whether the logs passed where the last checkpoint recorded. If they did, whatever is amiss
  // behind it is what a crash leaves, and the journal makes it again at the next open.
  void check_heads(const std::vector<kernel::LogHead>& heads, bool all_reached,
                   std::vector<VerifyFinding> behind_checkpoint) {
    const bool passed =
        superblock_ && all_reached && kernel::heads_digest(heads) == superblock_->checkpoint.heads;
    if (passed) {
      for (const VerifyFinding& finding : behind_checkpoint) {
        report_.notes.push_back(fmt::format("{}, byte {}: {}; the next open writes it again",
                                            finding.file, finding.offset, finding.what));
      }
      return;
    }
    // A log with findings has said where; the digest would only repeat that something is wrong.
    if (superblock_ && all_reached && behind_checkpoint.empty()) {
      add({.code = Code::integrity_state,
           .file = std::string{files::tenants},
           .what = "the logs do not end, or did not pass, where the last checkpoint recorded",
           .expected = to_hex(superblock_->checkpoint.heads),
           .found = to_hex(kernel::heads_digest(heads))});
    }
    for (VerifyFinding& finding : behind_checkpoint) add(std::move(finding));
  }

  // Files that belong to nothing: harmless leftovers of a checkpoint, or something put there.
  Status strangers() {
    KIMBERLITE_TRY(const std::vector<std::string> names, storage_.list(""));
    for (const std::string& name : names) {
      if (name == files::superblock || name == files::journal || name == files::lock ||
          name == std::string{files::tenants} + "/") {
        continue;
      }
      const bool named = superblock_ && (name == files::snapshot(superblock_->checkpoint.op) ||
                                         name == files::keystore(superblock_->checkpoint.op));
      if (named) continue;
      if (name.starts_with("snapshot-") || name.starts_with("keystore-")) {
        report_.notes.push_back(
            fmt::format("{}: not named by the superblock; the next open removes it", name));
      } else {
        add({.code = Code::integrity_foreign_file,
             .file = name,
             .what = "this file is not Kimberlite's"});
      }
    }
    return {};
  }

  // A projection whose pages nothing in the keystore opens.
  void without_key(const std::string& database) {
    if (!storage_.open(database, env::Open::read)) return;
    // The keys of a tenant made since the checkpoint are in the journal alone.
    report_.notes.push_back(fmt::format(
        "{}: not authenticated: {}", database,
        journal_goes_on_ ? "its key is not in the keystore yet; the next close puts it there"
                         : "it has no key, and the next open makes it again"));
  }

  Status projections() {
    if (options_.master == nullptr) {
      return Error{Code::unavailable_key, "projections are sealed, and no master key was given"};
    }
    if (!keystore_sound_) {
      report_.notes.emplace_back("no projection was authenticated: their keys cannot be read");
      return {};
    }
    const std::string path = files::keystore(superblock_->checkpoint.op);
    KIMBERLITE_TRY(const Buffer file, read_whole(storage_, path));
    KIMBERLITE_TRY(const keystore::Keystore keys,
                   keystore::Keystore::decode(file, *options_.master));
    for (const keystore::TenantKeys& tenant : keys.list()) tenants_.insert(tenant.tenant);
    for (const TenantId tenant : tenants_) {
      const std::string database = projection_path(tenant);
      const std::optional<crypto::Key256> key = keys.page_key(tenant);
      if (!key) {
        without_key(database);
        continue;
      }
      const auto scrub = projection::scrub(storage_, database, *key, projection_file_id(tenant));
      if (!scrub) {
        if (scrub.error().code() == Code::not_found_file) {
          report_.notes.push_back(fmt::format("{}: is not there and will be rebuilt", database));
          continue;
        }
        add(scrub.error(), database);
        continue;
      }
      report_.pages += scrub->pages + scrub->frames;
      for (const projection::Damage& damage : scrub->damaged) {
        add(damage.error, damage.file, damage.offset);
      }
      // A power failure leaves the same traces, and no more: a close leaves no WAL to be damaged.
      // The next open derives what is missing.
      for (const projection::Damage& suspect : scrub->suspect) {
        report_.notes.push_back(fmt::format("{}: {}; the next open mends it", suspect.error.where(),
                                            suspect.error.what()));
      }
      if (scrub->damaged.empty()) KIMBERLITE_CHECK(rows(tenant, keys));
      if (report_.cancelled) return {};
    }
    return {};
  }

  // The rows of a projection whose pages are whole against a log that is.
  Status rows(TenantId tenant, const keystore::Keystore& keys) {
    const auto log = data_logs_.find(tenant);
    if (log == data_logs_.end() || log->second.head.position.value() == 0) return {};
    if (!log->second.whole) {
      report_.notes.push_back(fmt::format("{}: not compared with its log, which is not whole",
                                          projection_path(tenant)));
      return {};
    }
    const auto progress = [this](std::uint64_t records) {
      return !options_.progress || options_.progress({.records = records});
    };
    KIMBERLITE_TRY(ProjectionCheck check, check_projection({.storage = storage_,
                                                            .keys = keys,
                                                            .tenant = tenant,
                                                            .log_id = log->second.log_id,
                                                            .head = log->second.head,
                                                            .journal_goes_on = journal_goes_on_,
                                                            .progress = progress}));
    // Each table has a bound of its own: one that differs as a whole must not hide the others.
    report_.findings_total += check.findings_total;
    std::ranges::move(check.findings, std::back_inserter(report_.findings));
    std::ranges::move(check.notes, std::back_inserter(report_.notes));
    report_.rows += check.rows;
    report_.cancelled = check.cancelled;
    return {};
  }

  env::Storage& storage_;
  const VerifyOptions& options_;
  VerifyReport report_;
  std::optional<consensus::Superblock> superblock_;
  std::set<std::string> keys_met_;  // origins of logs that are here
  std::uint64_t pinned_ = 0;        // heads signed by a key that was given
  struct DataLog {
    Id128 log_id{};
    record::Head head;
    bool whole = false;
  };
  std::map<TenantId, DataLog> data_logs_;
  std::set<TenantId> tenants_;    // with a directory
  bool keystore_sound_ = false;   // it is the one the superblock names
  bool journal_goes_on_ = false;  // the journal holds prepares behind the checkpoint
};

}  // namespace

VerifyFinding finding_of(log::Finding finding) {
  return {.code = finding.code,
          .file = std::move(finding.file),
          .offset = finding.offset,
          .position = finding.position,
          .what = std::move(finding.what),
          .expected = std::move(finding.expected),
          .found = std::move(finding.found)};
}

Result<VerifyReport> verify(env::Storage& storage, const VerifyOptions& options) {
  // A superblock file must be there at all; what is in it is for the verifier to say.
  if (const auto device = storage.open_device(files::superblock, 0); !device) {
    const Code code = device.error().code();
    if (code != Code::not_found_file && code != Code::not_found_directory) return device.error();
    return Error{Code::usage_not_ours, "this is not a Kimberlite data directory"}
        .why("it has no superblock")
        .next("name the directory that kimberlite init made");
  }
  KIMBERLITE_TRY(const auto lock, storage.lock(files::lock, options.holder));
  return Verifier{storage, options}.run();
}

}  // namespace kimberlite::engine

// kimberlite verify FILE: what is no data directory, by what it is.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/interrupt.hpp"
#include "cli/progress.hpp"
#include "engine/backup.hpp"
#include "log/verify.hpp"
#include "package_check.hpp"
#include "platform/memory_storage.hpp"
#include "record/receipt.hpp"
#include "record/signed_head.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_integrity = 3;
constexpr std::string_view segment_magic = "KBSEGMNT";
constexpr std::string_view receipt_magic = "c2sp.org/tlog-proof@v1\n";
constexpr std::string_view consistency_magic = "kimberlite/consistency@v1\n";
constexpr std::string_view head_magic = "kimberlite/";
constexpr char cose_magic = '\xD2';

Error no_log_key(std::string_view path) {
  return Error{Code::usage_option, "--log-key is missing"}
      .why("a signature is worth what the key it is checked with is worth")
      .next("kimberlite verify {} --log-key clinic.vkey", path);
}

Result<int> say_ok(App& app, std::string_view what, std::string_view text) {
  if (app.format() == Format::table) {
    KIMBERLITE_CHECK(app.out().write(fmt::format("ok  {}\n", text)));
    return 0;
  }
  const std::optional<catalog::Type> type{catalog::Type{catalog::TypeKind::text}};
  KIMBERLITE_CHECK(write_facts(app, {{"kind", type}, {"result", type}},
                               {{std::string{what}, std::string{text}}}));
  return 0;
}

Result<int> verify_segment(App& app, const std::string& path, const std::string& bytes) {
  platform::MemoryStorage scratch;
  KIMBERLITE_TRY(log::VerifyReport of_log, log::verify_segment(scratch, bytes_of(bytes), path));
  engine::VerifyReport report;
  report.findings_total = of_log.findings_total;
  for (log::Finding& finding : of_log.findings) {
    report.findings.push_back(engine::finding_of(std::move(finding)));
  }
  if (report.clean()) {
    return say_ok(app, "segment",
                  fmt::format("{} records from position {} on, {} items, chain; what is before and "
                              "behind them, and the tree, are not in one segment",
                              of_log.records, of_log.from.value(), of_log.items));
  }
  KIMBERLITE_CHECK(print_findings(app, report, ""));
  return exit_integrity;
}

template <class Proof, class Check, class Say>
Result<int> verify_proof(App& app, const std::string& path, const Result<Proof>& proof,
                         const VerifyOptions& options, std::string_view what, Check check,
                         Say say) {
  if (!proof) return Error{proof.error()}.where("{}", path);
  KIMBERLITE_TRY(const auto key, find_log_key(app, options.log_key));
  if (!key) return no_log_key(path);
  const auto checked = check(*proof, *key);
  if (!checked) return Error{checked.error()}.where("{}", path);
  return say_ok(app, what, say(*checked));
}

Status print_package(App& app, const CheckedPackage& checked) {
  const std::string left_out = fmt::format("{}", fmt::join(checked.left_out, ", "));
  if (app.format() == Format::table) {
    return app.out().write(fmt::format(
        "ok  {} of {} as of position {}, in the tree of size {}; it proves that each was recorded "
        "so, not that none is missing nor that it is the latest{}{}\n",
        plural(checked.rows, "row"), plural(checked.tables, "table"), checked.position.value(),
        checked.tree.size, left_out.empty() ? "" : "; computed, and not in it: ", left_out));
  }
  const std::optional<catalog::Type> text{catalog::Type{catalog::TypeKind::text}};
  const std::optional<catalog::Type> number{catalog::Type{catalog::TypeKind::bigint}};
  return write_facts(
      app,
      {{"kind", text},
       {"log", text},
       {"position", number},
       {"tree_size", number},
       {"root", text},
       {"tables", number},
       {"rows", number},
       {"items", number},
       {"left_out", text}},
      {{"export", checked.tree.origin, static_cast<std::int64_t>(checked.position.value()),
        static_cast<std::int64_t>(checked.tree.size), to_hex(checked.tree.root),
        static_cast<std::int64_t>(checked.tables), static_cast<std::int64_t>(checked.rows),
        static_cast<std::int64_t>(checked.items), left_out}});
}

Result<int> verify_package(App& app, const std::string& directory, const VerifyOptions& options) {
  KIMBERLITE_TRY(const auto key, find_log_key(app, options.log_key));
  if (!key) return no_log_key(directory);
  ProgressLine line{"verify", app.invocation().quiet ? 0 : app.terminal().width,
                    app.clock().monotonic_ns()};
  const auto progress = [&](const ProgressState& state) {
    if (const std::uint64_t now = app.clock().monotonic_ns(); line.due(now)) {
      static_cast<void>(app.messages().write(line.update(state, now)).has_value());
    }
    return !interrupted();
  };
  const auto checked = check_package(app.files(), directory, *key, progress);
  static_cast<void>(app.messages().write(line.clear()).has_value());
  if (!checked) return Error{checked.error()}.where("{}", directory);
  KIMBERLITE_CHECK(print_package(app, *checked));
  return 0;
}

}  // namespace

Result<std::optional<int>> verify_other(App& app, const std::string& target,
                                        const VerifyOptions& options) {
  const auto whole_directory_only = [&]() -> Status {
    if (!options.projection && options.since.empty()) return {};
    return Error{Code::usage_option, "--projection and --since are of a data directory"}
        .where("{}", target)
        .next("kimberlite verify {}", target);
  };
  platform::LinuxStorage directory{target};
  if (directory.list("")) {
    if (engine::Database::cluster_of(directory)) return std::optional<int>{};
    if (is_package(app.files(), target)) {
      KIMBERLITE_CHECK(whole_directory_only());
      KIMBERLITE_TRY(const int status, verify_package(app, target, options));
      return std::optional{status};
    }
    if (!directory.list("backups")) return std::optional<int>{};
    KIMBERLITE_CHECK(whole_directory_only());
    KIMBERLITE_TRY(const int status, run_backup(app, {.action = BackupAction::verify,
                                                      .repository = target,
                                                      .log_key = options.log_key}));
    return std::optional{status};
  }
  if (!app.files().open(target, env::Open::read)) return std::optional<int>{};
  KIMBERLITE_CHECK(whole_directory_only());
  KIMBERLITE_TRY(const std::string text, read_text(app.files(), target));
  const auto record_text = [](const record::VerifiedRecord& record) {
    return fmt::format(
        "record {}, in the signed tree of size {}; it proves what was recorded, not "
        "that it is latest",
        record.entry().position.value(), record.tree().size);
  };
  const auto check_record = [](const auto& receipt, const record::VerifierKey& key) {
    return record::verify(receipt, key);
  };
  Result<int> status{0};
  if (text.starts_with(segment_magic)) {
    status = verify_segment(app, target, text);
  } else if (text.starts_with(receipt_magic)) {
    status = verify_proof(app, target, record::Receipt::parse(text), options, "receipt",
                          check_record, record_text);
  } else if (text.starts_with(cose_magic)) {
    status = verify_proof(app, target, record::CoseReceipt::parse(bytes_of(text)), options,
                          "receipt", check_record, record_text);
  } else if (text.starts_with(consistency_magic)) {
    status = verify_proof(
        app, target, record::ConsistencyProof::parse(text), options, "consistency",
        [](const auto& proof, const auto& key) { return record::check_consistency(proof, key); },
        [](const record::ConsistentHeads& heads) {
          return fmt::format("the tree of size {} begins with the tree of size {}",
                             heads.newer.tree().size, heads.older.tree().size);
        });
  } else if (text.starts_with(head_magic)) {
    status = verify_proof(
        app, target, Result<std::string>{text}, options, "head",
        [](const std::string& note, const auto& key) { return record::check_head(note, key); },
        [](const record::SignedHead& head) {
          return fmt::format("head of {}, size {}", head.tree().origin, head.tree().size);
        });
  } else {
    return Error{Code::usage_not_ours, "this is no file that can be verified by itself"}
        .where("{}", target)
        .next(
            "a data directory, a directory of backups or of an export with receipts, a segment, a "
            "receipt, a head or a proof of consistency can be; kimberlite inspect decodes the "
            "other files of a directory");
  }
  if (!status) return status.error();
  return std::optional{*status};
}

}  // namespace kimberlite::cli

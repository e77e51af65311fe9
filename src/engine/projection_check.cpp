#include "projection_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "log/tenant_log.hpp"
#include "projection/reader.hpp"
#include "rebuilt.hpp"
#include "tenant_files.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t records_between_progress = 256;

// The log as it is on disk, opened with the keystore's keys.
class DiskSource final : public projection::LogSource {
 public:
  DiskSource(log::TenantLog& log, TenantId tenant, const keystore::Keystore& keys)
      : log_(log), tenant_(tenant), keys_(keys) {}

  Result<projection::OpenedRecord> read(Position position) override {
    Buffer frame;
    KIMBERLITE_TRY(const log::RecordView record, log_.read(position, frame));
    return open_record(record, std::move(frame), tenant_, keys_);
  }
  // The whole log was verified before it was opened here.
  Result<projection::OpenedRecord> read_proved(Position position) override {
    return read(position);
  }
  std::string actor_name(const Id128& actor) override { return to_uuid(actor); }
  std::string_view kind_name(std::uint16_t kind) override { return kernel::kind_name(kind); }
  Result<std::optional<catalog::Change>> schema_change(Bytes control) override {
    return change_of_control(control);
  }

 private:
  log::TenantLog& log_;
  TenantId tenant_;
  const keystore::Keystore& keys_;
};

class Checker {
 public:
  explicit Checker(const ProjectionToCheck& what)
      : what_(what), path_(projection_path(what.tenant)), files_(&what.storage), env_(files_) {}

  Result<ProjectionCheck> run(crypto::Key256 page_key) {
    const Status opened = open(std::move(page_key));
    if (!opened) {
      if (!of_the_projection(opened.error())) return opened.error();
      add(opened.error());
      return std::move(check_);
    }
    const Status indexes = projection_->check_indexes();
    if (!indexes) {
      if (!of_the_projection(indexes.error())) return indexes.error();
      add(indexes.error());
    }
    const Position until = choose_position();
    KIMBERLITE_TRY(const Position reached, replay(until));
    if (check_.cancelled || reached.value() == 0) return std::move(check_);
    KIMBERLITE_CHECK(compare(reached));
    return std::move(check_);
  }

 private:
  // Not of the disk or of a bound: what is there cannot be read as what it should be.
  static bool of_the_projection(const Error& error) {
    switch (class_of(error.code())) {
      case ErrorClass::unavailable:
      case ErrorClass::limit:
      case ErrorClass::timeout:
      case ErrorClass::interrupted:
        return false;
      default:
        return true;
    }
  }

  void add(VerifyFinding finding) {
    ++check_.findings_total;
    check_.findings.push_back(std::move(finding));
  }

  void add(const Error& error, std::string_view table = {}) {
    std::string what = table.empty() ? "" : fmt::format("table {}: ", table);
    what += error.what();
    if (!error.why().empty()) what += ": " + error.why();
    add({.code = Code::integrity_projection,
         .file = path_,
         .what = std::move(what),
         .table = std::string{table}});
  }

  Status open(crypto::Key256 page_key) {
    KIMBERLITE_TRY(log_, log::TenantLog::open(files_, {what_.tenant, 0}, what_.log_id, what_.head));
    source_.emplace(*log_, what_.tenant, what_.keys);
    KIMBERLITE_TRY(vfs_, projection::Vfs::make(env_.env(), path_, std::move(page_key),
                                               projection_file_id(what_.tenant)));
    const auto location = projection::Location::of(*vfs_);
    KIMBERLITE_TRY(projection_, projection::Projection::open(env_.env(), location, &*source_));
    KIMBERLITE_TRY(reader_, projection::Reader::open(env_.env(), location, &*source_));
    KIMBERLITE_TRY(rebuilt_, Rebuilt::make(*source_, std::nullopt));
    return {};
  }

  // As of where both are there.
  Position choose_position() {
    const Position applied = projection_->applied();
    const Position head = what_.head.position;
    if (applied < head) {
      check_.notes.push_back(fmt::format(
          "{}: is at position {}, its log at {}; compared as of {}, and the next open brings it up",
          path_, applied.value(), head.value(), applied.value()));
    } else if (applied > head && what_.journal_goes_on) {
      check_.notes.push_back(
          fmt::format("{}: is at position {}, its log at {}: the rest is in the journal; compared "
                      "as of {}",
                      path_, applied.value(), head.value(), head.value()));
    } else if (applied > head) {
      add({.code = Code::integrity_projection,
           .file = path_,
           .position = Position{head.value() + 1},
           .what = "the projection has records its log has not",
           .expected = std::to_string(head.value()),
           .found = std::to_string(applied.value())});
    }
    return std::min(applied, head);
  }

  // How far it came: not beyond a record whose keys are in the journal alone.
  Result<Position> replay(Position until) {
    KIMBERLITE_TRY(log::Scan scan, log_->scan(Position{1}));
    for (std::uint64_t at = 1; at <= until.value(); ++at) {
      if (at % records_between_progress == 0 && what_.progress && !what_.progress(at)) {
        check_.cancelled = true;
        break;
      }
      KIMBERLITE_TRY(const auto record, scan.next());
      if (!record) {
        return Error{Code::integrity_segment, "the log ends before its head"}.where("position {}",
                                                                                    at);
      }
      Buffer frame;
      frame.assign(record->body.begin(), record->body.end());
      const log::RecordView own{record->op, record->index, record->entry, frame};
      KIMBERLITE_TRY(const auto opened,
                     open_record(own, std::move(frame), what_.tenant, what_.keys));
      const bool sealed = std::ranges::any_of(opened.items, &projection::OpenedItem::erased);
      if (sealed && what_.journal_goes_on) {
        check_.notes.push_back(fmt::format(
            "{}: compared as of {}: the key of record {} is in the journal alone, and the next "
            "close puts it into the keystore",
            path_, at - 1, at));
        until = Position{at - 1};
        break;
      }
      KIMBERLITE_CHECK(rebuilt_->apply(opened));
    }
    KIMBERLITE_CHECK(rebuilt_->finish());
    return until;
  }

  Status compare(Position at) {
    projection::Projection& derived = rebuilt_->projection();
    const auto said = derived.catalog();
    for (const auto& [id, versions] : said->table_versions()) {
      if (what_.progress && !what_.progress(at.value())) {
        check_.cancelled = true;
        return {};
      }
      Result<projection::TableCheck> checked = reader_->check_table(id, at, derived, {});
      if (!checked) {
        if (!of_the_projection(checked.error())) return checked.error();
        add(checked.error(), versions.back().object.name);
        continue;
      }
      check_.rows += checked->rows + checked->versions;
      differs(versions.back().object.name, checked->differences, checked->named);
    }
    if (projection_->applied() != at) return {};
    KIMBERLITE_TRY(const auto own, reader_->check_own_tables(derived, {}));
    for (const projection::OwnTableCheck& table : own) {
      differs(table.table, table.differences, table.named);
    }
    if (!(*projection_->catalog() == *said)) {
      add({.code = Code::integrity_projection,
           .file = path_,
           .position = said->last_change(),
           .what = "the schema is not what the log says it is"});
    }
    return {};
  }

  void differs(std::string_view table, std::uint64_t differences,
               const std::vector<projection::Difference>& named) {
    const std::uint64_t unnamed = differences - named.size();
    for (const projection::Difference& each : named) {
      std::string what = fmt::format("table {}: {}", table, each.what);
      if (!each.column.empty()) what += fmt::format(", column {}", each.column);
      if (unnamed > 0 && &each == &named.back()) {
        what += fmt::format("; and {} more differences of this table", unnamed);
      }
      add({.code = Code::integrity_projection,
           .file = path_,
           .position = each.position,
           .what = std::move(what),
           .table = std::string{table},
           .change = each.change});
    }
    check_.findings_total += unnamed;
  }

  const ProjectionToCheck& what_;
  const std::string path_;
  SideStorage files_;
  SideEnv env_;
  std::unique_ptr<log::TenantLog> log_;
  std::optional<DiskSource> source_;
  std::unique_ptr<projection::Vfs> vfs_;
  std::unique_ptr<projection::Projection> projection_;
  std::unique_ptr<projection::Reader> reader_;
  std::unique_ptr<Rebuilt> rebuilt_;
  ProjectionCheck check_;
};

}  // namespace

Result<ProjectionCheck> check_projection(const ProjectionToCheck& what) {
  std::optional<crypto::Key256> key = what.keys.page_key(what.tenant);
  KIMBERLITE_ASSERT(key.has_value());
  return Checker{what}.run(*std::move(key));
}

}  // namespace kimberlite::engine

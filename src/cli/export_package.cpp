#include "export_package.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/interrupt.hpp"
#include "cli/progress.hpp"
#include "crypto/sha256.hpp"
#include "package_format.hpp"
#include "record/entry.hpp"
#include "record/items.hpp"
#include "sql/token.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::size_t piece_size = 1U << 18U;
constexpr std::size_t kept_changes_max = std::size_t{1} << 18U;  // of records read lately

// A new file of the package, hashed as it is written.
class PackageFile {
 public:
  [[nodiscard]] static Result<PackageFile> open(env::Storage& files, const std::string& path) {
    KIMBERLITE_TRY(auto file, files.open(path, env::Open::create));
    return PackageFile{std::move(file)};
  }
  // The caller appends to this, and calls `flush`.
  [[nodiscard]] std::string& text() { return text_; }
  Status flush(std::size_t beyond = piece_size) {
    if (text_.size() <= beyond) return {};
    KIMBERLITE_CHECK(file_->write_at(size_, bytes_of(text_)));
    hash_.update(bytes_of(text_));
    size_ += text_.size();
    text_.clear();
    return {};
  }
  [[nodiscard]] std::uint64_t size() const { return size_ + text_.size(); }
  Result<Hash> finish() {
    KIMBERLITE_CHECK(flush(0));
    KIMBERLITE_CHECK(file_->sync());
    return hash_.finish();
  }

 private:
  explicit PackageFile(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  std::unique_ptr<env::File> file_;
  crypto::Sha256 hash_;
  std::string text_;
  std::uint64_t size_ = 0;
};

// The places of row changes, of records read lately.
class ChangeIndex {
 public:
  struct Found {
    std::uint32_t catalog_version = 0;
    std::uint32_t item = 0;
    std::uint32_t ordinal = 0;
  };
  explicit ChangeIndex(engine::Session& session) : session_(session) {}

  // The last change of the key in the record, as that is what stands after it.
  Result<Found> find(Position position, ObjectId table, const Buffer& key) {
    KIMBERLITE_TRY(const Record* record, read(position));
    const auto place = record->last.find({table, key});
    if (place == record->last.end()) {
      return Error{Code::integrity_projection, "a row is from a record that does not say it"}
          .where("table {}, position {}", table.value(), position.value())
          .next("kimberlite verify --projection looks at all tables");
    }
    return place->second;
  }

 private:
  struct Record {
    std::map<std::pair<ObjectId, Buffer>, Found> last;
  };

  Result<const Record*> read(Position position) {
    if (const auto kept = records_.find(position); kept != records_.end()) return &kept->second;
    KIMBERLITE_TRY(engine::RecordChanges changes, session_.changes(position));
    if (kept_ + changes.changes.size() > kept_changes_max) {
      records_.clear();
      kept_ = 0;
    }
    kept_ += changes.changes.size();
    Record& record = records_[position];
    for (engine::ChangePlace& change : changes.changes) {
      record.last.insert_or_assign({change.table, std::move(change.key)},
                                   Found{changes.catalog_version, change.item, change.ordinal});
    }
    return &record;
  }

  engine::Session& session_;
  std::map<Position, Record> records_;
  std::size_t kept_ = 0;
};

class Package {
 public:
  Package(App& app, engine::Session& session, Position at, std::string directory)
      : app_(app),
        session_(session),
        at_(at),
        directory_(std::move(directory)),
        changes_(session) {}

  Result<bool> write(std::span<const catalog::Table* const> tables) {
    KIMBERLITE_CHECK(check_empty());
    KIMBERLITE_TRY(catalog_, session_.catalog());
    KIMBERLITE_TRY(const log::StoredHead head, session_.signed_head(at_));
    head_ = head.note();
    KIMBERLITE_CHECK(write_whole("head", head_));
    KIMBERLITE_CHECK(write_schema());
    manifest_.log = record::origin_of(head.log_id);
    manifest_.position = at_.value();
    manifest_.tree_size = head.tree.size;
    for (const catalog::Table* table : tables) {
      KIMBERLITE_TRY(const auto rows, write_table(*table));
      if (!rows) return false;
      manifest_.tables.push_back(described_table(*table));
      manifest_.tables.back().rows = *rows;
    }
    KIMBERLITE_TRY(const bool whole, write_receipts());
    if (!whole) return false;
    KIMBERLITE_CHECK(write_manifest());
    std::set<std::uint64_t> records;
    for (const auto& [position, item] : items_) records.insert(position);
    app_.say(
        fmt::format("note: whoever has {} can read {} item{} of {} record{} whole, for ever, "
                    "with what they hold of other rows, and all changes of the schema",
                    directory_, items_.size(), items_.size() == 1 ? "" : "s", records.size(),
                    records.size() == 1 ? "" : "s"));
    return true;
  }

 private:
  Status check_empty() {
    const auto there = app_.files().list(directory_);
    if (!there && there.error().code() == Code::not_found_directory) return {};
    if (!there) return there.error();
    if (there->empty()) return {};
    return Error{Code::usage_not_empty, "a package is a directory of its own, and this has files"}
        .where("{}", directory_)
        .next("give another one with -o");
  }

  Result<PackageFile> open(std::string_view name) {
    return PackageFile::open(app_.files(), fmt::format("{}/{}", directory_, name));
  }

  Status finish(std::string_view name, PackageFile& file) {
    KIMBERLITE_TRY(const Hash hash, file.finish());
    manifest_.files.push_back({std::string{name}, to_hex(hash)});
    return {};
  }

  Status write_whole(std::string_view name, std::string_view text) {
    KIMBERLITE_TRY(PackageFile file, open(name));
    file.text() = text;
    return finish(name, file);
  }

  // All receipts of a package lead to one head.
  Result<record::Receipt> receipt(Position position, std::optional<std::uint32_t> item) {
    KIMBERLITE_TRY(record::Receipt receipt, session_.receipt(position, item));
    if (receipt.head != head_) {
      return Error{Code::unavailable_busy, "the log was signed again while it was exported"}.next(
          "try again");
    }
    return receipt;
  }

  Status append_receipt(std::string& to, Position position, std::uint32_t item) {
    KIMBERLITE_TRY(const record::Receipt receipt, this->receipt(position, item));
    to += ReceiptLine{position.value(), receipt.to_text()}.to_text();
    return {};
  }

  // The record at the position stands under the schema as of there; each change of the schema makes
  // the next version: so none can be missing.
  Status write_schema() {
    KIMBERLITE_TRY(const record::Receipt last, receipt(at_, std::nullopt));
    KIMBERLITE_CHECK(write_whole("as-of.receipt", last.to_text()));
    KIMBERLITE_TRY(PackageFile file, open("schema.jsonl"));
    const Value at{static_cast<std::int64_t>(at_.value())};
    KIMBERLITE_TRY(const auto cursor,
                   session_.query({"SELECT position FROM __schema_history WHERE position <= $1 "
                                   "ORDER BY position",
                                   {&at, 1}},
                                  {}, {.cancelled = &interrupt_flag()}));
    while (true) {
      KIMBERLITE_TRY(const bool more, cursor->next());
      if (!more) break;
      const auto* position = std::get_if<std::int64_t>(cursor->row().data());
      KIMBERLITE_CHECK(
          append_receipt(file.text(), Position{static_cast<std::uint64_t>(*position)}, 0));
      KIMBERLITE_CHECK(file.flush());
    }
    return finish("schema.jsonl", file);
  }

  // How many rows; nothing if it was stopped.
  Result<std::optional<std::uint64_t>> write_table(const catalog::Table& table) {
    const std::string stem = file_stem(table);
    KIMBERLITE_TRY(PackageFile rows, open(stem + ".jsonl"));
    KIMBERLITE_TRY(PackageFile proofs, open(stem + ".proofs"));
    ProgressLine progress{table.name, app_.invocation().quiet ? 0 : app_.terminal().width,
                          app_.clock().monotonic_ns()};
    const std::string query = query_of(table);
    KIMBERLITE_TRY(const auto cursor,
                   session_.query({query, {}}, at_, {.cancelled = &interrupt_flag()}));
    std::uint64_t count = 0;
    while (!interrupted()) {
      KIMBERLITE_TRY(const bool more, cursor->next());
      if (!more) break;
      ++count;
      append_json_row(rows.text(),
                      std::span{cursor->columns()}.first(recorded_columns(table).size()),
                      cursor->row());
      KIMBERLITE_CHECK(append_proof(proofs.text(), table, cursor->row()));
      KIMBERLITE_CHECK(rows.flush());
      KIMBERLITE_CHECK(proofs.flush());
      if (const std::uint64_t now = app_.clock().monotonic_ns(); progress.due(now)) {
        static_cast<void>(
            app_.messages().write(progress.update({count, rows.size(), 0}, now)).has_value());
      }
    }
    static_cast<void>(app_.messages().write(progress.clear()).has_value());
    if (interrupted()) return std::optional<std::uint64_t>{};
    KIMBERLITE_CHECK(finish(stem + ".jsonl", rows));
    KIMBERLITE_CHECK(finish(stem + ".proofs", proofs));
    app_.say(fmt::format("{}   {} rows   position {}", table.name, grouped(count), at_.value()));
    return std::optional{count};
  }

  std::string query_of(const catalog::Table& table) {
    std::string list;
    for (const catalog::Column* column : recorded_columns(table)) {
      list += (list.empty() ? "" : ", ") + sql::quote_name(column->name);
    }
    for (const catalog::Column& column : table.columns) {
      if (!column.generated) continue;
      app_.say(fmt::format("note: {}.{} is computed, in no record, and left out", table.name,
                           column.name));
    }
    if (table.primary_key.empty()) list += list.empty() ? "__row" : ", __row";
    return fmt::format("VERIFY SELECT {} FROM {} ORDER BY {}", list, sql::quote_name(table.name),
                       order_of(table));
  }

  // Of the recorded columns, the row's key if that is hidden, and last its position and receipt,
  // which discloses nothing: what proves a row to a stranger is made with its item.
  Status append_proof(std::string& to, const catalog::Table& table,
                      std::span<const ValueView> row) {
    const std::vector<const catalog::Column*> columns = recorded_columns(table);
    std::vector<ValueView> key;
    if (table.primary_key.empty()) key.push_back(row[columns.size()]);
    for (const ColumnId id : table.primary_key) {
      const auto at = std::ranges::find(columns, id, &catalog::Column::id);
      key.push_back(row[static_cast<std::size_t>(at - columns.begin())]);
    }
    Writer encoded;
    record::encode_values(encoded, std::span<const ValueView>{key});
    const auto* claimed = std::get_if<std::int64_t>(&row[row.size() - 2]);
    const Position position{claimed == nullptr ? 0 : static_cast<std::uint64_t>(*claimed)};
    KIMBERLITE_TRY(const ChangeIndex::Found found,
                   changes_.find(position, table.id, encoded.buffer()));
    const catalog::Table* const then = catalog_->table_in(table.id, found.catalog_version);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (then != nullptr && catalog::Catalog::column(*then, columns[i]->id) != nullptr) continue;
      const std::optional<Value> constant = constant_of(*columns[i]);
      if (constant && same_bytes(view(*constant), row[i])) continue;
      return Error{Code::sql_unsupported,
                   "a receipt for a row that is older than one of its columns, whose default is no "
                   "plain constant, is not made"}
          .where("table {}, column {}, position {}", table.name, columns[i]->name, position.value())
          .why("what the column holds for the row stands in no record")
          .next("export without --receipts");
    }
    fmt::format_to(std::back_inserter(to), "{} {} {}\n", position.value(), found.item,
                   found.ordinal);
    items_.emplace(position.value(), found.item);
    return {};
  }

  Result<bool> write_receipts() {
    KIMBERLITE_TRY(PackageFile file, open("receipts.jsonl"));
    for (const auto& [position, item] : items_) {
      if (interrupted()) return false;
      KIMBERLITE_CHECK(append_receipt(file.text(), Position{position}, item));
      KIMBERLITE_CHECK(file.flush());
    }
    KIMBERLITE_CHECK(finish("receipts.jsonl", file));
    return true;
  }

  Status write_manifest() {
    KIMBERLITE_TRY(PackageFile file, open("manifest.json"));
    file.text() = manifest_.to_text();
    KIMBERLITE_TRY([[maybe_unused]] const Hash hash, file.finish());
    return {};
  }

  App& app_;
  engine::Session& session_;
  Position at_;
  std::string directory_;
  ChangeIndex changes_;
  std::shared_ptr<const catalog::Catalog> catalog_;
  std::string head_;
  PackageManifest manifest_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> items_;  // that rows come from
};

}  // namespace

Result<bool> write_package(App& app, engine::Session& session, Position at,
                           std::span<const catalog::Table* const> tables,
                           const std::string& directory) {
  return Package{app, session, at, directory}.write(tables);
}

}  // namespace kimberlite::cli

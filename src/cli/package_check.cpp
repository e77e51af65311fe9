#include "package_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "catalog/catalog.hpp"
#include "crypto/sha256.hpp"
#include "export_package.hpp"
#include "kernel/command.hpp"
#include "package_format.hpp"
#include "record/receipt.hpp"
#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::string_view manifest_name = "manifest.json";
constexpr std::size_t piece_size = 1U << 20U;
constexpr std::size_t manifest_size_max = std::size_t{16} << 20U;
constexpr std::size_t receipt_size_max = std::size_t{16} << 20U;
constexpr std::size_t line_size_max = 2 * receipt_size_max;  // JSON has a receipt's lines escaped
constexpr std::size_t kept_bytes_max = std::size_t{32} << 20U;  // of receipts of opened items

// How far it is, over all files.
class Meter {
 public:
  explicit Meter(const std::function<bool(const ProgressState&)>& progress) : progress_(progress) {}
  void expect(std::uint64_t bytes) { state_.bytes_total += bytes; }
  void row() { ++state_.rows; }
  Status read(std::uint64_t bytes) {
    state_.bytes += bytes;
    if (progress_(state_)) return {};
    return Error{Code::interrupted_signal, "stopped before the end"}.why(
        "nothing is proved of what was not read");
  }

 private:
  const std::function<bool(const ProgressState&)>& progress_;
  ProgressState state_;
};

// Lines of a file, one at a time.
class LineFile {
 public:
  LineFile(std::unique_ptr<env::File> file, Meter& meter) : file_(std::move(file)), meter_(meter) {}

  // The next line with its end, until the next call; nothing at the end of the file.
  Result<std::optional<std::string_view>> next() {
    std::size_t searched = 0;
    while (true) {  // a piece a turn, up to the longest line
      const std::size_t end = buffer_.find('\n', begin_ + searched);
      if (end != std::string::npos) {
        const std::string_view line = std::string_view{buffer_}.substr(begin_, end + 1 - begin_);
        begin_ = end + 1;
        if (line.size() > line_size_max) return bad_line();
        return std::optional{line};
      }
      searched = buffer_.size() - begin_;
      if (searched > line_size_max) return bad_line();
      KIMBERLITE_TRY(const bool more, fill());
      if (more) continue;
      if (searched > 0) return bad_line();
      return std::optional<std::string_view>{};
    }
  }
  // Where the next line begins.
  [[nodiscard]] std::uint64_t offset() const { return end_ - (buffer_.size() - begin_); }
  void seek(std::uint64_t offset) {
    buffer_.clear();
    begin_ = 0;
    end_ = offset;
  }

 private:
  static Error bad_line() {
    return wrong_package("a file has a line without an end, or one that is too long");
  }
  Result<bool> fill() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const std::size_t kept = buffer_.size();
    buffer_.resize(kept + piece_size);
    KIMBERLITE_TRY(
        const std::size_t got,
        file_->read_at(end_, std::as_writable_bytes(std::span{buffer_.data() + kept, piece_size})));
    buffer_.resize(kept + got);
    end_ += got;
    KIMBERLITE_CHECK(meter_.read(got));
    return got > 0;
  }

  std::unique_ptr<env::File> file_;
  Meter& meter_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::uint64_t end_ = 0;  // of what was read, in the file
};

// Item `second` of the record at `first`.
using Place = std::pair<std::uint64_t, std::uint32_t>;

// An opened item of rows: its changes, and of each row the last one.
struct RowItem {
  explicit RowItem(record::VerifiedRecord verified) : record(std::move(verified)) {}
  RowItem(const RowItem&) = delete;  // `changes` are views into `record`
  RowItem& operator=(const RowItem&) = delete;

  record::VerifiedRecord record;
  std::map<std::uint32_t, record::RowChange> changes;  // by ordinal
  std::map<std::pair<ObjectId, Buffer>, std::uint32_t> last;
};

Buffer buffer_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

// Negative, zero or positive; NULL is before all.
int compare_values(const ValueView& a, const ValueView& b, sql::Order order) {
  if (a.index() != b.index()) return a.index() < b.index() ? -1 : 1;
  const auto by = [](const auto& left, const auto& right) {
    if (left < right) return -1;
    return right < left ? 1 : 0;
  };
  if (const auto* integer = std::get_if<std::int64_t>(&a)) {
    return by(*integer, std::get<std::int64_t>(b));
  }
  if (const auto* number = std::get_if<double>(&a)) return by(*number, std::get<double>(b));
  if (const auto* text = std::get_if<std::string_view>(&a)) {
    return sql::compare(order, *text, std::get<std::string_view>(b));
  }
  if (const auto* bytes = std::get_if<Bytes>(&a)) {
    return by(text_of(*bytes), text_of(std::get<Bytes>(b)));
  }
  return 0;
}

std::optional<std::array<std::uint64_t, 3>> three_numbers(std::string_view line) {
  std::array<std::uint64_t, 3> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const char end = i + 1 == numbers.size() ? '\n' : ' ';
    const auto [at, failed] = std::from_chars(line.data(), line.data() + line.size(), numbers[i]);
    const auto size = static_cast<std::size_t>(at - line.data());
    if (failed != std::errc{} || size == line.size() || *at != end) return std::nullopt;
    if (size > 1 && line.front() == '0') return std::nullopt;
    line.remove_prefix(size + 1);
  }
  return line.empty() ? std::optional{numbers} : std::nullopt;
}

class Check {
 public:
  Check(env::Storage& files, const std::string& directory, const record::VerifierKey& key,
        const std::function<bool(const ProgressState&)>& progress)
      : files_(files), directory_(directory), key_(key), meter_(progress) {}

  Result<CheckedPackage> run() {
    KIMBERLITE_TRY(const std::string text, read_whole(manifest_name, manifest_size_max));
    KIMBERLITE_TRY(manifest_, parse_manifest(text));
    KIMBERLITE_CHECK(check_names());
    KIMBERLITE_CHECK(check_hashes());
    KIMBERLITE_TRY(head_, read_whole("head", record::note_size_max));
    KIMBERLITE_TRY(const record::SignedHead head, record::check_head(head_, key_));
    if (manifest_.log != head.tree().origin || manifest_.tree_size != head.tree().size) {
      return wrong_package("the manifest names another log or size than the head");
    }
    KIMBERLITE_CHECK(check_schema());
    KIMBERLITE_TRY(receipts_, lines_of("receipts.jsonl"));
    KIMBERLITE_CHECK(index_receipts());
    CheckedPackage checked{.tree = head.tree(),
                           .position = Position{manifest_.position},
                           .tables = manifest_.tables.size(),
                           .rows = 0,
                           .items = places_.size(),
                           .left_out = {}};
    for (const PackageTable& described : manifest_.tables) {
      KIMBERLITE_TRY(const catalog::Table* table, table_of(described));
      for (const catalog::Column& column : table->columns) {
        if (!column.generated) continue;
        checked.left_out.push_back(fmt::format("{}.{}", table->name, column.name));
      }
      KIMBERLITE_CHECK(check_rows(described, *table));
      checked.rows += described.rows;
    }
    if (used_.size() != places_.size()) return wrong_package("there is a receipt no row needs");
    return checked;
  }

 private:
  [[nodiscard]] std::string path(std::string_view name) const {
    return fmt::format("{}/{}", directory_, name);
  }

  Result<std::string> read_whole(std::string_view name, std::size_t limit) {
    KIMBERLITE_TRY(const auto file, files_.open(path(name), env::Open::read));
    KIMBERLITE_TRY(const std::uint64_t size, file->size());
    if (size > limit) return wrong_package(fmt::format("{} is too large", name));
    std::string text(size, '\0');
    KIMBERLITE_TRY(const std::size_t got,
                   file->read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
    text.resize(got);
    return text;
  }

  Result<std::unique_ptr<LineFile>> lines_of(std::string_view name) {
    KIMBERLITE_TRY(auto file, files_.open(path(name), env::Open::read));
    return std::make_unique<LineFile>(std::move(file), meter_);
  }

  // ---- The files ----

  Status check_names() {
    std::vector<std::string> names{"head", "as-of.receipt", "schema.jsonl"};
    std::uint64_t before = 0;  // no table's id
    for (const PackageTable& table : manifest_.tables) {
      if (table.table <= before) {
        return wrong_package("its tables are not in order, or one is there twice");
      }
      before = table.table;
      names.push_back(table.file + ".jsonl");
      names.push_back(table.file + ".proofs");
    }
    names.emplace_back("receipts.jsonl");
    const auto same = [](const std::string& name, const PackageManifest::File& file) {
      return name == file.name;
    };
    if (!std::ranges::equal(names, manifest_.files, same)) {
      return wrong_package("the manifest lists other files than those of its tables");
    }
    names.emplace_back(manifest_name);
    std::ranges::sort(names);
    KIMBERLITE_TRY(const std::vector<std::string> there, files_.list(directory_));
    if (names != there) {
      return wrong_package("the directory holds other files than the manifest lists");
    }
    return {};
  }

  Status check_hashes() {
    std::vector<std::unique_ptr<env::File>> open;
    for (const PackageManifest::File& listed : manifest_.files) {
      KIMBERLITE_TRY(auto file, files_.open(path(listed.name), env::Open::read));
      KIMBERLITE_TRY(const std::uint64_t size, file->size());
      meter_.expect(2 * size);  // it is read again for what it says
      open.push_back(std::move(file));
    }
    Buffer piece(piece_size);
    for (std::size_t i = 0; i < open.size(); ++i) {
      crypto::Sha256 hash;
      std::uint64_t at = 0;
      while (true) {  // a piece a turn, to the end of the file
        KIMBERLITE_TRY(const std::size_t got, open[i]->read_at(at, piece));
        if (got == 0) break;
        hash.update(Bytes{piece}.first(got));
        at += got;
        KIMBERLITE_CHECK(meter_.read(got));
      }
      if (to_hex(hash.finish()) != manifest_.files[i].sha256) {
        return wrong_package(
            fmt::format("{} has another hash than the manifest says", manifest_.files[i].name));
      }
    }
    return {};
  }

  // ---- Receipts ----

  Result<record::VerifiedRecord> check_receipt(std::string_view text) {
    KIMBERLITE_TRY(const record::Receipt receipt, record::Receipt::parse(text));
    if (receipt.head != head_) return wrong_package("a receipt leads to another head");
    KIMBERLITE_TRY(record::VerifiedRecord verified, record::verify(receipt, key_));
    if (verified.entry().position.value() > manifest_.position) {
      return wrong_package("a receipt is of a record behind the position");
    }
    return verified;
  }

  Result<record::VerifiedRecord> check_receipt_line(std::string_view line) {
    KIMBERLITE_TRY(const ReceiptLine parsed, parse_receipt_line(line));
    KIMBERLITE_TRY(record::VerifiedRecord verified, check_receipt(parsed.receipt));
    if (verified.entry().position.value() != parsed.position) {
      return wrong_package("a line of receipts has another position than its receipt");
    }
    if (!verified.opened()) return wrong_package("a receipt opens no item");
    return verified;
  }

  // A record that changes the schema stands under the version it makes, each the next one: so none
  // can be missing.
  Status check_schema() {
    KIMBERLITE_TRY(const std::string text, read_whole("as-of.receipt", receipt_size_max));
    KIMBERLITE_TRY(const record::VerifiedRecord last, check_receipt(text));
    if (last.entry().position.value() != manifest_.position || last.opened()) {
      return wrong_package("as-of.receipt is not that of the record at the position");
    }
    KIMBERLITE_TRY(const auto lines, lines_of("schema.jsonl"));
    Position before;
    while (true) {  // a line a turn
      KIMBERLITE_TRY(const auto line, lines->next());
      if (!line) break;
      KIMBERLITE_TRY(const record::VerifiedRecord verified, check_receipt_line(*line));
      const record::Entry& entry = verified.entry();
      const record::VerifiedItem& item = *verified.opened();
      if (entry.kind != static_cast<std::uint16_t>(kernel::Kind::ddl) ||
          item.header.kind != record::ItemKind::control || item.header.count != 1 ||
          entry.position <= before || entry.catalog_version != catalog_.version() + 1) {
        return wrong_package("schema.jsonl does not hold every change of the schema, in order");
      }
      before = entry.position;
      KIMBERLITE_CHECK(apply(item, entry.position));
    }
    if (catalog_.version() != last.entry().catalog_version) {
      return wrong_package("schema.jsonl does not end with the schema as of the position");
    }
    return {};
  }

  Status apply(const record::VerifiedItem& item, Position at) {
    KIMBERLITE_TRY(const record::Plaintext content,
                   record::decode_plaintext(item.header, item.plaintext));
    KIMBERLITE_TRY(const kernel::Control control, kernel::decode_control(content.controls.front()));
    const auto* const change = std::get_if<catalog::Change>(&control);
    if (change == nullptr || !catalog_.apply(*change, at)) {
      return wrong_package("its log holds a change of the schema that cannot be");
    }
    return {};
  }

  Status index_receipts() {
    Place before{};
    while (true) {  // a line a turn
      const std::uint64_t at = receipts_->offset();
      KIMBERLITE_TRY(const auto line, receipts_->next());
      if (!line) return {};
      KIMBERLITE_TRY(record::VerifiedRecord verified, check_receipt_line(*line));
      const Place place{verified.entry().position.value(), verified.opened()->index};
      if (verified.opened()->header.kind != record::ItemKind::rows || place <= before) {
        return wrong_package("receipts.jsonl is not of items with rows, in order");
      }
      before = place;
      places_.emplace(place, at);
      KIMBERLITE_CHECK(keep(place, std::move(verified), line->size()));
    }
  }

  Result<const RowItem*> keep(const Place& place, record::VerifiedRecord verified,
                              std::size_t size) {
    if (kept_bytes_ + size > kept_bytes_max) {
      kept_.clear();
      kept_bytes_ = 0;
    }
    kept_bytes_ += size;
    auto item = std::make_unique<RowItem>(std::move(verified));
    const record::VerifiedItem& opened = *item->record.opened();
    KIMBERLITE_TRY(const record::Plaintext content,
                   record::decode_plaintext(opened.header, opened.plaintext));
    for (const record::RowChange& change : content.changes) {
      item->changes.insert_or_assign(change.ordinal, change);
      item->last.insert_or_assign({change.table, buffer_of(change.key.bytes())}, change.ordinal);
    }
    return (kept_[place] = std::move(item)).get();
  }

  Result<const RowItem*> item_at(const Place& place, std::uint64_t offset) {
    if (const auto kept = kept_.find(place); kept != kept_.end()) return kept->second.get();
    receipts_->seek(offset);
    KIMBERLITE_TRY(const auto line, receipts_->next());
    if (!line) return wrong_package("receipts.jsonl was changed while it was read");
    KIMBERLITE_TRY(record::VerifiedRecord verified, check_receipt_line(*line));
    if (Place{verified.entry().position.value(), verified.opened()->index} != place) {
      return wrong_package("receipts.jsonl was changed while it was read");
    }
    return keep(place, std::move(verified), line->size());
  }

  // ---- Rows ----

  // The table that the manifest means, by the schema in the log.
  Result<const catalog::Table*> table_of(const PackageTable& described) {
    const catalog::Table* table = nullptr;
    if (described.table <= std::numeric_limits<std::uint32_t>::max()) {
      table = catalog_.table(ObjectId{static_cast<std::uint32_t>(described.table)});
    }
    if (table == nullptr) {
      return wrong_package("the manifest names a table that was not there at the position");
    }
    PackageTable expected = described_table(*table);
    expected.rows = described.rows;
    if (expected != described) {
      return wrong_package("the manifest describes a table otherwise than the log");
    }
    return table;
  }

  Status check_rows(const PackageTable& described, const catalog::Table& table) {
    KIMBERLITE_TRY(const auto rows, lines_of(described.file + ".jsonl"));
    KIMBERLITE_TRY(const auto proofs, lines_of(described.file + ".proofs"));
    std::uint64_t count = 0;
    Row before;
    while (true) {  // a row a turn
      KIMBERLITE_TRY(const auto row, rows->next());
      KIMBERLITE_TRY(const auto proof, proofs->next());
      if (!row && !proof) break;
      if (!proof) return wrong_package("a row has no proof");
      if (!row) return wrong_package("a proof has no row");
      ++count;
      meter_.row();
      const auto key = check_row(table, *row, *proof);
      const auto wrong_row = [&](std::string_view why) {
        return wrong_package(fmt::format("row {} of {}: {}", count, described.file, why));
      };
      if (!key) return key.error();
      if (!key->why.empty()) return wrong_row(key->why);
      if (count > 1 && compare_keys(table, before, key->key) >= 0) {
        return wrong_row("it is not behind the row before it, by its key");
      }
      before = key->key;
    }
    if (count != described.rows) {
      return wrong_package("a table has not as many rows as the manifest says");
    }
    return {};
  }

  static int compare_keys(const catalog::Table& table, const Row& a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      sql::Order order = sql::Order::binary;
      if (!table.primary_key.empty()) {
        order = sql::order_of(catalog::Catalog::column(table, table.primary_key[i])->type);
      }
      if (const int compared = compare_values(view(a[i]), view(b[i]), order)) return compared;
    }
    return 0;
  }

  // A row's key, once a change in the log says just this row; else why none does.
  struct RowFound {
    Row key;
    std::string_view why;
  };
  Result<RowFound> check_row(const catalog::Table& table, std::string_view row,
                             std::string_view proof) {
    const auto no = [](std::string_view why) { return RowFound{{}, why}; };
    constexpr std::uint64_t index_max = std::numeric_limits<std::uint32_t>::max();
    const auto numbers = three_numbers(proof);
    if (!numbers) return no("its proof is not a position, an item and a change");
    const auto [position, item_index, ordinal] = *numbers;
    const auto place = item_index > index_max
                           ? places_.end()
                           : places_.find({position, static_cast<std::uint32_t>(item_index)});
    if (place == places_.end()) return no("there is no receipt of its record");
    used_.insert(place->first);
    KIMBERLITE_TRY(const RowItem* item, item_at(place->first, place->second));
    const auto found = ordinal > index_max
                           ? item->changes.end()
                           : item->changes.find(static_cast<std::uint32_t>(ordinal));
    if (found == item->changes.end() || found->second.table != table.id ||
        found->second.operation == record::Operation::remove) {
      return no("its change is none of a row of the table");
    }
    const record::RowChange& change = found->second;
    if (item->last.at({table.id, buffer_of(change.key.bytes())}) != change.ordinal) {
      return no("a later change of its record says another row");
    }
    const catalog::Table* const then =
        catalog_.table_in(table.id, item->record.entry().catalog_version);
    if (then == nullptr || recorded_columns(*then).size() != change.image.size()) {
      return no("its record has other columns than its table had");
    }
    KIMBERLITE_TRY(const Row values, values_of(table, *then, change));
    if (printed(table, values) != row) return no("it is not what its record says");
    return key_of(table, values, change);
  }

  // The recorded columns as they are at the position, of an image of then.
  static Result<Row> values_of(const catalog::Table& table, const catalog::Table& then,
                               const record::RowChange& change) {
    const std::vector<const catalog::Column*> layout = recorded_columns(then);
    const std::vector<ValueView> image = change.image.values();
    Row values;
    for (const catalog::Column* column : recorded_columns(table)) {
      const auto at = std::ranges::find(layout, column->id, &catalog::Column::id);
      if (at != layout.end()) {
        values.push_back(own(image[static_cast<std::size_t>(at - layout.begin())]));
        continue;
      }
      std::optional<Value> constant = constant_of(*column);
      if (!constant) {
        return wrong_package("a row is older than a column whose default is no plain constant");
      }
      values.push_back(*std::move(constant));
    }
    return values;
  }

  static std::string printed(const catalog::Table& table, const Row& values) {
    std::vector<engine::ColumnInfo> columns;
    for (const catalog::Column* column : recorded_columns(table)) {
      columns.push_back({column->name, column->type});
    }
    std::vector<ValueView> views;
    views.reserve(values.size());
    for (const Value& value : values) views.push_back(view(value));
    std::string line;
    append_json_row(line, columns, views);
    return line;
  }

  static RowFound key_of(const catalog::Table& table, const Row& values,
                         const record::RowChange& change) {
    constexpr std::string_view other = "its record has another key than the row";
    std::vector<ValueView> key = change.key.values();
    if (table.primary_key.empty()) {
      if (key.size() != 1 || !std::holds_alternative<std::int64_t>(key.front())) {
        return {{}, "its record has another key than its table"};
      }
      return {{own(key.front())}, {}};
    }
    const std::vector<const catalog::Column*> columns = recorded_columns(table);
    Row found;
    for (const ColumnId id : table.primary_key) {
      const auto at = std::ranges::find(columns, id, &catalog::Column::id);
      if (at == columns.end()) return {{}, other};
      found.push_back(values[static_cast<std::size_t>(at - columns.begin())]);
    }
    Writer encoded;
    record::encode_values(encoded, found);
    if (!equal(encoded.buffer(), change.key.bytes())) return {{}, other};
    return {std::move(found), {}};
  }

  env::Storage& files_;
  const std::string& directory_;
  const record::VerifierKey& key_;
  Meter meter_;
  PackageManifest manifest_;
  std::string head_;
  catalog::Catalog catalog_;
  std::unique_ptr<LineFile> receipts_;
  std::map<Place, std::uint64_t> places_;  // where the line of an item's receipt begins
  std::set<Place> used_;
  std::map<Place, std::unique_ptr<RowItem>> kept_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace

bool is_package(env::Storage& files, const std::string& directory) {
  return files.open(fmt::format("{}/{}", directory, manifest_name), env::Open::read).has_value();
}

Result<CheckedPackage> check_package(env::Storage& files, const std::string& directory,
                                     const record::VerifierKey& log_key,
                                     const std::function<bool(const ProgressState&)>& progress) {
  return Check{files, directory, log_key, progress}.run();
}

}  // namespace kimberlite::cli
